package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/store"
)

// storeError turns the store's errors into what the API answers. Errors that are already answers stay as they are.
func storeError(err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil, errors.As(err, &status):
		return err
	case errors.Is(err, store.ErrTooLarge):
		return apierrors.NewRequestEntityTooLargeError("etcdserver: request is too large")
	case errors.Is(err, store.ErrExpired):
		return apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
	case errors.Is(err, store.ErrFull):
		return apierrors.NewInternalError(err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	case errors.Is(err, store.ErrClosed):
		return apierrors.NewServiceUnavailable("the server is stopping: " + err.Error())
	}
	return apierrors.NewInternalError(err)
}

// Classed gives an error without a status the one that upstream gives it: 500 with nothing but its text. Others stay as they are.
func Classed(err error) error {
	var known apierrors.APIStatus
	if err == nil || errors.As(err, &known) {
		return err
	}
	return plain(err.Error())
}

// plain is the answer to what upstream has no class for.
func plain(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: message}}
}

// errModified is upstream's text for an update of an older version.
var errModified = errors.New("the object has been modified; please apply your changes to the latest version and try again")

func conflict(req Request, cause error) error {
	return apierrors.NewConflict(req.resource(), req.Name, cause)
}

// preconditionFailed is a conflict of a deletion, in which upstream names the kind.
func preconditionFailed(req Request, cause error) error {
	return apierrors.NewConflict(schema.GroupResource{Group: req.Kind.Stored().GVK.Group, Resource: req.Kind.GVK.Kind}, req.Name, cause)
}

// mismatch says that an object is not the one that a client means.
func mismatch(what string, wanted, found any) error {
	//lint:ignore ST1005 upstream's text
	return fmt.Errorf("Precondition failed: %[1]s in precondition: %[2]v, %[1]s in object meta: %[3]v", what, wanted, found)
}

// checkUID holds the UID of a write against that of the object; "" wishes for nothing. Upstream's storage tells its own error, with the key as it
// knows it: a dry run does not reach where the prefix of all keys is added.
func checkUID(req Request, wanted, found types.UID, dryRun bool) error {
	if wanted == "" || wanted == found {
		return nil
	}
	key := req.key()
	if dryRun {
		key = strings.TrimPrefix(key, "/registry")
	}
	return conflict(req, fmt.Errorf("StorageError: invalid object, Code: 4, Key: %s, ResourceVersion: 0, AdditionalErrorMsg: %w", key, mismatch("UID", wanted, found)))
}

// checkPreconditions holds an object against a client's wish for one UID or version; nil wishes for nothing.
func checkPreconditions(req Request, p *metav1.Preconditions, uid types.UID, version string) error {
	switch {
	case p == nil:
	case isNamespace(req.Kind):
		return checkNamespace(req, p, uid, version)
	case p.UID != nil && *p.UID != uid:
		return preconditionFailed(req, fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", *p.UID, uid))
	case p.ResourceVersion != nil && *p.ResourceVersion != version:
		return preconditionFailed(req, fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", *p.ResourceVersion, version))
	}
	return nil
}

func unprocessable(message string) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", message, 0, false)
}
