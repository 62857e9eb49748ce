package scheduler

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
)

// roundMost is how many pods are tried before the loop looks at what has come in.
const roundMost = 64

// try is a pod for which a node was chosen.
type try struct {
	item  *queue.Item
	pod   *corev1.Pod
	node  string
	begun time.Time
}

// outcome is what became of a binding.
type outcome struct {
	*try
	err error
}

// round tries pods that are due and sends what was decided; false: there is nothing to do for now.
func (s *Scheduler) round(ctx context.Context, binders *sync.WaitGroup) bool {
	for range roundMost {
		if len(s.tries) >= batchMost && !s.send(ctx, binders) {
			return false // every batch is under way
		}
		it := s.queue.Pop(s.cfg.Clock.Now())
		if it == nil {
			s.send(ctx, binders)
			return false
		}
		s.try(ctx, it)
	}
	return true
}

// try decides about one pod.
func (s *Scheduler) try(ctx context.Context, it *queue.Item) {
	begun := s.cfg.Clock.Now()
	pod := it.Pod
	v := s.decide(ctx, pod)
	s.metrics.decided(s.cfg.Clock.Since(begun))
	if v.node != "" {
		s.queue.Plan(it)
		s.table.SetPod(pod, v.node)
		s.tries = append(s.tries, &try{it, pod, v.node, begun})
		return
	}
	result := "unschedulable"
	if v.err == nil {
		s.queue.Park(it, v.plugins, s.cfg.Clock.Now())
	} else {
		result = "error"
		s.queue.Fail(it, s.cfg.Clock.Now())
	}
	s.metrics.attempted(result, pod.Spec.SchedulerName, s.cfg.Clock.Since(begun))
	s.reports.refused(ctx, pod, v)
}

// send gives what was decided to a binder; false: too many are under way. There is something new to decide only when one has ended or
// something has changed, so batches grow with the load: the more pods come while one syncs, the larger is the next.
func (s *Scheduler) send(ctx context.Context, binders *sync.WaitGroup) bool {
	if len(s.tries) == 0 {
		return true
	}
	if s.flying == batchesMost {
		return false
	}
	batch := s.tries
	s.tries = nil
	s.flying++
	done := s.done
	binders.Go(func() { done <- s.bind(ctx, batch) }) // there is room for every batch under way
	return true
}

// bind asks the API for a batch of bindings. It runs beside the loop.
func (s *Scheduler) bind(ctx context.Context, batch []*try) []outcome {
	out := make([]outcome, len(batch))
	var bindings []*corev1.Binding
	var ours []int // of batch, as bindings are
	for i, t := range batch {
		out[i].try = t
		b := &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: t.pod.Namespace, Name: t.pod.Name, UID: t.pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: t.node}}
		if done, err := s.bindByExtender(ctx, t.pod, b); done {
			out[i].err = err
			continue
		}
		bindings, ours = append(bindings, b), append(ours, i)
	}
	if len(bindings) > 0 {
		for i, err := range s.cfg.Client.Bind(client.WithCause(ctx, fmt.Sprintf("scheduler %d pods", len(bindings))), bindings) {
			out[ours[i]].err = err
		}
	}
	return out
}

// settle takes the outcomes of a batch.
func (s *Scheduler) settle(ctx context.Context, list []outcome) {
	s.flying--
	for _, o := range list {
		now := s.cfg.Clock.Now()
		profile := o.pod.Spec.SchedulerName
		if o.err == nil {
			s.queue.Remove(o.pod.UID)
			s.metrics.attempted("scheduled", profile, now.Sub(o.begun))
			s.metrics.scheduled(o.item.Attempts, now.Sub(o.item.Tried))
			s.reports.scheduled(ctx, o.pod, o.node)
			continue
		}
		if s.queue.Get(o.pod.UID) != o.item {
			continue // it has gone, or another has bound it, and the table knows
		}
		s.table.RemovePod(o.pod.UID)
		s.nominate(o.item.Pod)
		s.happened(func() (queue.Event, bool) { return queue.PodChanged(o.pod, nil) }, o.node)
		s.queue.Fail(o.item, now)
		if apierrors.IsConflict(o.err) || apierrors.IsNotFound(o.err) {
			continue // the stream will tell: another was quicker
		}
		s.cfg.Log.Warn("binding refused", "pod", o.pod.Namespace+"/"+o.pod.Name, "node", o.node, "err", o.err)
		s.metrics.attempted("error", profile, now.Sub(o.begun))
		s.reports.refused(ctx, o.item.Pod, verdict{err: fmt.Errorf("running Bind plugin %q: %w", "DefaultBinder", o.err)})
	}
}
