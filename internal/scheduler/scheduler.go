// Package scheduler chooses a node for every pod that has none.
//
// The choice itself is place's; this is the shell around it: it follows the API, queues pods, asks, and binds.
//
// # Vocabulary
//
// A pod waits until it is tried. It is parked when no node would do, until something changes that may help.
//
// # Laws
//
//   - No node is given more than it has: a binding counts from the moment it is planned until the API refuses it.
//   - A pod whose rules this release does not know is never placed; its condition names what is missing.
//   - One goroutine owns table and queue; streams send to it.
//
// # What it leaves to others
//
// Admission at the node belongs to node; preemption and the rules listed in missing come with later releases.
package scheduler

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/record"
	"github.com/floe-k8s/floe/internal/scheduler/place"
)

const (
	name         = corev1.DefaultSchedulerName
	backoffFirst = time.Second
	backoffLast  = 10 * time.Second
	parkedLast   = 5 * time.Minute // then a parked pod is tried again, whatever happened
	batchMost    = 128             // bindings that are sent together
	streamRetry  = time.Second
)

// Config says what a scheduler needs; all fields are required. Rand belongs to the scheduler.
type Config struct {
	Client client.Client
	Clock  clock.WithTicker
	Rand   *rand.Rand
	Log    *slog.Logger
}

// Scheduler places pods. Run it once.
type Scheduler struct {
	cfg      Config
	recorder *record.Recorder
	changes  chan client.Change // unbuffered: the streams feed the one goroutine that owns what follows

	policy  *place.Policy
	table   *place.Table
	waiting map[types.UID]*waiting
	arrived uint64
}

// waiting is a pod without a node.
//
//	ready → (bound) gone
//	  ↑ └─→ parked: at is far; a relevant change brings it to the end of the back-off
//	  └────────┘
type waiting struct {
	pod      *corev1.Pod
	order    uint64 // of arrival
	attempts int
	parked   bool
	tried    time.Time
	at       time.Time // not before
}

// New returns a scheduler. It starts nothing.
func New(cfg Config) *Scheduler {
	policy, err := place.DefaultProfile().Compile()
	if err != nil {
		panic(fmt.Sprintf("scheduler: the default profile: %v", err)) // it has no part that could fail
	}
	return &Scheduler{cfg: cfg, recorder: record.New(cfg.Client, cfg.Clock, cfg.Log, name),
		changes: make(chan client.Change), policy: policy, table: place.NewTable(), waiting: map[types.UID]*waiting{}}
}

func nodeResource() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }
func podResource() client.Resource  { return corev1.SchemeGroupVersion.WithResource("pods") }

// Run schedules until ctx ends, whose error it returns after every goroutine has ended.
func (s *Scheduler) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.session(ctx); ctx.Err() == nil && !client.IsExpired(err) {
			s.cfg.Log.Warn("scheduler stream ended", "err", err)
			t := s.cfg.Clock.NewTimer(streamRetry)
			select {
			case <-ctx.Done():
			case <-t.C():
			}
			t.Stop()
		}
	}
	return ctx.Err()
}

// loop owns table and queue.
func (s *Scheduler) loop(ctx context.Context) {
	for ctx.Err() == nil {
		s.round(ctx)
		var due <-chan time.Time
		stop := func() {}
		if wait, ok := s.next(); ok {
			t := s.cfg.Clock.NewTimer(max(wait, 0))
			due, stop = t.C(), func() { t.Stop() }
		}
		select {
		case <-ctx.Done():
		case c := <-s.changes:
			s.apply(c)
			s.drain()
		case <-due:
		}
		stop()
	}
}

// next is how long until a pod is to be tried; false when none waits.
func (s *Scheduler) next() (time.Duration, bool) {
	var first time.Time
	for _, w := range s.waiting {
		if first.IsZero() || w.at.Before(first) {
			first = w.at
		}
	}
	return first.Sub(s.cfg.Clock.Now()), !first.IsZero()
}

// wake lets every parked pod try again after its back-off.
func (s *Scheduler) wake() {
	for _, w := range s.waiting {
		w.release()
	}
}

