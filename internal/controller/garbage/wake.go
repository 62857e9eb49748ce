package garbage

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// wakes are the objects that a change of one of kind k concerns: itself, when who owns it has changed or a finalizer of the collector's begins to hold it; its
// dependents, when it is gone or begins to wait for them; and the owners that it no longer blocks.
func (c *collector) wakes(k *kinds.Kind, view client.View, ch client.Change) []engine.Key {
	if ch.New != nil && ch.Old != nil && ch.New.GetUID() != ch.Old.GetUID() { // two changes that a stream shows as one
		return append(c.wakes(k, view, client.Change{Old: ch.Old, Revision: ch.Revision}), c.wakes(k, view, client.Change{New: ch.New, Revision: ch.Revision})...)
	}
	if len(ch.Newest().GetOwnerReferences()) > 0 {
		c.owned.add(k.GVR())
	}
	served := c.served()
	var keys []engine.Key
	if ch.New == nil {
		if holds(ch.Old, metav1.FinalizerDeleteDependents) { // so that the engine forgets that it waited
			keys = append(keys, keyOf(k, ch.Old))
		}
		keys = append(keys, c.dependentKeys(view, served, ch.Old.GetUID())...)
		return append(keys, served.unblocked(ch.Old, nil)...)
	}
	if concerns(ch) {
		keys = append(keys, keyOf(k, ch.New))
	}
	if ch.Old != nil {
		keys = append(keys, served.unblocked(ch.Old, ch.New)...)
	}
	if holds(ch.New, metav1.FinalizerDeleteDependents) && (ch.Old == nil || !holds(ch.Old, metav1.FinalizerDeleteDependents)) {
		keys = append(keys, c.dependentKeys(view, served, ch.New.GetUID())...)
	}
	return keys
}

func keyOf(k *kinds.Kind, obj kinds.Object) engine.Key {
	return engine.Key{Resource: k.GVR(), Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// concerns says whether a change of an object that is there is one that its own judgement rests on.
func concerns(ch client.Change) bool {
	refs := ch.New.GetOwnerReferences()
	if ch.New.GetDeletionTimestamp() == nil {
		return len(refs) > 0 && (ch.Old == nil || !equality.Semantic.DeepEqual(refs, ch.Old.GetOwnerReferences()))
	}
	for _, f := range []string{metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents} {
		if holds(ch.New, f) && (ch.Old == nil || !holds(ch.Old, f)) {
			return true
		}
	}
	// One that is held by both is looked at for the other when the first has let go.
	return ch.Old != nil && holds(ch.Old, metav1.FinalizerOrphanDependents) && holds(ch.New, metav1.FinalizerDeleteDependents)
}

// holds says that obj is being deleted and that the finalizer holds it.
func holds(obj kinds.Object, finalizer string) bool {
	return obj.GetDeletionTimestamp() != nil && slices.Contains(obj.GetFinalizers(), finalizer)
}

// dependentKeys are those that name uid as an owner. Kinds of which no object ever had an owner are passed over: one that is written just
// now is woken by its own change.
func (c *collector) dependentKeys(view client.View, served *servedKinds, uid types.UID) []engine.Key {
	var keys []engine.Key
	for _, k := range served.collected {
		if !c.owned.has(k.GVR()) {
			continue
		}
		for obj := range view.Lookup(k.GVR(), client.OwnerIndex, string(uid)) {
			keys = append(keys, keyOf(k, obj))
		}
	}
	return keys
}

// unblocked are the owners that old blocked and obj, nil when it is gone, does not.
func (s *servedKinds) unblocked(old, obj kinds.Object) []engine.Key {
	still := map[types.UID]bool{}
	if obj != nil {
		for _, ref := range obj.GetOwnerReferences() {
			if blocks(ref) {
				still[ref.UID] = true
			}
		}
	}
	var keys []engine.Key
	for _, ref := range old.GetOwnerReferences() {
		if k := s.owner(ref); k != nil && blocks(ref) && !still[ref.UID] {
			keys = append(keys, engine.Key{Resource: k.GVR(), Namespace: placeOf(k, old), Name: ref.Name})
		}
	}
	return keys
}
