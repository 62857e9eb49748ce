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
	"github.com/floe-k8s/floe/internal/scheduler/claims"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
	"github.com/floe-k8s/floe/internal/scheduler/volumes"
)

// roundMost is how many pods are tried before the loop looks at what has come in.
const roundMost = 64

// try is a pod for which a node was chosen.
type try struct {
	item  *queue.Item
	pod   *corev1.Pod
	node  string
	begun time.Time

	volumes     *volumes.Bindings // what its volume claims get; nil: nothing is to be written or waited for
	bindings    []claims.Binding  // what is to be written of its resource claims
	unready     bool              // they are written, and their devices have to get ready
	writing     bool              // an errand is about its claims
	ended       func()            // what the loop does when that errand ends, since the try has; nil: it has not
	kept        bool              // what is written stays though the try has ended
	volumesLate time.Time         // when its volumes must be bound; zero: they are not written yet
	devicesLate time.Time         // when its devices must be ready; zero: they are not written yet
	waits       time.Time         // since when it waits for them; zero: none has conditions
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
	if pod.Status.NominatedNodeName != "" && len(pod.Spec.ResourceClaims) > 0 {
		s.nominate(pod) // it may have been barred until now
	}
	v := s.decide(ctx, pod)
	s.metrics.decided(s.cfg.Clock.Since(begun))
	if v.node != "" {
		t := &try{item: it, pod: pod, node: v.node, begun: begun}
		err := s.assume(t)
		if err == nil {
			s.plan(ctx, t)
			return
		}
		v = verdict{err: err, nominate: new("")}
	}
	if v.release.Deallocate != nil || v.release.Delete != nil {
		s.release(ctx, it, begun, v)
		return
	}
	s.conclude(ctx, it, begun, v)
}

// conclude lets a pod for which there is no node wait, or rest when that is not known.
func (s *Scheduler) conclude(ctx context.Context, it *queue.Item, begun time.Time, v verdict) {
	result := "unschedulable"
	if v.err == nil {
		s.queue.Park(it, v.plugins, s.cfg.Clock.Now())
	} else {
		result = "error"
		s.queue.Fail(it, s.cfg.Clock.Now())
	}
	s.metrics.attempted(result, it.Pod.Spec.SchedulerName, s.cfg.Clock.Since(begun))
	s.refuse(ctx, it, v)
}

// plan counts a pod where it was decided to be, until it is bound or that fails.
func (s *Scheduler) plan(ctx context.Context, t *try) {
	s.queue.Plan(t.item)
	s.settleOn(t.pod, t.node)
	if t.claims() {
		s.claim(ctx, t)
		return
	}
	s.tries = append(s.tries, t)
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
	n := min(len(s.tries), batchMost) // pods whose claims are bound add to them
	batch := s.tries[:n:n]
	s.tries = s.tries[n:]
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
		s.unbound(ctx, o)
	}
}

// unbound takes it that a binding was refused.
func (s *Scheduler) unbound(ctx context.Context, o outcome) {
	t := o.try
	t.kept = apierrors.IsConflict(o.err) // another has bound it, to the same claims
	s.end(ctx, t, func() {
		if t.kept || apierrors.IsNotFound(o.err) {
			s.takeBack(t) // the stream will tell
		} else {
			s.fail(ctx, t, fmt.Errorf("running Bind plugin %q: %w", "DefaultBinder", o.err))
		}
	})
}

// takeBack undoes what was decided about a pod, which rests and is tried again; false: it has gone, or another has bound it, and the
// table knows.
func (s *Scheduler) takeBack(t *try) bool {
	s.index.Undo(t.volumes)
	if s.queue.Get(t.pod.UID) != t.item {
		return false
	}
	s.lift(t.pod.UID)
	s.nominate(t.item.Pod)
	s.happened(func() (queue.Event, bool) { return queue.PodChanged(t.pod, nil) }, t.node)
	s.queue.Fail(t.item, s.cfg.Clock.Now())
	return true
}

// fail takes back what was decided about a pod and tells why.
func (s *Scheduler) fail(ctx context.Context, t *try, err error) {
	if !s.takeBack(t) {
		return
	}
	s.cfg.Log.Warn("pod not bound", "pod", t.pod.Namespace+"/"+t.pod.Name, "node", t.node, "err", err)
	s.metrics.attempted("error", t.pod.Spec.SchedulerName, s.cfg.Clock.Since(t.begun))
	s.refuse(ctx, t.item, verdict{err: err, nominate: new("")})
}