func (w *waiting) release() {
	if w.parked {
		w.parked, w.at = false, w.tried.Add(w.backoff())
	}
}

func (w *waiting) backoff() time.Duration {
	if w.attempts > 5 {
		return backoffLast
	}
	return min(backoffFirst<<max(w.attempts-1, 0), backoffLast)
}

// due returns the pods to try now, the most important and then the eldest first.
func (s *Scheduler) due(now time.Time) []*waiting {
	var list []*waiting
	for _, w := range s.waiting {
		if !w.at.After(now) {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b *waiting) int {
		if c := cmp.Compare(schedulinghelpers.PodPriority(b.pod), schedulinghelpers.PodPriority(a.pod)); c != 0 {
			return c
		}
		return cmp.Compare(a.order, b.order)
	})
	return list
}

// round decides on all pods that are due, and sends the bindings in batches.
func (s *Scheduler) round(ctx context.Context) {
	now := s.cfg.Clock.Now()
	var batch []*waiting
	var bindings []*corev1.Binding
	for _, w := range s.due(now) {
		node, c := s.decide(w.pod)
		w.attempts++
		w.tried = now
		if node == "" {
			w.parked, w.at = true, now.Add(parkedLast)
			s.explain(ctx, w.pod, c)
			continue
		}
		s.table.SetPod(w.pod, node)
		batch = append(batch, w)
		bindings = append(bindings, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.pod.Namespace, Name: w.pod.Name, UID: w.pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: node}})
		if len(batch) == batchMost {
			s.bind(ctx, batch, bindings)
			batch, bindings = nil, nil
		}
	}
	if len(batch) > 0 {
		s.bind(ctx, batch, bindings)
	}
}

func (s *Scheduler) bind(ctx context.Context, batch []*waiting, bindings []*corev1.Binding) {
	errs := s.cfg.Client.Bind(client.WithCause(ctx, fmt.Sprintf("scheduler %d pods", len(batch))), bindings)
	for i, w := range batch {
		if errs[i] == nil {
			delete(s.waiting, w.pod.UID)
			s.recorder.Record(ctx, record.Event{About: refer(w.pod), Type: corev1.EventTypeNormal, Reason: "Scheduled",
				Message: fmt.Sprintf("Successfully assigned %s/%s to %s", w.pod.Namespace, w.pod.Name, bindings[i].Target.Name)})
			continue
		}
		s.table.RemovePod(w.pod.UID)
		w.at = w.tried.Add(w.backoff())
		s.cfg.Log.Warn("binding refused", "pod", w.pod.Namespace+"/"+w.pod.Name, "node", bindings[i].Target.Name, "err", errs[i])
	}
}

// explain tells why pod has no node: an event, and the condition PodScheduled when it says something new.
func (s *Scheduler) explain(ctx context.Context, pod *corev1.Pod, c corev1.PodCondition) {
	s.recorder.Record(ctx, record.Event{About: refer(pod), Type: corev1.EventTypeWarning, Reason: "FailedScheduling", Message: c.Message})
	c.Type, c.Status, c.ObservedGeneration = corev1.PodScheduled, corev1.ConditionFalse, pod.Generation
	c.LastTransitionTime = metav1.NewTime(s.cfg.Clock.Now())
	next := pod.DeepCopy()
	i := slices.IndexFunc(next.Status.Conditions, func(o corev1.PodCondition) bool { return o.Type == c.Type })
	if i < 0 {
		next.Status.Conditions = append(next.Status.Conditions, c)
	} else {
		old := next.Status.Conditions[i]
		if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
			return
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		next.Status.Conditions[i] = c
	}
	cause := fmt.Sprintf("scheduler %s/%s@%s", pod.Namespace, pod.Name, pod.ResourceVersion)
	if _, err := s.cfg.Client.Update(client.WithCause(ctx, cause), podResource(), next, "status"); err != nil && !apierrors.IsNotFound(err) {
		s.cfg.Log.Debug("condition not written", "pod", pod.Namespace+"/"+pod.Name, "err", err) // the next try says it again
	}
}

// refer names a pod as events do.
func refer(pod *corev1.Pod) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion}
}
