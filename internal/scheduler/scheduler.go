// Package scheduler chooses a node for every pod that has none.
//
// The choice itself is place's, and which pod to try next is queue's; this is the shell around both: it follows the API, asks, binds, and
// tells what came of it.
//
// # Vocabulary
//
// A session is the time from one view of the API until a stream ends; table and queue last as long. A pod is assumed from the
// moment that a node is chosen: it counts there as if it were bound, until the API refuses. A batch is bindings that are sent together.
// A report is an event, a condition of a pod, or both. An errand is what else is written beside the loop: claims that are given a volume
// or a node before their pod is bound, and victims that are put out for a pod that fits nowhere.
//
//	streams ─→ inbox ─┐                   ┌─→ binders ─→ client.Bind, a batch each
//	                  ├─→ the loop: table ┼─→ errands ─→ claims, evictions
//	outcomes ─────────┘   and queue       └─→ reporters ─→ events, conditions
//	    ↑────────────────────────────────────────┘
//
// # Laws
//
//   - One goroutine, the loop, owns table and queue. It waits for nobody while there is a pod to try and room for a batch,
//     but for extenders.
//   - No node is given more than it has: a binding counts from the moment it is planned until the API refuses it.
//   - A pod is bound by an ordinary pods/binding create with its UID, so that two schedulers, or one that was killed between plan and
//     commit and begins anew, bind it once at most; a pod that another has bound is no error.
//   - A pod whose claims must wait for their volumes or devices stands on its node meanwhile, and holds up nobody.
//   - Devices that are being written are given to nobody else before the outcome is known; what was written for a pod that is not bound
//     after all is undone before it is tried again.
//   - A pod for which victims are put out is nominated to their node at once, and not tried before the last of them is told to go.
//   - Reports about one pod are written in the order in which they were made, and a condition only when it says something new.
//   - The inbox, the batches and errands under way and the reports that wait are bounded: who fills them waits.
//
// # What it leaves to others
//
// Admission at the node belongs to node; whom to put out is preempt's to choose, and what claims get is that of volumes and claims.
package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/scheduler/claims"
	"github.com/floe-k8s/floe/internal/scheduler/config"
	"github.com/floe-k8s/floe/internal/scheduler/extend"
	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/preempt"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
	"github.com/floe-k8s/floe/internal/scheduler/volumes"
)

const (
	batchMost   = 128 // bindings that are sent together
	batchesMost = 4   // under way at once: while one syncs the next are decided and admitted
	streamRetry = time.Second
)

// Config says what a scheduler needs; all fields are required but Metrics, Profiles, Rules, Queue,
// Extenders and Host. Rand and Rules belong to the scheduler.
type Config struct {
	Client   client.Client
	Clock    clock.WithTicker
	Rand     *rand.Rand
	Log      *slog.Logger
	Metrics  *Metrics     // nil: nobody reads them
	Profiles []Profile    // none: upstream's default profile
	Rules    Rules        // that Profiles were made with; zero: new ones, which only the default profile asks
	Queue    queue.Config // how long pods rest; the other fields are the scheduler's
	// Extenders are asked about every pod that they have a say in; the loop waits for their answers.
	Extenders []*extend.Extender
	Host      string // of this machine, as events name it; "" for none
}

// Profile is one way to schedule, for the pods that name it.
type Profile struct {
	Name       string // as spec.schedulerName has it
	Policy     *place.Policy
	Preemption bool // pods that fit nowhere may put out others
	Gates      bool // pods with scheduling gates wait until those are gone
	// BindTimeout is how long a pod's claims may take to be bound; 0: volumes.BindTimeout.
	BindTimeout time.Duration
	// Devices finds devices for resource claims; nil: claims do not count.
	Devices *claims.Rule
	// Releases says that a pod that fits nowhere may take devices from a claim that nobody uses.
	Releases bool
}

// Rules are what tells of objects that are not in the table, to all profiles of one scheduler.
type Rules struct {
	volumes *volumes.Index
	devices *claims.Rule
	clock   clock.PassiveClock
}

