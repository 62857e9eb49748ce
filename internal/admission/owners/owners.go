// Package owners is the admission plug-in OwnerReferencesPermissionEnforcement, off by default: who gives an object owners could have deleted it, and who lets it
// hold an owner's deletion up may set that owner's finalizers.
package owners

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Catalog returns the kinds that are served now. It is safe for concurrent use.
type Catalog func() *kinds.Catalog

// New returns the plug-in; catalog may be nil where nothing is asked of it.
func New(authorize auth.Authorizer, catalog Catalog) admission.Plugin {
	return admission.Plugin{Name: "OwnerReferencesPermissionEnforcement", Validate: func(ctx context.Context, a *admission.Attributes) error {
		return validate(ctx, a, authorize, catalog)
	}}
}

func validate(ctx context.Context, a *admission.Attributes, authorize auth.Authorizer, catalog Catalog) error {
	obj, ok := a.Object.(metav1.Object)
	if !ok || a.Is("", "pods", "status") || a.Operation != admission.Create && a.Operation != admission.Update {
		return nil
	}
	var before []metav1.OwnerReference
	if old, ok := a.Old.(metav1.Object); ok {
		before = old.GetOwnerReferences()
	}
	refs := obj.GetOwnerReferences()
	if slices.EqualFunc(refs, before, func(x, y metav1.OwnerReference) bool { return equality.Semantic.DeepEqual(x, y) }) {
		return nil
	}
	if a.Operation != admission.Create { // who makes an object could have left it
		res := a.Resource()
		decision, reason, err := authorize(ctx, a.User, auth.Attributes{
			Verb: "delete", Namespace: a.Namespace, Group: res.Group, Version: res.Version, Resource: res.Resource, Subresource: a.Subresource, Name: a.Name,
		})
		if decision != auth.Allow {
			return a.Forbidf("cannot set an ownerRef on a resource you can't delete: %v, %v", reason, err)
		}
	}
	holding := newlyHolding(refs, before)
	if len(holding) == 0 {
		return nil
	}
	everything := auth.Attributes{Verb: "update", Group: "*", Version: "*", Resource: "*", Subresource: "finalizers", Name: "*"}
	if decision, _, _ := authorize(ctx, a.User, everything); decision == auth.Allow {
		return nil
	}
	for _, ref := range holding {
		if err := mayHold(ctx, a, authorize, catalog, ref); err != nil {
			return err
		}
	}
	return nil
}

// newlyHolding are the references that hold their owner's deletion up and did not before.
func newlyHolding(refs, before []metav1.OwnerReference) (out []metav1.OwnerReference) {
	for _, ref := range refs {
		if !blocks(ref) || slices.ContainsFunc(before, func(old metav1.OwnerReference) bool { return old.UID == ref.UID && blocks(old) }) {
			continue
		}
		out = append(out, ref)
	}
	return out
}

func blocks(ref metav1.OwnerReference) bool {
	return ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
}

// mayHold refuses a reference to an owner whose finalizers the user may not set.
func mayHold(ctx context.Context, a *admission.Attributes, authorize auth.Authorizer, catalog Catalog, ref metav1.OwnerReference) error {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	found := false
	if err == nil {
		for _, k := range catalog().All() {
			if k.GVK != gv.WithKind(ref.Kind) {
				continue
			}
			found = true
			attrs := auth.Attributes{Verb: "update", Group: gv.Group, Version: gv.Version, Resource: k.Resource, Subresource: "finalizers", Name: ref.Name}
			if k.Namespaced { // an owner is in the same namespace
				attrs.Namespace = a.Namespace
			}
			decision, reason, err := authorize(ctx, a.User, attrs)
			if decision != auth.Allow {
				return a.Forbidf("cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: %v, %v", reason, err)
			}
		}
		if !found {
			err = &noMatch{gv.WithKind(ref.Kind)}
		}
	}
	if err != nil {
		return a.Forbidf("cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion %s Kind %s: %w", ref.APIVersion, ref.Kind, err)
	}
	return nil
}

// noMatch says that nothing of a kind is served.
type noMatch struct{ kind schema.GroupVersionKind }

// Error is upstream's text.
func (e *noMatch) Error() string {
	return `no matches for kind "` + e.kind.Kind + `" in version "` + e.kind.GroupVersion().String() + `"`
}
