// Package replicaset keeps as many pods as each ReplicaSet asks for, and as each set of another kind that works alike.
//
// # Vocabulary and laws
//
// A pod is owned when its controller reference has the set's UID; claimed when it is owned or was adopted now.
// Owned pods that no longer match the selector are released, orphans that match are adopted, never while set or pod
// is being deleted. Pods that have ended or are being deleted do not count. At most 500 pods are made or
// deleted per round; creations go in batches of 1, 2, 4, … so that a cluster that refuses them is asked little.
//
// The core knows ReplicaSets only. A Kind says how another kind's objects are read as such, and how a status is written back.
//
// The status is written after the pods, and says what was there before; the first pod that was refused is told in a condition until none is.
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

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/claim"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

func sets() client.Resource { return appsv1.SchemeGroupVersion.WithResource("replicasets") }

// Kind is a kind whose objects keep a number of pods. All fields are required.
type Kind struct {
	Name, Queue, Component string // of the controller; User is its identity
	User                   string
	Resource               client.Resource
	GVK                    schema.GroupVersionKind
	// Read is an object as a ReplicaSet; it may share with the object, and neither is changed.
	Read func(obj kinds.Object) *appsv1.ReplicaSet
	// Write is a copy of an object with a status.
	Write func(obj kinds.Object, status appsv1.ReplicaSetStatus) kinds.Object
	// Terminating says whether the status counts the pods that are being deleted.
	Terminating bool
}

// New returns the controller of ReplicaSets.
func New() engine.Controller {
	return Kind{
		Name: "replicaset", Queue: "replicaset", Component: "replicaset-controller",
		User:     "system:serviceaccount:kube-system:replicaset-controller",
		Resource: sets(), GVK: appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		Read: func(obj kinds.Object) *appsv1.ReplicaSet { return obj.(*appsv1.ReplicaSet) },
		Write: func(obj kinds.Object, status appsv1.ReplicaSetStatus) kinds.Object {
			next := obj.(*appsv1.ReplicaSet).DeepCopy()
			next.Status = status
			return next
		},
		Terminating: true,
	}.Controller()
}

// Controller returns the controller of a kind.
func (k Kind) Controller() engine.Controller {
	return engine.Controller{
		Name: k.Name, Queue: k.Queue, Component: k.Component, User: k.User,
		Inputs: []engine.Input{
			{Resource: k.Resource, Keys: func(_ client.View, c client.Change) []engine.Key { return []engine.Key{k.keyOf(c.Newest())} }},
			{Resource: pods.Resource(), Keys: claim.Keys(k.Resource, k.GVK, k.selectorOf)},
		},
		Outputs: []engine.Output{
			{Resource: k.Resource, Fields: []string{"status"}},
			{Resource: pods.Resource(), Fields: []string{"metadata.ownerReferences[" + k.GVK.Kind + "]"}},
		},
		Workers: 5, Reconcile: k.reconcile,
	}
}

func (k Kind) keyOf(obj kinds.Object) engine.Key {
	return engine.Key{Resource: k.Resource, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// selectorOf is what a set claims pods by.
func (k Kind) selectorOf(obj kinds.Object) labels.Selector {
	return claim.Selector(k.Read(obj).Spec.Selector)
}

func (k Kind) reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	obj := view.Get(k.Resource, key.Namespace, key.Name)
	if obj == nil {
		return engine.Plan{}, nil
	}
	set, sel := k.Read(obj), k.selectorOf(obj)
	if sel == nil {
		return engine.Plan{}, nil // nothing that validation lets in
	}
	owner := claim.Owner{Object: obj, GVK: k.GVK, Selector: sel}
	all, writes := claim.Objects(owner, view, pods.Resource(), pods.Active)
	claimed := slices.DeleteFunc(all, pods.Ended)
	d := Decide(set, claimed, k.peers(view, obj), now)
	plan := engine.Plan{Writes: writes, After: d.After}
	plan.Writes = append(plan.Writes, k.changes(obj, set, d)...)
	told := func(failure error) []engine.Write {
		st, changed := status(set, claimed, failure, d.Diff, now, k.Terminating)
		if !changed {
			return nil
		}
		// As it was seen: a status is written with all of metadata, and a user's labels are not to be undone.
		return []engine.Write{engine.NewUpdate(k.Resource, k.Write(obj, st), "status")}
	}
	plan.Writes = append(plan.Writes, told(nil)...)
	plan.OnFailure = func(err error) []engine.Write {
		failure, tell := podFailure(err)
		if !tell {
			return nil
		}
		return told(failure)
	}
	return plan, nil
}

// peers counts, by node, the active pods of all sets with the same controller, so that scaling down first takes from nodes with many. Nil for a set
// that nobody controls, whose pods upstream does not rank by their nodes.
func (k Kind) peers(view client.View, obj kinds.Object) map[string]int {
	ref := metav1.GetControllerOf(obj)
	if ref == nil {
		return nil
	}
	counts := map[string]int{}
	for peer := range view.Lookup(k.Resource, client.OwnerIndex, string(ref.UID)) {
		for p := range view.Lookup(pods.Resource(), client.OwnerIndex, string(peer.GetUID())) {
			if pod := p.(*corev1.Pod); pods.Active(pod) && pod.Spec.NodeName != "" {
				counts[pod.Spec.NodeName]++
			}
		}
	}
	return counts
}

// changes makes the pod writes of d, with their events.
func (k Kind) changes(obj kinds.Object, set *appsv1.ReplicaSet, d Decision) []engine.Write {
	version, name := k.GVK.ToAPIVersionAndKind()
	about := engine.Refer(version, name, obj)
	ref := *metav1.NewControllerRef(obj, k.GVK)
	more := make([]*corev1.Pod, d.Create)
	for i := range more {
		more[i] = pods.FromTemplate(&set.Spec.Template, set, ref)
	}
	return append(pods.Creations(about, more, 1), pods.Deletions(about, d.Delete, 1)...)
}