// NewRules returns rules that know of nothing.
func NewRules(clock clock.PassiveClock) Rules {
	return Rules{volumes: volumes.New(func(string) {}), devices: claims.New(place.NewTable(), claims.Config{Clock: clock}), clock: clock}
}

// Scheduler places pods. Run it once.
type Scheduler struct {
	cfg       Config
	profiles  map[string]*Profile
	metrics   *Metrics
	questions chan question

	// The loop's own, made anew with each session.
	table     *place.Table
	queue     *queue.Queue
	index     *volumes.Index
	devices   *claims.Rule // of any profile, since they know the same
	budgets   *preempt.Budgets
	preemptor *preempt.Preemptor
	claiming  map[types.UID]*try   // decided, and wait for their claims
	stirred   bool                 // something that claims wait for has changed
	expected  map[types.UID]string // nominations that were decided and that the stream has yet to show
	thwarted  map[types.UID]bool   // pods whose last eviction failed
	errands   errands
	tries     []*try         // decided and not sent
	flying    int            // batches under way
	done      chan []outcome // of batches; room for all that are under way
	inbox     *inbox
	reports   *reporters
}

// New returns a scheduler. It starts nothing.
func New(cfg Config) *Scheduler {
	if cfg.Rules.volumes == nil {
		cfg.Rules = NewRules(cfg.Clock)
	}
	if len(cfg.Profiles) == 0 {
		for _, p := range config.Default().Profiles {
			made, err := NewProfile(p, cfg.Rules)
			if err != nil {
				panic(fmt.Sprintf("scheduler: the default: %v", err)) // it has no part that could fail
			}
			cfg.Profiles = append(cfg.Profiles, made)
		}
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	s := &Scheduler{cfg: cfg, profiles: map[string]*Profile{}, metrics: cfg.Metrics, questions: make(chan question), index: cfg.Rules.volumes,
		devices: cfg.Rules.devices}
	s.cfg.Queue.Entered, s.cfg.Queue.Ungated, s.cfg.Queue.Barred = s.metrics.entered, s.ungated, s.barred
	for i := range cfg.Profiles {
		p := &cfg.Profiles[i]
		s.profiles[p.Name] = p
		s.cfg.Queue.Enforced = s.cfg.Queue.Enforced || p.Policy.AddedAffinity != nil
	}
	s.reset()
	return s
}

// NewProfile compiles a profile as a configuration has it.
func NewProfile(p config.Profile, rules Rules) (Profile, error) {
	devices := rules.devices.With(claims.Config{FilterTimeout: p.FilterTimeout, BindingTimeout: p.BindingTimeout, Clock: rules.clock})
	policy, err := p.Place(append(rules.volumes.Rules(), devices)).Compile()
	if err != nil {
		return Profile{}, fmt.Errorf("profile %s: %w", p.Name, err)
	}
	out := Profile{Name: p.Name, Policy: policy, Preemption: p.Preemption, Gates: p.Gates, BindTimeout: p.BindTimeout}
	if slices.Contains(policy.Filters, claims.Name) {
		out.Devices, out.Releases = devices, p.Releases
	}
	return out, nil
}

// ungated says whether a pod's profile takes no notice of scheduling gates.
func (s *Scheduler) ungated(pod *corev1.Pod) bool {
	p := s.profiles[pod.Spec.SchedulerName]
	return p != nil && !p.Gates
}

// barred says whether a pod waits for its resource claims.
func (s *Scheduler) barred(pod *corev1.Pod) bool {
	p := s.profiles[pod.Spec.SchedulerName]
	return p != nil && p.Devices != nil && p.Devices.Gate(pod) != nil
}

func (s *Scheduler) reset() {
	s.table, s.queue = place.NewTable(), queue.New(s.cfg.Queue)
	s.index.Reset(s.table.Touch)
	s.devices.Reset(s.table)
	s.budgets = &preempt.Budgets{}
	s.preemptor = preempt.New(s.table, s.budgets)
	s.claiming, s.stirred, s.errands = map[types.UID]*try{}, false, newErrands()
	s.expected, s.thwarted = map[types.UID]string{}, map[types.UID]bool{}
	s.tries, s.flying, s.done = nil, 0, make(chan []outcome, batchesMost)
	s.inbox = newInbox()
}

func nodeResource() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }
func podResource() client.Resource  { return corev1.SchemeGroupVersion.WithResource("pods") }

