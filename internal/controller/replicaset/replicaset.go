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
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

func pods() client.Resource { return corev1.SchemeGroupVersion.WithResource("pods") }
func sets() client.Resource { return appsv1.SchemeGroupVersion.WithResource("replicasets") }

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "replicaset", Component: "replicaset-controller",
		User: "system:serviceaccount:kube-system:replicaset-controller",
		Inputs: []engine.Input{
			{Resource: sets(), Keys: func(_ client.View, c client.Change) []engine.Key { return []engine.Key{keyOf(c.Newest())} }},
			{Resource: pods(), Keys: podKeys},
		},
		Outputs: []engine.Output{
			{Resource: sets(), Fields: []string{"status"}},
			{Resource: pods(), Fields: []string{"metadata.ownerReferences[ReplicaSet]"}},
		},
		Workers: 5, Reconcile: reconcile,
	}
}

func keyOf(obj kinds.Object) engine.Key {
	return engine.Key{Resource: sets(), Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// podKeys wakes the sets that own the pod or did, and for an orphan those that would adopt it.
func podKeys(view client.View, c client.Change) []engine.Key {
	var keys []engine.Key
	for _, obj := range []kinds.Object{c.New, c.Old} {
		if obj == nil {
			continue
		}
		if ref := metav1.GetControllerOf(obj); ref != nil {
			if ref.Kind == "ReplicaSet" {
				keys = append(keys, engine.Key{Resource: sets(), Namespace: obj.GetNamespace(), Name: ref.Name})
			}
			continue
		}
		for set := range view.List(sets(), obj.GetNamespace()) {
			sel, err := metav1.LabelSelectorAsSelector(set.(*appsv1.ReplicaSet).Spec.Selector)
			if err == nil && !sel.Empty() && sel.Matches(labels.Set(obj.GetLabels())) {
				keys = append(keys, keyOf(set))
			}
		}
	}
	return keys
}

func reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	obj := view.Get(sets(), key.Namespace, key.Name)
	if obj == nil {
		return engine.Plan{}, nil
	}
	set := obj.(*appsv1.ReplicaSet)
	sel, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return engine.Plan{}, fmt.Errorf("replica set %s: selector: %w", key, err)
	}
	all := []*corev1.Pod{}
	for p := range view.List(pods(), key.Namespace) {
		all = append(all, p.(*corev1.Pod))
	}
	claimed, writes := claim(set, sel, all)
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

// claim sorts out whose pods all are: it returns those of set that are not ended, and what adopts and
// releases.
func claim(set *appsv1.ReplicaSet, sel labels.Selector, all []*corev1.Pod) (claimed []*corev1.Pod, writes []engine.Write) {
	for _, p := range all {
		ref := metav1.GetControllerOf(p)
		matches := sel.Matches(labels.Set(p.Labels))
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		switch {
		case ref != nil && ref.UID != set.UID:
		case ref != nil && matches:
			if !ended {
				claimed = append(claimed, p)
			}
		case ref != nil && set.DeletionTimestamp == nil: // owned, and does not match any more
			writes = append(writes, engine.NewUpdate(pods(), disowned(p, set.UID), ""))
		case ref == nil && matches && !ended && set.DeletionTimestamp == nil && p.DeletionTimestamp == nil:
			next := p.DeepCopy()
			next.OwnerReferences = append(next.OwnerReferences, ownerRef(set))
			writes = append(writes, engine.NewUpdate(pods(), next, ""))
			claimed = append(claimed, p)
		}
	}
	return claimed, writes
}

func disowned(p *corev1.Pod, uid types.UID) *corev1.Pod {
	next := p.DeepCopy()
	next.OwnerReferences = nil
	for _, ref := range p.OwnerReferences {
		if ref.UID != uid {
			next.OwnerReferences = append(next.OwnerReferences, ref)
		}
	}
	return next
}

func ownerRef(set *appsv1.ReplicaSet) metav1.OwnerReference {
	return *metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
}

// peerCounts counts, by node, the active pods of all sets with the same controller as set, so that scaling down
// first takes from nodes with many.
func peerCounts(view client.View, set *appsv1.ReplicaSet) map[string]int {
	counts := map[string]int{}
	count := func(uid types.UID) {
		for p := range view.Lookup(pods(), "owner", string(uid)) {
			if pod := p.(*corev1.Pod); active(pod) && pod.Spec.NodeName != "" {
				counts[pod.Spec.NodeName]++
			}
		}
	}
	ref := metav1.GetControllerOf(set)
	if ref == nil {
		count(set.UID)
		return counts
	}
	for peer := range view.Lookup(sets(), "owner", string(ref.UID)) {
		count(peer.GetUID())
	}
	return counts
}

// changes makes the pod writes of d, with their events.
func changes(set *appsv1.ReplicaSet, d Decision) []engine.Write {
	about := engine.Refer("apps/v1", "ReplicaSet", set)
	var writes []engine.Write
	batch, room := 1, 1
	for range d.Create {
		if room == 0 {
			batch, room = batch+1, 1<<batch
		}
		room--
		w := engine.NewCreate(pods(), newPod(set))
		w.Batch = batch
		w.Event = func(stored kinds.Object, err error) *engine.Event {
			if err != nil {
				return &engine.Event{About: about, Type: corev1.EventTypeWarning, Reason: "FailedCreate", Message: fmt.Sprintf("Error creating: %v", err)}
			}
			return &engine.Event{About: about, Type: corev1.EventTypeNormal, Reason: "SuccessfulCreate", Message: "Created pod: " + stored.GetName()}
		}
		writes = append(writes, w)
	}
	for _, p := range d.Delete {
		w := engine.NewDelete(pods(), p, "")
		w.Batch = 1
		w.Event = func(_ kinds.Object, err error) *engine.Event {
			if err != nil {
				return &engine.Event{About: about, Type: corev1.EventTypeWarning, Reason: "FailedDelete", Message: fmt.Sprintf("Error deleting: %v", err)}
			}
			return &engine.Event{About: about, Type: corev1.EventTypeNormal, Reason: "SuccessfulDelete", Message: "Deleted pod: " + p.Name}
		}
		writes = append(writes, w)
	}
	return writes
}

func newPod(set *appsv1.ReplicaSet) *corev1.Pod {
	t := set.Spec.Template.DeepCopy()
	prefix := set.Name + "-"
	if len(prefix) > 253 { // a prefix that is no valid name alone is left as upstream leaves it
		prefix = set.Name
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, GenerateName: prefix, Labels: t.Labels, Annotations: t.Annotations,
			Finalizers: t.Finalizers, OwnerReferences: []metav1.OwnerReference{ownerRef(set)}},
		Spec: t.Spec,
	}
}
