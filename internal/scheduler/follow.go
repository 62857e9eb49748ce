package scheduler

import (
	"cmp"
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
)

// apply enters a change into the table and tells the queue of it.
func (s *Scheduler) apply(ctx context.Context, c client.Change) {
	obj, gone := c.Newest(), c.New == nil
	switch o := obj.(type) {
	case *corev1.Node:
		old, _ := c.Old.(*corev1.Node)
		s.applyNode(old, o, gone)
	case *corev1.Pod:
		old, _ := c.Old.(*corev1.Pod)
		s.applyPod(ctx, old, o, gone)
	case *corev1.Namespace:
		s.applyNamespace(c, o, gone)
	case *policyv1.PodDisruptionBudget:
		if gone {
			s.budgets.Remove(o.Namespace, o.Name)
		} else {
			s.budgets.Set(o)
		}
	default:
		if !s.applyClaimed(c, obj, gone) {
			s.applyOwner(obj, gone)
		}
	}
}

// happened tells the queue of an event; made only makes it when somebody waits.
func (s *Scheduler) happened(made func() (queue.Event, bool), node string) {
	if s.queue.Counts(queue.Parked)+s.queue.Counts(queue.InFlight)+s.queue.Counts(queue.Gated) == 0 {
		return
	}
	ev, ok := made()
	if !ok {
		return
	}
	if table := s.table; node != "" {
		ev.Room = func(priority int32) map[corev1.ResourceName]int64 { return table.Room(node, priority) }
	}
	s.queue.Happened(ev, s.cfg.Clock.Now())
}

func (s *Scheduler) applyNode(old, node *corev1.Node, gone bool) {
	s.index.Apply(node, gone)
	s.stirred = s.stirred || gone
	if gone {
		s.table.RemoveNode(node.Name)
		s.happened(func() (queue.Event, bool) { return queue.NodeChanged(node, nil) }, "")
		return
	}
	if s.table.SetNode(node) {
		s.happened(func() (queue.Event, bool) { return queue.NodeChanged(old, node) }, node.Name)
	}
}

func (s *Scheduler) applyNamespace(c client.Change, ns *corev1.Namespace, gone bool) {
	if gone {
		s.table.RemoveNamespace(ns.Name)
		return
	}
	s.table.SetNamespace(ns.Name, ns.Labels)
	s.happened(func() (queue.Event, bool) {
		did := queue.LabelsChanged
		if c.Old == nil {
			did = queue.Added
		}
		return queue.Event{What: queue.Namespace, Did: did, Old: c.Old, New: c.New}, true
	}, "")
}

// applyOwner enters what the default spreading of pods goes by.
func (s *Scheduler) applyOwner(obj kinds.Object, gone bool) {
	var kind place.OwnerKind
	var selector *metav1.LabelSelector
	switch o := obj.(type) {
	case *corev1.Service:
		if gone {
			o = &corev1.Service{ObjectMeta: o.ObjectMeta}
		}
		s.table.SetService(o.Namespace, o.Name, o.Spec.Selector)
		return
	case *corev1.ReplicationController:
		kind, selector = place.ReplicationController, &metav1.LabelSelector{MatchLabels: o.Spec.Selector}
	case *appsv1.ReplicaSet:
		kind, selector = place.ReplicaSet, o.Spec.Selector
	case *appsv1.StatefulSet:
		kind, selector = place.StatefulSet, o.Spec.Selector
	}
	owner := place.Owner{Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if gone || err != nil {
		parsed = nil // validation refuses what cannot be parsed
	}
	s.table.SetOwner(owner, parsed)
}

func (s *Scheduler) applyPod(ctx context.Context, old, pod *corev1.Pod, gone bool) {
	ended := gone || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if ended || pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
		s.unclaim(ctx, pod)
		delete(s.expected, pod.UID)
		delete(s.thwarted, pod.UID)
	}
	switch {
	case ended:
		s.queue.Remove(pod.UID)
		s.forget(pod)
	case pod.Spec.NodeName != "":
		s.queue.Remove(pod.UID)
		s.applyBound(old, pod)
	case s.profiles[pod.Spec.SchedulerName] == nil || pod.DeletionTimestamp != nil:
		s.queue.Remove(pod.UID)
		s.forget(pod)
	case s.queue.Get(pod.UID) == nil && s.table.NodeOf(pod.UID) != "": // bound by us; the stream has not come that far
	default:
		s.queue.Set(pod, s.cfg.Clock.Now())
		s.nominate(pod)
	}
}

// nominate tells the table where a pod without a node is expected: where its status says, unless the scheduler has said otherwise since.
func (s *Scheduler) nominate(pod *corev1.Pod) {
	node := pod.Status.NominatedNodeName
	if want, ok := s.expected[pod.UID]; ok && want != node {
		node = want
	} else {
		delete(s.expected, pod.UID)
	}
	if it := s.queue.Get(pod.UID); it != nil && it.Barred() {
		node = "" // until it is tried
	}
	if s.table.NodeOf(pod.UID) == "" { // else it is assumed, and the stream has not come that far
		s.table.Nominate(pod, node)
		s.index.Nominate(pod, node != "")
	}
}

// expect nominates a pod to a node ("": to none), until the stream shows it.
func (s *Scheduler) expect(pod *corev1.Pod, node string) {
	s.expected[pod.UID] = node
	s.nominate(pod)
}

// settleOn counts a pod on a node.
func (s *Scheduler) settleOn(pod *corev1.Pod, node string) {
	s.index.SetPod(pod, node)
	s.table.SetPod(pod, node)
}

// lift counts a pod nowhere any more.
func (s *Scheduler) lift(uid types.UID) {
	s.index.RemovePod(uid)
	s.table.RemovePod(uid)
}

// applyBound enters a pod that is on a node. Whoever waits for such a pod hears of it now, even if it was assumed before.
func (s *Scheduler) applyBound(old, pod *corev1.Pod) {
	s.settleOn(pod, pod.Spec.NodeName)
	if old != nil && old.Spec.NodeName == "" {
		old = nil
	}
	s.happened(func() (queue.Event, bool) { return queue.PodChanged(old, pod) }, pod.Spec.NodeName)
}

// forget takes a pod out of the table, where it may be on a node, assumed or nominated: there is more room then.
func (s *Scheduler) forget(pod *corev1.Pod) {
	node := cmp.Or(s.table.NodeOf(pod.UID), s.table.NominatedTo(pod.UID))
	s.lift(pod.UID)
	if node != "" {
		s.happened(func() (queue.Event, bool) { return queue.PodChanged(pod, nil) }, node)
	}
}
