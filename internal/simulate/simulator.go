package simulate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/record"
)

const (
	podWriters  = 64                     // statuses that wait for one sync together
	beatWriters = 64                     // heartbeats, which no crowd of pods may hold up
	slot        = 100 * time.Millisecond // heartbeats of one such time are sent together
	writeLasts  = 10 * time.Second
	again       = time.Second // after which a write that failed is tried again
	fanOut      = 16          // changes taken in before what they made due is done
)

// Config says what a simulator needs; all fields are required.
type Config struct {
	// Profile has been validated.
	Profile Profile
	// Stages are played in place of what the profile says, for the kinds of which there are any.
	Stages Stages
	// As is the API as a node, by its name: system:node:NAME.
	As func(node string) client.Client
	// Cloud sees all nodes and pods, removes nodes, and gives those that ask to be simulated their pods' ranges.
	Cloud   client.Client
	Clock   clock.WithTicker
	Log     *slog.Logger
	Metrics *Metrics
	// KubernetesVersion is what nodes say that their kubelets are.
	KubernetesVersion string
}

// Simulator is all nodes that do not exist. Run it once.
type Simulator struct {
	cfg      Config
	recorder *record.Recorder
	begun    time.Time
	changes  chan client.Change // unbuffered: the streams feed the loop
	finished chan *job          // unbuffered: so do the writers

	// What follows belongs to the loop.

	stages   Stages
	machines map[string]*machine
	numbers  int // of the next node that is taken over
	pods     map[types.UID]*pod
	wheel    wheel
	work     lane // of pods and nodes
	beats    lane // of heartbeats
}

// lane is jobs on their way to writers. Each task has one at most, which bounds it.
type lane struct {
	to      chan *job // unbuffered
	waiting []*job
}

// next is what a select sends: nothing goes to a nil channel.
func (l *lane) next() (chan<- *job, *job) {
	if len(l.waiting) == 0 {
		return nil, nil
	}
	return l.to, l.waiting[0]
}

func (l *lane) sent() {
	l.waiting[0] = nil
	if l.waiting = l.waiting[1:]; len(l.waiting) == 0 {
		l.waiting = nil // lets go of the array that a crowd has made
	}
}

// New returns a simulator. It starts nothing.
func New(cfg Config) *Simulator {
	return &Simulator{
		cfg: cfg, stages: cfg.Stages, recorder: record.New(cfg.Cloud, cfg.Clock, cfg.Log, "kubelet"), changes: make(chan client.Change), finished: make(chan *job),
		work: lane{to: make(chan *job)}, beats: lane{to: make(chan *job)}, machines: map[string]*machine{}, pods: map[types.UID]*pod{},
	}
}

func nodeResource() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }
func podResource() client.Resource  { return corev1.SchemeGroupVersion.WithResource("pods") }

// Run simulates until ctx ends, whose error it returns after every goroutine has ended. The nodes stay, and go on with the next Run of any simulator.
func (s *Simulator) Run(ctx context.Context) error {
	s.begun = s.cfg.Clock.Now()
	s.planMachines()
	for ctx.Err() == nil {
		err := s.session(ctx)
		if ctx.Err() != nil || client.IsExpired(err) || errors.Is(err, errStages) {
			continue
		}
		s.cfg.Log.Warn("the simulation lost sight of the cluster and looks anew", "again", again, "err", err)
		t := s.cfg.Clock.NewTimer(again)
		select {
		case <-ctx.Done():
		case <-t.C():
		}
		t.Stop()
	}
	return ctx.Err()
}

// session begins with a new view, which says all that there is to know, and follows it until a stream ends.
func (s *Simulator) session(ctx context.Context) error {
	view, err := s.cfg.Cloud.View(ctx)
	if err != nil {
		return fmt.Errorf("view: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel(nil)
	for _, res := range []client.Resource{nodeResource(), podResource()} {
		stream, err := s.cfg.Cloud.Watch(ctx, res, view.Revision(), "", "")
		if err != nil {
			return fmt.Errorf("watch %s: %w", res.Resource, err)
		}
		all.Go(func() { cancel(s.follow(ctx, stream)) })
	}
	all.Go(func() { cancel(s.followStages(ctx, view)) })
	for range podWriters {
		all.Go(func() { s.write(ctx, s.work.to) })
	}
	for range beatWriters {
		all.Go(func() { s.write(ctx, s.beats.to) })
	}
	s.load(view)
	s.loop(ctx)
	return context.Cause(ctx)
}

func (s *Simulator) follow(ctx context.Context, stream client.Stream) error {
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

// write does jobs until ctx ends. One that has begun is done to its end, whatever becomes of ctx: who stops waits for it.
func (s *Simulator) write(ctx context.Context, from <-chan *job) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-from:
			work, stop := context.WithTimeout(context.WithoutCancel(ctx), writeLasts)
			j.err = j.do(work)
			stop()
			s.cfg.Metrics.wrote(j.what, j.err)
			select {
			case s.finished <- j:
			case <-ctx.Done():
				return
			}
		}
	}
}