// followed is what the scheduler reads. Pods come last, so that the first decision knows the rest.
func followed() []client.Resource {
	list := []client.Resource{nodeResource(), corev1.SchemeGroupVersion.WithResource("namespaces"), corev1.SchemeGroupVersion.WithResource("services"),
		corev1.SchemeGroupVersion.WithResource("replicationcontrollers"), appsv1.SchemeGroupVersion.WithResource("replicasets"),
		appsv1.SchemeGroupVersion.WithResource("statefulsets"), policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets")}
	return append(slices.Concat(list, volumes.Followed(), claims.Followed()), podResource())
}

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

// session starts from a new view and follows it until a stream ends. Bindings, errands and reports that are under way then are
// waited for.
func (s *Scheduler) session(ctx context.Context) error {
	view, err := s.cfg.Client.View(ctx)
	if err != nil {
		return fmt.Errorf("view: %w", err)
	}
	s.reset()
	for _, res := range followed() {
		for obj := range view.List(res, "") {
			s.apply(ctx, client.Change{New: obj})
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s.reports = startReporters(ctx, s.cfg)
	var wg sync.WaitGroup
	defer s.reports.stop()
	defer wg.Wait()
	defer cancel(nil)
	for _, res := range followed() {
		stream, err := s.cfg.Client.Watch(ctx, res, view.Revision(), "", "")
		if err != nil {
			return fmt.Errorf("watch %s: %w", res.Resource, err)
		}
		wg.Go(func() { cancel(s.inbox.follow(ctx, stream)) })
	}
	s.loop(ctx, &wg)
	return context.Cause(ctx)
}

// loop owns table and queue.
func (s *Scheduler) loop(ctx context.Context, beside *sync.WaitGroup) {
	for ctx.Err() == nil {
		s.take(ctx)
		more := s.round(ctx, beside)
		s.dispatch(ctx, beside)
		if more {
			continue
		}
		s.metrics.look(s.queue, s.table, s.flying)
		s.rest(ctx)
	}
}

// take applies what has come in, without waiting.
func (s *Scheduler) take(ctx context.Context) {
	for _, c := range s.inbox.take() {
		s.apply(ctx, c)
	}
	s.checkClaims(ctx)
	for {
		select {
		case after := <-s.errands.done:
			s.errands.ended(after)
		case list := <-s.done:
			s.settle(ctx, list)
		case q := <-s.questions:
			q.answer <- s.explain(q)
		default:
			return
		}
	}
}

// due is when there is something to do even if nothing happens; false: never.
func (s *Scheduler) due() (time.Time, bool) {
	at, ok := s.queue.Due()
	ok = ok && s.flying < batchesMost
	for _, t := range s.claiming {
		if next := t.due(); t.ended == nil && !next.IsZero() && (!ok || next.Before(at)) {
			at, ok = next, true
		}
	}
	return at, ok
}

// rest waits until there may be something to do.
func (s *Scheduler) rest(ctx context.Context) {
	var due <-chan time.Time
	if at, ok := s.due(); ok {
		t := s.cfg.Clock.NewTimer(max(at.Sub(s.cfg.Clock.Now()), 0))
		defer t.Stop()
		due = t.C()
	}
	select {
	case <-ctx.Done():
	case <-s.inbox.filled:
	case list := <-s.done:
		s.settle(ctx, list)
	case after := <-s.errands.done:
		s.errands.ended(after)
	case q := <-s.questions:
		q.answer <- s.explain(q)
	case <-due:
		s.stirred = true // claims may be late
	}
}
