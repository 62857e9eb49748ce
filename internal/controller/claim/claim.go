// Package claim sorts out which objects are whose: controllers with a selector take what nobody controls and let go what no longer matches.
//
// # Vocabulary and laws
//
// An object is owned when its controller reference has the owner's UID. Owned objects that match the selector are the owner's, also while either is being
// deleted. Owned ones that do not match are released, orphans that match are adopted: neither by an owner that is being deleted, and none is
// adopted that is being deleted itself. What others control is theirs. Both are writes with a precondition on what was seen.
//
// Objects are found by the indexes client.OwnerIndex and kinds.OrphanIndex: what one owner does costs nothing for the objects of others.
package claim

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Owner claims objects of its namespace. Its fields but Finalizer and Also are required and are not changed; a selector that matches everything claims everything.
type Owner struct {
	Object   kinds.Object
	GVK      schema.GroupVersionKind
	Selector labels.Selector
	// Finalizer is put on what is adopted and taken from what is released; "": none is.
	Finalizer string
	// Also must hold, when it is not nil, for what is the owner's, beside the selector.
	Also func(obj kinds.Object) bool
}

func (o Owner) matches(obj kinds.Object) bool {
	return o.Selector.Matches(labels.Set(obj.GetLabels())) && (o.Also == nil || o.Also(obj))
}

// Reference is that of the owner as a controller.
func (o Owner) Reference() metav1.OwnerReference { return *metav1.NewControllerRef(o.Object, o.GVK) }

// Objects returns the owner's objects of a resource, in key order, those that it adopts now last, and the writes that adopt and release. Objects of which
// may, when it is not nil, says no are neither adopted nor released. The objects are shared: those that are adopted are as they were.
func Objects[T kinds.Object](o Owner, view client.View, res client.Resource, may func(T) bool) (mine []T, writes []engine.Write) {
	own := o.Object
	leaving := own.GetDeletionTimestamp() != nil
	for obj := range view.Lookup(res, client.OwnerIndex, string(own.GetUID())) {
		ref := metav1.GetControllerOf(obj)
		switch {
		case ref == nil || ref.UID != own.GetUID() || obj.GetNamespace() != own.GetNamespace():
		case o.matches(obj):
			mine = append(mine, obj.(T))
		case !leaving && (may == nil || may(obj.(T))):
			rest := slices.DeleteFunc(slices.Clone(obj.GetOwnerReferences()), func(ref metav1.OwnerReference) bool { return ref.UID == own.GetUID() })
			others := slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(f string) bool { return f == o.Finalizer })
			writes = append(writes, o.refer(res, obj, rest, others))
		}
	}
	if leaving {
		return mine, writes
	}
	for obj := range view.Lookup(res, kinds.OrphanIndex, own.GetNamespace()) {
		t := obj.(T)
		if obj.GetDeletionTimestamp() != nil || !o.matches(obj) || may != nil && !may(t) {
			continue
		}
		finalizers := slices.Clone(obj.GetFinalizers())
		if !slices.Contains(finalizers, o.Finalizer) {
			finalizers = append(finalizers, o.Finalizer)
		}
		writes = append(writes, o.refer(res, obj, append(slices.Clone(obj.GetOwnerReferences()), o.Reference()), finalizers))
		mine = append(mine, t)
	}
	return mine, writes
}

// refer gives an object as it was seen other owners, and when the owner has a finalizer, other finalizers. It is a patch: upstream's controllers of pods may not update
// them.
func (o Owner) refer(res client.Resource, obj kinds.Object, owners []metav1.OwnerReference, finalizers []string) engine.Write {
	fields := map[string]any{"resourceVersion": obj.GetResourceVersion(), "ownerReferences": owners}
	if o.Finalizer != "" {
		fields["finalizers"] = finalizers
	}
	return engine.NewPatch(res, obj, map[string]any{"metadata": fields})
}

// Keys returns what a change of an object wakes, for engine.Input: the owners, of the resource and kind, that control it or did, and for an orphan all that
// would adopt it. selector is that of an owner; nil: it claims nothing.
func Keys(owners client.Resource, gvk schema.GroupVersionKind, selector func(owner kinds.Object) labels.Selector) func(client.View, client.Change) []engine.Key {
	return func(view client.View, c client.Change) (keys []engine.Key) {
		for _, obj := range []kinds.Object{c.New, c.Old} {
			if obj == nil {
				continue
			}
			if ref := metav1.GetControllerOf(obj); ref != nil {
				if from, err := schema.ParseGroupVersion(ref.APIVersion); err == nil && from.Group == gvk.Group && ref.Kind == gvk.Kind {
					keys = append(keys, engine.Key{Resource: owners, Namespace: obj.GetNamespace(), Name: ref.Name})
				}
				continue
			}
			if obj != c.New { // an orphan that is gone, or was adopted, is nobody's
				continue
			}
			for owner := range view.List(owners, obj.GetNamespace()) {
				if s := selector(owner); s != nil && s.Matches(labels.Set(obj.GetLabels())) {
					keys = append(keys, engine.Key{Resource: owners, Namespace: owner.GetNamespace(), Name: owner.GetName()})
				}
			}
		}
		return slices.Compact(keys)
	}
}

// Selector is that of a label selector in a controller's spec; nil when it is none, or selects everything, which validation refuses and no controller follows.
func Selector(of *metav1.LabelSelector) labels.Selector {
	s, err := metav1.LabelSelectorAsSelector(of)
	if err != nil || s.Empty() {
		return nil
	}
	return s
}
