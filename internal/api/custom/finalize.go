package custom

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
)

// This file is how a definition goes: its objects first.

// errLeft: there are objects of a definition that is going.
var errLeft = errors.New("objects are left")

// finalize removes the objects of a definition that is going, and then what holds it.
func (k *Keeper) finalize(ctx context.Context, name string) error {
	crd, _ := k.read(name)
	if crd == nil || crd.DeletionTimestamp == nil || !slices.Contains(crd.Finalizers, apiextensionsv1.CustomResourceCleanupFinalizer) {
		return nil
	}
	next, now := withStatus(crd), metav1.NewTime(k.Clock.Now()).Rfc3339Copy()
	reason, message := "NeverEstablished", "resource was never established"
	if apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established) {
		left, err := k.empty(ctx, k.known[name])
		if err == nil && left > 0 {
			err = errLeft
		}
		if err != nil {
			set(next, now, apiextensionsv1.Terminating, apiextensionsv1.ConditionTrue, "InstanceDeletionInProgress", "CustomResource deletion is in progress")
			if !errors.Is(err, errLeft) {
				set(next, now, apiextensionsv1.Terminating, apiextensionsv1.ConditionTrue, "InstanceDeletionFailed", fmt.Sprintf("could not issue all deletes: %v", err))
			}
			if !equality.Semantic.DeepEqual(next.Status, crd.Status) {
				return errors.Join(err, k.write(ctx, next))
			}
			return err
		}
		reason, message = "InstanceDeletionCompleted", "removed all instances"
	}
	set(next, now, apiextensionsv1.Terminating, apiextensionsv1.ConditionFalse, reason, message)
	next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == apiextensionsv1.CustomResourceCleanupFinalizer })
	return k.write(ctx, next)
}

// empty deletes all objects of a definition, and returns how many are left.
func (k *Keeper) empty(ctx context.Context, s *state) (left int, err error) {
	if s == nil || s.serving == nil || len(s.serving.kinds) == 0 {
		return 0, nil
	}
	req := api.Request{User: k.User, Manager: "kube-apiserver"}
	for _, one := range s.serving.kinds {
		if one.Keeps() {
			req.Kind = one
		}
	}
	if req.Kind == nil || k.API.Store.Snapshot().Count(req.Kind.Prefix()) == 0 {
		return 0, nil
	}
	if _, err := k.API.DeleteCollection(ctx, req, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return 0, err
	}
	return k.API.Store.Snapshot().Count(req.Kind.Prefix()), nil
}
