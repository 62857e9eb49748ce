package kinds

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// View is how a kind shows the objects of its hub, which alone are stored. Whatever the hub can hold goes to the view's form and back without loss; what a
// client writes in the view's form and the hub has no place for is lost, as it is upstream. All functions are pure.
type View struct {
	Hub *Kind
	// To returns a hub's object in the view's form. It keeps hub as it is and may share what it holds. The type that hub says it is becomes the view's.
	To func(hub Object) (Object, error)
	// From is the way back.
	From func(obj Object) Object
	// Default fills unset fields of an object in the view's form in place, before it goes to the hub's, whose Default follows. nil: there are none.
	Default func(obj Object)
	// Fields are the hub's names of the selectable fields that the view has, by its own names. nil: both have the same.
	Fields map[string]string
}

// Own returns an object of the view's form, which is private to the caller, as the hub's.
func (v *View) Own(obj Object) Object {
	if v.Default != nil {
		v.Default(obj)
	}
	return v.From(obj)
}

// ViewOf returns the kind gvk that shows v.Hub's objects as v says: all else, such as names, columns and subresources, is the hub's,
// unless the caller sets it: upstream asks more of some newer versions.
func ViewOf(gvk schema.GroupVersionKind, v View, obj func() Object, list func() runtime.Object) *Kind {
	k := *v.Hub
	k.GVK, k.View, k.New, k.NewList, k.Storage = gvk, &v, obj, list, v.Hub.storage()
	k.Subresources = slices.Clone(k.Subresources)
	for i := range k.Subresources {
		if k.Subresources[i].GVK == v.Hub.GVK {
			k.Subresources[i].GVK = gvk
		}
	}
	return &k
}

// Stored is the kind of which objects are stored: a view's hub, or k itself.
func (k *Kind) Stored() *Kind {
	if k.View != nil {
		return k.View.Hub
	}
	return k
}

// Keeps says whether objects are stored under the kind's own name: it is no view, no other version, and they are not just answered.
func (k *Kind) Keeps() bool {
	return k.View == nil && !k.Answered && (k.Dynamic == nil || k.Dynamic.Show == nil)
}

// Shown returns an object as stored in the form that the kind's clients see. It is obj itself but for a view.
func (k *Kind) Shown(obj Object) (Object, error) {
	if k.View == nil {
		return obj, nil
	}
	return k.View.To(obj)
}
