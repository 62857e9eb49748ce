// Package daemonset keeps one pod on every node that a set's template fits.
//
// # Vocabulary
//
// A node is wanted when the scheduler would let the set's pod onto it: node name, required affinity and selector, taints. It is bearable when a pod that is
// there may stay, which only a taint that evicts forbids. A pod's target is its node, or while it waits for the scheduler the one that its affinity names. A pod
// is new when it was made from the template as it is now, by its hash or by the number of the template, otherwise it is old. A set that surges runs a new pod
// beside the old one until the new one is available.
//
// # A round
//
//	history → manage: a pod for each wanted node, none for the others, what has ended replaced
//	        → when there was nothing to manage: rolling update
//	        → surplus history → status
//
// # Laws
//
//   - Decide is pure: the same objects and time give the same decision.
//   - A wanted node gets a pod when it has none. It has one, or while the set surges an old one and a new one.
//   - A rolling update takes no available pod away while maxUnavailable wanted nodes have none, and starts no surge beyond maxSurge; a set that surges takes an
//     old pod away when the new one is available or the old one is not ready.
//   - A pod that failed is replaced at once the first time, then after 1 s, doubled for each node up to 15 minutes.
//   - A change of a node wakes the sets of which it changes what they may do there, and no others.
//   - Events and what a status says are upstream's, word for word.
//
// What has failed where is remembered between rounds, under a lock that is a leaf; it is forgotten when floe ends, as upstream's.
//
// # What it leaves to others
//
// Binding belongs to the scheduler; pods on nodes that are gone to podgc; the pods of a deleted set to garbage; the form of the history to package revision.
package daemonset

import (
	"errors"
	"fmt"
	"maps"
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
	"github.com/floe-k8s/floe/internal/controller/revision"
	"github.com/floe-k8s/floe/internal/kinds"
)

func sets() client.Resource         { return appsv1.SchemeGroupVersion.WithResource("daemonsets") }
func nodes() client.Resource        { return corev1.SchemeGroupVersion.WithResource("nodes") }
func kind() schema.GroupVersionKind { return appsv1.SchemeGroupVersion.WithKind("DaemonSet") }

// New returns the controller.
func New() engine.Controller {
	c := &controller{failed: newMemory()}
	return engine.Controller{
		Name: "daemonset", Component: "daemonset-controller",
		User: "system:serviceaccount:kube-system:daemon-set-controller",
		Inputs: []engine.Input{
			{Resource: sets(), Keys: func(_ client.View, c client.Change) []engine.Key { return []engine.Key{keyOf(c.Newest())} }},
			{Resource: pods.Resource(), Keys: claim.Keys(sets(), kind(), selectorOf)},
			{Resource: revision.Resource(), Keys: claim.Keys(sets(), kind(), selectorOf)},
			{Resource: nodes(), Keys: nodeKeys},
		},
		Outputs: []engine.Output{
			{Resource: sets(), Fields: []string{"status"}},
			{Resource: pods.Resource(), Fields: []string{"metadata.ownerReferences[DaemonSet]", "metadata.labels[" + hashLabel + "]"}},
			{Resource: revision.Resource(), Fields: []string{"revision[DaemonSet]", "metadata.labels[" + hashLabel + "]", "metadata.ownerReferences[DaemonSet]"}},
		},
		Reconcile: c.reconcile,
	}
}

