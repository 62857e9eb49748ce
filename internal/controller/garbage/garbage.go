// Package garbage deletes what has lost its owners, and finishes deletions that orphan or wait for dependents.
//
// # Vocabulary
//
// A dependent names its owners in ownerReferences. Deletion is in the background (owner first), in the foreground
// (dependents first, held by the finalizer foregroundDeletion) or orphaning (references removed, held by the finalizer orphan).
// A reference is judged: its owner is there, waits for its dependents to go, or is absent; or nobody can tell, because nothing of
// that apiVersion and kind is served, or its server does not answer; or it is misplaced: a cluster-wide object names an owner of a kind that has a namespace.
//
// # Laws
//
//   - An object is deleted only when each of its owners is absent or waits, and only if it is still as it was judged: its UID
//     and its version are preconditions, so an owner that it was given meanwhile saves it.
//   - An owner is absent when, in the view that shows the reference, no object of that kind and name has that UID in the dependent's
//     namespace, or for kinds without one anywhere. A view is one state of all resources, and UIDs are made up by the API, so an owner
//     that a view does not show will not appear: nobody needs to be asked again.
//   - An owner of an aggregated API is asked for at its server each time its dependents are judged, every minute, and absent only if that says so in the words of the
//     API. One of whose server nothing is heard is one of which nobody can tell.
//   - An object with an owner of which nobody can tell, or a misplaced one, is left alone, whatever its other owners are.
//   - A foreground deletion waits for dependents that set blockOwnerDeletion and could have the owner. Where dependents wait for each other in a circle, those
//     that are in it let go of their owners first.
//   - Nothing is scanned but for one thing: dependents are found by the index of owners. Whether an absent owner exists in another namespace, of which
//     an event tells, is asked once for each owner.
//
// What happened while nobody looked needs no memory: at start every object that has owners, or that a finalizer of the
// collector's holds, is judged.
//
// # What it leaves to others
//
// Adding the finalizers on a delete request belongs to api, the content of namespaces to namespace. Objects of aggregated APIs are known
// as owners, but neither collected nor let go when they wait or orphan: their servers do that, or somebody who follows them.
package garbage

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// askAgain is when an object is looked at again that has an owner of a kind that no view shows.
const askAgain = time.Minute

// New returns the controller; it collects objects of the kinds that catalog names at the time, and knows them as owners, and those of others, which may be nil.
func New(catalog engine.Catalog, others Others) engine.Controller {
	c := newCollector(catalog, others)
	return engine.Controller{
		Name: "garbage", Component: "garbage-collector-controller", Queue: "garbage_collector_attempt_to_delete",
		User: "system:serviceaccount:kube-system:generic-garbage-collector", Workers: 20,
		Every: func(k *kinds.Kind) func(client.View, client.Change) []engine.Key {
			if !collects(k) {
				return nil
			}
			return func(view client.View, ch client.Change) []engine.Key { return c.wakes(k, view, ch) }
		},
		Outputs: []engine.Output{{Resource: engine.Every(), Fields: []string{
			"metadata.finalizers[orphan,foregroundDeletion]", "metadata.ownerReferences[absent,waiting,orphaned]",
		}}},
		Reconcile: c.reconcile,
	}
}

func (c *collector) reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	served := c.served()
	k := served.kind(key.Resource)
	if k == nil {
		return engine.Plan{}, nil // with its kind, the object is gone
	}
	obj := view.Get(key.Resource, key.Namespace, key.Name)
	switch {
	case obj == nil:
		return engine.Plan{}, nil
	case obj.GetDeletionTimestamp() == nil:
		return c.judge(view, served, k, obj, now), nil
	case slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents):
		return orphan(view, served, k, obj), nil
	case slices.Contains(obj.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return foreground(view, served, k, obj), nil
	}
	return engine.Plan{}, nil
}

// orphan takes the owner's reference from every dependent, then lets the owner go.
func orphan(view client.View, served *servedKinds, k *kinds.Kind, owner kinds.Object) engine.Plan {
	var plan engine.Plan
	for d := range served.dependents(view, owner.GetUID()) {
		w := without(d, func(ref metav1.OwnerReference) bool { return ref.UID == owner.GetUID() })
		w.Batch = 1
		plan.Writes = append(plan.Writes, w)
	}
	plan.Writes = append(plan.Writes, unhold(k, owner, metav1.FinalizerOrphanDependents))
	return plan
}

// foreground lets the owner go when no dependent blocks it. The dependents were woken when its deletion began, and delete themselves.
func foreground(view client.View, served *servedKinds, k *kinds.Kind, owner kinds.Object) engine.Plan {
	for d := range served.dependents(view, owner.GetUID()) {
		owned := d.obj.GetUID() != owner.GetUID() && (!k.Namespaced || d.obj.GetNamespace() == owner.GetNamespace())
		if owned && slices.ContainsFunc(d.obj.GetOwnerReferences(), func(ref metav1.OwnerReference) bool {
			return ref.UID == owner.GetUID() && blocks(ref)
		}) {
			return engine.Plan{Waiting: "dependents that block the deletion, " + d.kind.Resource + " " + d.obj.GetName() + " for one"}
		}
	}
	return engine.Plan{Writes: []engine.Write{unhold(k, owner, metav1.FinalizerDeleteDependents)}}
}

func blocks(ref metav1.OwnerReference) bool {
	return ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
}

// without is the write that drops references of d.
func without(d dependent, drop func(metav1.OwnerReference) bool) engine.Write {
	next := d.obj.DeepCopyObject().(kinds.Object)
	next.SetOwnerReferences(slices.DeleteFunc(next.GetOwnerReferences(), drop))
	return engine.NewUpdate(d.kind.GVR(), next, "")
}

// unhold is the write that takes a finalizer from obj.
func unhold(k *kinds.Kind, obj kinds.Object, finalizer string) engine.Write {
	next := obj.DeepCopyObject().(kinds.Object)
	next.SetFinalizers(slices.DeleteFunc(next.GetFinalizers(), func(f string) bool { return f == finalizer }))
	return engine.NewUpdate(k.GVR(), next, "")
}
