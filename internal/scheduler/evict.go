package scheduler

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/scheduler/claims"
	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/preempt"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
	"github.com/floe-k8s/floe/internal/scheduler/volumes"
)

// inMemory ends the note of an event about a victim that has not been bound yet: it goes on living, and is tried again.
const inMemory = " (in kube-scheduler memory)."

// refuse tells why a pod was not placed, and sees to its nomination and its victims.
func (s *Scheduler) refuse(ctx context.Context, it *queue.Item, v verdict) {
	pod := it.Pod
	s.reports.refused(ctx, pod, v)
	if v.plan.Node != "" {
		s.putOut(ctx, it, s.preemptor.Writes(pod, v.plan))
	}
	if v.nominate != nil && s.queue.Get(pod.UID) == it {
		s.expect(pod, *v.nominate)
	}
}

// putOut makes room for a pod: the others that are nominated to the node are so no more, and the victims but the last are evicted; then
// the pod waits for what happens, and the last one is evicted. When anything fails the pod is tried again.
func (s *Scheduler) putOut(ctx context.Context, it *queue.Item, w preempt.Writes) {
	pod := it.Pod
	var losers []*corev1.Pod
	for _, n := range w.Renounce {
		if other := s.queue.Get(n.UID); other != nil {
			losers = append(losers, other.Pod)
			s.expect(other.Pod, "")
			s.queue.Again(n.UID)
		}
	}
	var evictions []preempt.Eviction // of pods that do not go already
	for _, e := range w.Evictions {
		if !s.putOutUnbound(ctx, pod, e) {
			evictions = append(evictions, e)
		}
	}
	if len(evictions) == 0 {
		return
	}
	s.metrics.victims.Observe(float64(len(w.Evictions)))
	last, begun := len(evictions)-1, s.cfg.Clock.Now()
	s.queue.Hold(pod.UID)
	s.evict(it, begun, losers, evictions[:last], func(bool) {
		s.queue.Free(pod.UID, s.cfg.Clock.Now())
		s.evict(it, begun, nil, evictions[last:], func(gone bool) {
			delete(s.thwarted, pod.UID)
			s.metrics.preempted("success", s.cfg.Clock.Since(begun))
			if gone { // while the pod was held perhaps, and nothing more will wake it
				s.queue.Again(pod.UID)
			}
		})
	})
}

// evict is an errand: it empties the nominations of losers and evicts, and then has the loop do what follows, which is told whether a victim
// had gone before.
func (s *Scheduler) evict(it *queue.Item, begun time.Time, losers []*corev1.Pod, list []preempt.Eviction, then func(gone bool)) {
	pod := it.Pod
	s.errands.add(func() errand {
		if s.queue.Get(pod.UID) != it {
			return nil // it has gone, or has a node
		}
		return func(ctx context.Context) func() {
			ctx = client.WithCause(ctx, causeOf(pod))
			for _, other := range losers {
				s.unnominate(ctx, other)
			}
			anyGone := false
			for _, e := range list {
				gone, err := s.evictOne(ctx, pod, e)
				if err != nil {
					return func() { s.unevicted(it, begun, e.Victim, err) }
				}
				anyGone = anyGone || gone
			}
			return func() { then(anyGone) }
		}
	})
}

// unevicted takes it that a victim stays. The pod is tried again at once, as upstream does it, and rests from the second time on, lest an API that
// refuses is asked without end.
func (s *Scheduler) unevicted(it *queue.Item, begun time.Time, victim place.Placed, err error) {
	pod := it.Pod
	s.metrics.preempted("error", s.cfg.Clock.Since(begun))
	s.cfg.Log.Warn("victim not evicted", "pod", pod.Namespace+"/"+pod.Name, "victim", victim.Namespace+"/"+victim.Name, "err", err)
	if s.queue.Get(pod.UID) != it {
		return
	}
	if !s.thwarted[pod.UID] {
		s.thwarted[pod.UID] = true
		s.queue.Again(pod.UID)
		return
	}
	if s.queue.Hold(pod.UID); it.Held() {
		s.queue.Fail(it, s.cfg.Clock.Now())
	}
}

// putOutUnbound puts out a victim that waits for its claims and is not bound yet; false: it is not one.
func (s *Scheduler) putOutUnbound(ctx context.Context, pod *corev1.Pod, e preempt.Eviction) bool {
	t := s.claiming[e.Victim.UID]
	switch {
	case t == nil:
		return false
	case t.ended != nil:
		return true // it goes already
	}
	plugin := claims.Name
	if t.volumes != nil {
		plugin = volumes.VolumeBinding
	}
	s.giveUp(ctx, t, plugin, fmt.Errorf("preempted by %s", preempt.Name))
	s.reports.preempted(ctx, t.pod, pod, e, inMemory)
	return true
}

// unnominate empties the nomination of a pod that has to give way. That it fails is no reason to stop: it only misleads others.
func (s *Scheduler) unnominate(ctx context.Context, pod *corev1.Pod) {
	node := pod.Status.NominatedNodeName
	_, err := amend(ctx, s.cfg.Client, pod, func(p *corev1.Pod) *corev1.Pod {
		if p.Status.NominatedNodeName != node {
			return nil
		}
		return amended(p, nil, new(""))
	})
	if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		s.cfg.Log.Warn("nomination not emptied", "pod", pod.Namespace+"/"+pod.Name, "err", err)
	}
}

// evictOne marks a victim, deletes it with its own grace and tells of it, unless it has gone.
func (s *Scheduler) evictOne(ctx context.Context, pod *corev1.Pod, e preempt.Eviction) (gone bool, err error) {
	v := e.Victim
	victim, err := current(ctx, s.cfg.Client, v.Namespace, v.Name, v.UID)
	if err == nil {
		victim, err = amend(ctx, s.cfg.Client, victim, func(p *corev1.Pod) *corev1.Pod {
			c := e.Condition
			c.ObservedGeneration, c.LastTransitionTime = p.Generation, metav1.NewTime(s.cfg.Clock.Now())
			return amended(p, &c, nil)
		})
	}
	if err == nil {
		_, err = s.cfg.Client.Delete(ctx, podResource(), v.Namespace, v.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &v.UID}})
		if apierrors.IsConflict(err) {
			return true, nil // another has its name
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("evict pod %s/%s: %w", v.Namespace, v.Name, err)
	}
	s.reports.preempted(ctx, victim, pod, e, "")
	return false, nil
}

// preempted tells of a victim.
func (r *reporters) preempted(ctx context.Context, victim, pod *corev1.Pod, e preempt.Eviction, end string) {
	r.put(ctx, report{pod: victim, related: pod,
		event: eventsv1.Event{Type: e.EventType, Reason: e.Reason, Action: e.Action, Note: e.Note + end}})
}
