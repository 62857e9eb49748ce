package webhook

import (
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/admission/expression"
)

// callError says that a hook could not be asked, or that its answer is none.
type callError struct {
	name   string
	reason error
	status *apierrors.StatusError // whose code metrics tell; nil where no call was tried
}

func (e *callError) Error() string {
	return fmt.Sprintf("failed calling webhook %q: %v", e.name, e.reason)
}
func (e *callError) Unwrap() error { return e.reason }

// rejection says that a hook has refused the wish.
type rejection struct{ status *apierrors.StatusError }

func (e *rejection) Error() string { return e.status.Error() }

// denial is what the client is told of a refusal that a hook explains with result, or not: nil.
func denial(name string, result *metav1.Status) *apierrors.StatusError {
	status := metav1.Status{}
	if result != nil {
		status = *result
	}
	status.Code = max(status.Code, http.StatusBadRequest)
	if status.Status == "" || status.Status == metav1.StatusSuccess {
		status.Status = metav1.StatusFailure
	}
	why := " without explanation"
	switch {
	case status.Message != "":
		why = ": " + status.Message
	case status.Reason != "":
		why = ": " + string(status.Reason)
	}
	status.Message = fmt.Sprintf("admission webhook %q denied the request", name) + why
	return &apierrors.StatusError{ErrStatus: status}
}

// question makes a review of the first version that the hook knows, and the empty one into which its answer is read.
func question(versions []string, uid types.UID, in *expression.Input) (ask, answer runtime.Object, err error) {
	request := *in.Request
	request.UID = uid
	request.Object.Object, request.OldObject.Object = in.Object, in.Old
	for _, version := range versions {
		switch version {
		case admissionv1.SchemeGroupVersion.Version:
			return &admissionv1.AdmissionReview{Request: &request}, &admissionv1.AdmissionReview{}, nil
		case admissionv1beta1.SchemeGroupVersion.Version:
			return &admissionv1beta1.AdmissionReview{Request: older(&request)}, &admissionv1beta1.AdmissionReview{}, nil
		}
	}
	return nil, nil, errors.New("webhook does not accept known AdmissionReview versions (v1, v1beta1)")
}

// older is a request in the words of v1beta1.
func older(r *admissionv1.AdmissionRequest) *admissionv1beta1.AdmissionRequest {
	return &admissionv1beta1.AdmissionRequest{
		UID: r.UID, Kind: r.Kind, Resource: r.Resource, SubResource: r.SubResource,
		RequestKind: r.RequestKind, RequestResource: r.RequestResource, RequestSubResource: r.RequestSubResource,
		Name: r.Name, Namespace: r.Namespace, Operation: admissionv1beta1.Operation(r.Operation), UserInfo: r.UserInfo,
		Object: r.Object, OldObject: r.OldObject, DryRun: r.DryRun, Options: r.Options,
	}
}

// answered checks an answer and returns it as v1 has it. What v1beta1 never asked of hooks is not asked of them now.
func answered(review runtime.Object, uid types.UID, changes bool) (*admissionv1.AdmissionResponse, error) {
	switch r := review.(type) {
	case *admissionv1.AdmissionReview:
		return r.Response, checkAnswer(r, uid, changes)
	case *admissionv1beta1.AdmissionReview:
		if r.Response == nil {
			return nil, errAbsent
		}
		out := &admissionv1.AdmissionResponse{
			UID: r.Response.UID, Allowed: r.Response.Allowed, Result: r.Response.Result, AuditAnnotations: r.Response.AuditAnnotations, Warnings: r.Response.Warnings,
		}
		if changes && len(r.Response.Patch) > 0 {
			patchType := admissionv1.PatchTypeJSONPatch
			out.Patch, out.PatchType = r.Response.Patch, &patchType
		}
		return out, nil
	}
	return nil, fmt.Errorf("unexpected response type %T", review)
}

var errAbsent = errors.New("webhook response was absent")

func checkAnswer(r *admissionv1.AdmissionReview, uid types.UID, changes bool) error {
	want := admissionv1.SchemeGroupVersion.WithKind("AdmissionReview")
	switch {
	case r.Response == nil:
		return errAbsent
	case r.Response.UID != uid:
		return fmt.Errorf("expected response.uid=%q, got %q", uid, r.Response.UID)
	case r.GroupVersionKind() != want:
		return fmt.Errorf("expected webhook response of %v, got %v", want, r.GroupVersionKind())
	}
	patch, patchType := r.Response.Patch, r.Response.PatchType
	switch {
	case !changes && len(patch) > 0:
		return errors.New("validating webhook may not return response.patch")
	case !changes && patchType != nil:
		return errors.New("validating webhook may not return response.patchType")
	case len(patch) > 0 && patchType == nil:
		return errors.New("webhook returned response.patch but not response.patchType")
	case len(patch) == 0 && patchType != nil:
		return errors.New("webhook returned response.patchType but not response.patch")
	case patchType != nil && *patchType == "":
		return fmt.Errorf("webhook returned invalid response.patchType of %q", *patchType)
	}
	return nil
}