// loop owns nodes, pods and the wheel.
func (s *Simulator) loop(ctx context.Context) {
	for ctx.Err() == nil {
		now := s.cfg.Clock.Now()
		for t := s.wheel.due(now); t != nil; t = s.wheel.due(now) {
			s.turn(t, now)
		}
		s.measure()
		var due <-chan time.Time
		stop := func() bool { return true }
		if len(s.wheel) > 0 {
			timer := s.cfg.Clock.NewTimer(s.wheel[0].at.Sub(now))
			due, stop = timer.C(), timer.Stop
		}
		s.wait(ctx, due)
		stop()
	}
}

// wait takes in what comes next.
func (s *Simulator) wait(ctx context.Context, due <-chan time.Time) {
	work, first := s.work.next()
	beats, beat := s.beats.next()
	select {
	case <-ctx.Done():
	case <-due:
	case c := <-s.changes:
		s.apply(c)
	case j := <-s.finished:
		s.finish(j)
	case work <- first:
		s.work.sent()
	case beats <- beat:
		s.beats.sent()
	}
}

// turn lets a task decide, and hands what it wants done to a writer.
func (s *Simulator) turn(t *task, now time.Time) {
	if t.busy {
		t.woken = true
		return
	}
	j := t.turn(now)
	if j == nil {
		return
	}
	j.task, t.busy = t, true
	l := &s.work
	if t.beat {
		l = &s.beats
	}
	l.waiting = append(l.waiting, j)
}

func (s *Simulator) finish(j *job) {
	t := j.task
	t.busy = false
	j.done(j.err)
	if t.woken {
		t.woken = false
		s.wake(t)
	}
}

// wake gives a task a turn now.
func (s *Simulator) wake(t *task) {
	if t.busy {
		t.woken = true
		return
	}
	s.wheel.sooner(t, s.cfg.Clock.Now())
}

func (s *Simulator) apply(c client.Change) {
	switch newest := c.Newest().(type) {
	case *corev1.Node:
		if c.New == nil {
			s.nodeGone(newest.Name)
			return
		}
		s.nodeSeen(nil, newest, c.Revision)
	case *corev1.Pod:
		s.podChanged(c, newest)
	}
}

// load makes all that a session knows from its view.
func (s *Simulator) load(view client.View) {
	s.readStages(view)
	s.wheel, s.pods, s.work.waiting, s.beats.waiting = nil, map[types.UID]*pod{}, nil, nil
	for _, m := range s.machines {
		m.forget()
	}
	for obj := range view.List(nodeResource(), "") {
		s.nodeSeen(view, obj.(*corev1.Node), view.Revision())
	}
	for _, m := range s.machines {
		s.wake(&m.care)
	}
}

// measure tells the metrics what there is.
func (s *Simulator) measure() {
	m := s.cfg.Metrics
	m.pods.Set(float64(len(s.pods)))
	m.work.Set(float64(len(s.work.waiting)))
	m.beats.Set(float64(len(s.beats.waiting)))
}

// count tells the metrics what a machine is now; dropped: nothing any more.
func (s *Simulator) count(m *machine, dropped bool) {
	state := "up"
	switch {
	case dropped:
		state = ""
	case m.node == nil:
		state = "absent"
	case m.down:
		state = "down"
	}
	if state == m.counted {
		return
	}
	if m.counted != "" {
		s.cfg.Metrics.nodes.WithLabelValues(m.counted).Dec()
	}
	if state != "" {
		s.cfg.Metrics.nodes.WithLabelValues(state).Inc()
	}
	m.counted = state
}
