package scheduler

import (
	"context"
	"fmt"
	"maps"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// followed is what the scheduler reads. Pods come last, so that the first decision knows the rest.
func followed() []client.Resource {
	return []client.Resource{nodeResource(), corev1.SchemeGroupVersion.WithResource("namespaces"), corev1.SchemeGroupVersion.WithResource("services"),
		corev1.SchemeGroupVersion.WithResource("replicationcontrollers"), appsv1.SchemeGroupVersion.WithResource("replicasets"),
		appsv1.SchemeGroupVersion.WithResource("statefulsets"), podResource()}
}

// session starts from a new view and follows it until a stream ends.
func (s *Scheduler) session(ctx context.Context) error {
	view, err := s.cfg.Client.View(ctx)
	if err != nil {
		return fmt.Errorf("view: %w", err)
	}
	s.table, s.waiting = place.NewTable(), map[types.UID]*waiting{}
	for _, res := range followed() {
		for obj := range view.List(res, "") {
			s.apply(client.Change{New: obj})
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	for _, res := range followed() {
		stream, err := s.cfg.Client.Watch(ctx, res, view.Revision(), "", "")
		if err != nil {
			return fmt.Errorf("watch %s: %w", res.Resource, err)
		}
		wg.Go(func() { cancel(s.follow(ctx, stream)) })
	}
	s.loop(ctx)
	return context.Cause(ctx)
}

func (s *Scheduler) follow(ctx context.Context, stream client.Stream) error {
	for {
		c, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		select {
		case s.changes <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Scheduler) drain() {
	for {
		select {
		case c := <-s.changes:
			s.apply(c)
		default:
			return
		}
	}
}

// apply brings one change to table and queue.
func (s *Scheduler) apply(c client.Change) {
	switch obj := c.Newest().(type) {
	case *corev1.Node:
		if c.New == nil {
			s.table.RemoveNode(obj.Name)
		} else if s.table.SetNode(obj) {
			s.wake()
		}
	case *corev1.Pod:
		s.applyPod(obj, c.New == nil)
	case *corev1.Namespace:
		if c.New == nil {
			s.table.RemoveNamespace(obj.Name)
			return
		}
		if old, ok := c.Old.(*corev1.Namespace); ok && maps.Equal(old.Labels, obj.Labels) {
			return
		}
		s.table.SetNamespace(obj.Name, obj.Labels)
		s.wake()
	default:
		s.applyOwner(obj, c.New == nil)
	}
}

// applyOwner brings what pods are spread by, when they do not say themselves, to the table. It ranks nodes only, so it
// wakes nobody.
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

func (s *Scheduler) applyPod(pod *corev1.Pod, gone bool) {
	ended := gone || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	switch {
	case ended:
		delete(s.waiting, pod.UID)
		if s.table.RemovePod(pod.UID) {
			s.wake()
		}
	case pod.Spec.NodeName != "":
		delete(s.waiting, pod.UID)
		s.table.SetPod(pod, pod.Spec.NodeName)
	case pod.Spec.SchedulerName != name || pod.DeletionTimestamp != nil || len(pod.Spec.SchedulingGates) > 0:
		delete(s.waiting, pod.UID)
	case s.table.NodeOf(pod.UID) != "": // bound by us; the stream has not come that far
	case s.waiting[pod.UID] != nil:
		w := s.waiting[pod.UID]
		if fmt.Sprint(w.pod.Spec, w.pod.Labels) != fmt.Sprint(pod.Spec, pod.Labels) {
			w.release()
		}
		w.pod = pod
		s.table.Nominate(pod, pod.Status.NominatedNodeName)
	default:
		s.arrived++
		s.waiting[pod.UID] = &waiting{pod: pod, order: s.arrived, at: s.cfg.Clock.Now()}
		s.table.Nominate(pod, pod.Status.NominatedNodeName)
	}
}