func keyOf(obj kinds.Object) engine.Key {
	return engine.Key{Resource: sets(), Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// selectorOf is what a set claims pods and revisions by.
func selectorOf(obj kinds.Object) labels.Selector {
	return claim.Selector(obj.(*appsv1.DaemonSet).Spec.Selector)
}

// nodeKeys are the sets to which a node is something else than before. Most changes of nodes are heartbeats, which touch nothing that matters.
func nodeKeys(view client.View, c client.Change) (keys []engine.Key) {
	was, _ := c.Old.(*corev1.Node)
	is, _ := c.New.(*corev1.Node)
	if was != nil && is != nil && maps.Equal(was.Labels, is.Labels) && slices.EqualFunc(was.Spec.Taints, is.Spec.Taints, sameTaint) {
		return nil
	}
	has := map[engine.Key]bool{}
	if was == nil { // pods that were there before their node, which may not want them
		for obj := range view.Lookup(pods.Resource(), "spec.nodeName", is.Name) {
			if ref := metav1.GetControllerOf(obj); ref != nil && ref.Kind == kind().Kind {
				has[engine.Key{Resource: sets(), Namespace: obj.GetNamespace(), Name: ref.Name}] = true
			}
		}
	}
	for obj := range view.List(sets(), "") {
		p := placeOf(obj.(*appsv1.DaemonSet))
		if key := keyOf(obj); has[key] || p.on(was) != p.on(is) {
			keys = append(keys, key)
		}
	}
	return keys
}

// sameTaint leaves out when a taint was put, which matters to nobody here.
func sameTaint(a, b corev1.Taint) bool {
	return a.Key == b.Key && a.Value == b.Value && a.Effect == b.Effect
}

// controller is what is remembered.
type controller struct {
	failed *memory
}

func (c *controller) reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	set, ok := view.Get(sets(), key.Namespace, key.Name).(*appsv1.DaemonSet)
	if !ok || set.DeletionTimestamp != nil { // what there is of its history and its pods goes in no order, so nothing of it can be told
		return engine.Plan{}, nil
	}
	sel := selectorOf(set)
	if sel == nil {
		return engine.Plan{}, nil // nothing that validation lets in
	}
	owner := claim.Owner{Object: set, GVK: kind(), Selector: sel}
	history, writes := claim.Objects[*appsv1.ControllerRevision](owner, view, revision.Resource(), nil)
	list, more := claim.Objects[*corev1.Pod](owner, view, pods.Resource(), nil)
	in := Input{
		Set: set, Pods: list, Revisions: history,
		Held: func(node string) time.Duration {
			return c.failed.held(spot{set.UID, set.Status.ObservedGeneration, node}, now)
		},
		Taken: func(name string) *appsv1.ControllerRevision {
			r, _ := view.Get(revision.Resource(), set.Namespace, name).(*appsv1.ControllerRevision)
			return r
		},
	}
	for obj := range view.List(nodes(), "") {
		in.Nodes = append(in.Nodes, obj.(*corev1.Node))
	}
	dec, err := Decide(in, now)
	if err != nil {
		return engine.Plan{}, fmt.Errorf("daemonset %s: %w", key, err)
	}
	for _, f := range dec.Found {
		if f.Pod.Status.Phase == corev1.PodFailed {
			c.failed.note(spot{set.UID, set.Status.ObservedGeneration, f.Node}, now)
		}
	}
	return plan(set, append(writes, more...), dec), nil
}

// plan turns a decision into writes and events. Pods are deleted before others are made, so that a quota that is used up is not in the way.
func plan(set *appsv1.DaemonSet, first []engine.Write, dec Decision) engine.Plan {
	about := engine.Refer("apps/v1", "DaemonSet", set)
	p := engine.Plan{Writes: append(first, dec.History...), After: dec.After, Waiting: dec.Waiting}
	for _, f := range dec.Found {
		p.Events = append(p.Events, f.event(about))
	}
	p.FailureEvents = func(error) []engine.Event { return p.Events }
	p.Writes = append(p.Writes, pods.Deletions(about, dec.Delete, 1)...)
	p.Writes = append(p.Writes, pods.Creations(about, podsFor(set, dec), 2)...)
	for _, r := range dec.Forget {
		p.Writes = append(p.Writes, engine.NewDelete(revision.Resource(), r, ""))
	}
	var told []engine.Write
	if dec.Status != nil {
		next := set.DeepCopy()
		next.Status = *dec.Status
		told = []engine.Write{engine.NewUpdate(sets(), next, "status")}
	}
	p.Writes = append(p.Writes, told...)
	p.OnFailure = func(err error) []engine.Write {
		var write *engine.WriteError
		if !errors.As(err, &write) || write.Resource == sets() {
			return nil
		}
		return told
	}
	return p
}

// event tells of a pod that has ended.
func (f Found) event(about corev1.ObjectReference) engine.Event {
	p := f.Pod
	if p.Status.Phase == corev1.PodFailed {
		return engine.Event{About: about, Type: corev1.EventTypeWarning, Reason: "FailedDaemonPod",
			Message: fmt.Sprintf("Found failed daemon pod %s/%s on node %s, will try to kill it", p.Namespace, p.Name, f.Node)}
	}
	return engine.Event{About: about, Type: corev1.EventTypeNormal, Reason: "SucceededDaemonPod",
		Message: fmt.Sprintf("Found succeeded daemon pod %s/%s on node %s, will try to delete it", p.Namespace, p.Name, f.Node)}
}
