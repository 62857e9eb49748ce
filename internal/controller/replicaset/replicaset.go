// Package replicaset keeps as many pods as each ReplicaSet asks for.
//
// # Vocabulary and laws
//
// A pod is owned when its controller reference has the set's UID; claimed when it is owned or was adopted now.
// Owned pods that no longer match the selector are released, orphans that match are adopted, never while set or pod
// is being deleted. Pods that have ended or are being deleted do not count. At most 500 pods are made or
// deleted per round; creations go in batches of 1, 2, 4, … so that a cluster that refuses them is asked little.
//
// # What it leaves to others
//
// Rollouts belong to deployment, removing the pods of a deleted set to garbage.
package replicaset

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/claim"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

func sets() client.Resource         { return appsv1.SchemeGroupVersion.WithResource("replicasets") }
func kind() schema.GroupVersionKind { return appsv1.SchemeGroupVersion.WithKind("ReplicaSet") }

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "replicaset", Component: "replicaset-controller",
		User: "system:serviceaccount:kube-system:replicaset-controller",
		Inputs: []engine.Input{
			{Resource: sets(), Keys: func(_ client.View, c client.Change) []engine.Key { return []engine.Key{keyOf(c.Newest())} }},
			{Resource: pods.Resource(), Keys: claim.Keys(sets(), kind(), selectorOf)},
		},
		Outputs: []engine.Output{
			{Resource: sets(), Fields: []string{"status"}},
			{Resource: pods.Resource(), Fields: []string{"metadata.ownerReferences[ReplicaSet]"}},
		},
		Workers: 5, Reconcile: reconcile,
	}
}

func keyOf(obj kinds.Object) engine.Key {
	return engine.Key{Resource: sets(), Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// selectorOf is what a set claims pods by.
func selectorOf(set kinds.Object) labels.Selector {
	return claim.Selector(set.(*appsv1.ReplicaSet).Spec.Selector)
}

func reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	obj := view.Get(sets(), key.Namespace, key.Name)
	if obj == nil {
		return engine.Plan{}, nil
	}
	set := obj.(*appsv1.ReplicaSet)
	sel := selectorOf(set)
	if sel == nil {
		return engine.Plan{}, nil // nothing that validation lets in
	}
	owner := claim.Owner{Object: set, GVK: kind(), Selector: sel}
	all, writes := claim.Objects(owner, view, pods.Resource(), pods.Active)
	claimed := slices.DeleteFunc(all, pods.Ended)
	peers := peerCounts(view, set)
	d := Decide(set, claimed, peers, now)
	plan := engine.Plan{Writes: writes, After: d.After}
	plan.Writes = append(plan.Writes, changes(set, d)...)
	status := func(failure error) []engine.Write {
		next := status(set, claimed, failure, d.Diff, now)
		if next == nil {
			return nil
		}
		return []engine.Write{engine.NewUpdate(sets(), next, "status")}
	}
	plan.Writes = append(plan.Writes, status(nil)...)
	if d.Diff != 0 {
		plan.OnFailure = status
	}
	return plan, nil
}

// peerCounts counts, by node, the active pods of all sets with the same controller as set, so that scaling down
// first takes from nodes with many.
func peerCounts(view client.View, set *appsv1.ReplicaSet) map[string]int {
	counts := map[string]int{}
	count := func(uid types.UID) {
		for p := range view.Lookup(pods.Resource(), client.OwnerIndex, string(uid)) {
			if pod := p.(*corev1.Pod); pods.Active(pod) && pod.Spec.NodeName != "" {
				counts[pod.Spec.NodeName]++
			}
		}
	}
	ref := metav1.GetControllerOf(set)
	if ref == nil {
		count(set.UID)
		return counts
	}
	for peer := range view.Lookup(sets(), client.OwnerIndex, string(ref.UID)) {
		count(peer.GetUID())
	}
	return counts
}

// changes makes the pod writes of d, with their events.
func changes(set *appsv1.ReplicaSet, d Decision) []engine.Write {
	about := engine.Refer("apps/v1", "ReplicaSet", set)
	ref := *metav1.NewControllerRef(set, kind())
	more := make([]*corev1.Pod, d.Create)
	for i := range more {
		more[i] = pods.FromTemplate(&set.Spec.Template, set, ref)
	}
	return append(pods.Creations(about, more, 1), pods.Deletions(about, d.Delete, 1)...)
}
