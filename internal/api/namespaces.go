package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// This file is upstream's admission plug-in NamespaceLifecycle, and what is particular to deleting namespaces.

const namespaceLifecycle = "NamespaceLifecycle"

func isNamespace(k *kinds.Kind) bool { return k.GVK.Group == "" && k.Resource == "namespaces" }

// checkNamespace is checkPreconditions for namespaces, whose deletion upstream decides in a place of its own.
func checkNamespace(req Request, p *metav1.Preconditions, uid types.UID, version string) error {
	switch {
	case p.UID != nil && *p.UID != uid:
		return conflict(req, mismatch("UID", *p.UID, uid))
	case p.ResourceVersion != nil && *p.ResourceVersion != version:
		return conflict(req, mismatch("ResourceVersion", *p.ResourceVersion, version))
	}
	return nil
}

// namespaceAccepts refuses new content for a namespace that is not there or is going, and returns the condition that it
// stays as it was found; an empty one for objects without a namespace.
func (s *Server) namespaceAccepts(ctx context.Context, req Request, obj kinds.Object) (store.Condition, error) {
	if !req.Kind.Namespaced || slices.Contains(s.NoAdmission, namespaceLifecycle) {
		return store.Condition{}, nil
	}
	name := obj.GetNamespace()
	group := corev1.Resource("namespaces")
	k := s.Kind(corev1.SchemeGroupVersion.WithResource("namespaces"))
	if k == nil {
		return store.Condition{}, apierrors.NewInternalError(errors.New("namespaces are not served"))
	}
	item, ok := s.Store.Head(keyOf(k, "", name))
	if !ok {
		return store.Condition{}, s.settle(ctx, item.Revision, apierrors.NewNotFound(group, name))
	}
	ns, err := Object(&item)
	if err != nil {
		return store.Condition{}, apierrors.NewInternalError(err)
	}
	if ns.GetDeletionTimestamp() != nil {
		err := apierrors.NewForbidden(req.resource(), obj.GetName(), fmt.Errorf("unable to create new content in namespace %s because it is being terminated", name))
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: corev1.NamespaceTerminatingCause, Message: fmt.Sprintf("namespace %s is being terminated", name), Field: "metadata.namespace",
		})
		return store.Condition{}, s.settle(ctx, item.Revision, err)
	}
	return store.Condition{Key: item.Key, Revision: item.Revision}, nil
}
