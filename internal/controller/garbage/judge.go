package garbage

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// verdict is what a reference is worth.
type verdict int

const (
	ownerThere     verdict = iota
	ownerWaits             // it is being deleted in the foreground
	ownerAbsent            // it is gone, or never was
	ownerUnknown           // no such kind is served, or its server does not answer
	ownerMisplaced         // its kind has a namespace, the dependent has none
)

// about is the verdict on one reference of obj to an owner of kind k.
func about(view client.View, k *kinds.Kind, obj kinds.Object, ref metav1.OwnerReference) verdict {
	switch {
	case k.Namespaced && obj.GetNamespace() == "":
		return ownerMisplaced
	}
	owner := view.Get(k.GVR(), placeOf(k, obj), ref.Name)
	switch {
	case owner == nil || owner.GetUID() != ref.UID:
		return ownerAbsent
	case owner.GetDeletionTimestamp() != nil && slices.Contains(owner.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return ownerWaits
	}
	return ownerThere
}

// placeOf is the namespace in which an owner of kind k stands that obj may have.
func placeOf(k *kinds.Kind, obj kinds.Object) string {
	if k.Namespaced {
		return obj.GetNamespace()
	}
	return ""
}

// judge looks at an object that is not being deleted.
func (c *collector) judge(view client.View, served *servedKinds, k *kinds.Kind, obj kinds.Object, now time.Time) engine.Plan {
	var plan engine.Plan
	count := map[verdict]int{}
	lost := map[types.UID]bool{}
	for _, ref := range obj.GetOwnerReferences() {
		var v verdict
		var why string
		if own := served.owner(ref); own != nil {
			v = about(view, own, obj, ref)
		} else {
			v, why = c.outside.about(obj, ref, now)
			plan.After = askAgain // nobody tells of what becomes of it
		}
		count[v]++
		switch v {
		case ownerUnknown:
			plan.Waiting = why
		case ownerAbsent, ownerMisplaced:
			plan.Events = append(plan.Events, c.elsewhere(view, served, k, obj, ref)...)
			lost[ref.UID] = true
		case ownerWaits:
			lost[ref.UID] = true
		}
	}
	switch {
	case count[ownerUnknown]+count[ownerMisplaced] > 0 || len(lost) == 0:
	case count[ownerThere] > 0: // it stays, without those that hold nothing
		plan.Writes = []engine.Write{without(dependent{k, obj}, func(ref metav1.OwnerReference) bool { return lost[ref.UID] })}
	default:
		plan.Writes = []engine.Write{collect(view, served, k, obj, count[ownerWaits] > 0)}
	}
	return plan
}

// collect is the write that deletes obj, which has no owner left; waits says that one waits for it. An object that is to go in the foreground, and has a
// dependent that does so too, may be in a circle with it: it no longer blocks its owners then, and is deleted when that is seen.
func collect(view client.View, served *servedKinds, k *kinds.Kind, obj kinds.Object, waits bool) engine.Write {
	policy, own := metav1.DeletePropagationBackground, 0
	if waits {
		for d := range served.dependents(view, obj.GetUID()) {
			own++
			if holds(d.obj, metav1.FinalizerDeleteDependents) && slices.ContainsFunc(obj.GetOwnerReferences(), blocks) {
				return unblock(k, obj)
			}
		}
	}
	switch {
	case own > 0:
		policy = metav1.DeletePropagationForeground
	case slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents):
		policy = metav1.DeletePropagationOrphan
	case slices.Contains(obj.GetFinalizers(), metav1.FinalizerDeleteDependents):
		policy = metav1.DeletePropagationForeground
	}
	return engine.NewDelete(k.GVR(), obj, policy).AsSeen(obj)
}

func unblock(k *kinds.Kind, obj kinds.Object) engine.Write {
	next := obj.DeepCopyObject().(kinds.Object)
	refs := next.GetOwnerReferences()
	for i := range refs {
		if blocks(refs[i]) {
			*refs[i].BlockOwnerDeletion = false
		}
	}
	next.SetOwnerReferences(refs)
	return engine.NewUpdate(k.GVR(), next, "")
}

// elsewhere is the event that tells of an owner that exists, but not where obj could have it.
func (c *collector) elsewhere(view client.View, served *servedKinds, k *kinds.Kind, obj kinds.Object, ref metav1.OwnerReference) []engine.Event {
	owners := served.owner(ref)
	absent := metav1.OwnerReference{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name, UID: ref.UID}
	if owners == nil || !owners.Namespaced || c.nowhere.has(absent) {
		return nil
	}
	for ns := range view.List(namespaces(), "") {
		owner := view.Get(owners.GVR(), ns.GetName(), ref.Name)
		if owner == nil || owner.GetUID() != ref.UID {
			continue
		}
		about := engine.Refer(k.GVK.GroupVersion().String(), k.GVK.Kind, obj)
		about.ResourceVersion = ""
		return []engine.Event{{
			About: about, Type: corev1.EventTypeWarning, Reason: "OwnerRefInvalidNamespace",
			Message: fmt.Sprintf("ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace %q",
				ref.APIVersion, ref.Kind, obj.GetNamespace(), ref.Name, ref.UID, obj.GetNamespace()),
		}}
	}
	c.nowhere.add(absent)
	return nil
}
