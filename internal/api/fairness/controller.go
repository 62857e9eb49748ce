package fairness

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
)

// Config is what a Controller is made from. All fields are needed.
type Config struct {
	Clock clock.WithDelayedExecution
	Log   *slog.Logger
	// Seats are the server's: how many requests of width one may run at a time, over all levels, but for rounding. Above 0.
	Seats int
	// Processors are how many requests work at a time; 0: as many as have seats.
	Processors int
}

// Controller lets requests in. It is safe for concurrent use. It begins with the levels and schemas that no cluster is without; Configure says what is
// stored, and Adjust, or Run, lends seats between levels.
type Controller struct {
	Config
	current atomic.Pointer[rules]
	watches watchers
	phases  phases
	turns   *turns // nil: everybody who has seats works

	mu          sync.Mutex
	stored      stored  // guarded by mu
	levelSum    int     // guarded by mu: nominal seats of all levels
	fair        float64 // guarded by mu: the proportion of its target that each level got
	mostWaiting int     // guarded by mu
}

// stored is the configuration as it was given.
type stored struct {
	schemas []*flowcontrolv1.FlowSchema
	levels  []*flowcontrolv1.PriorityLevelConfiguration
}

// rules are what requests are held against at one time. They do not change.
type rules struct {
	flows  []*flow // in the order in which they are tried; one of the last matches everybody
	levels []*level
	last   *flow // catch-all
}

// New returns a Controller with the mandatory configuration.
func New(cfg Config) *Controller {
	c := &Controller{Config: cfg}
	if cfg.Processors > 0 {
		c.turns = newTurns(cfg.Processors, cfg.Clock)
	}
	c.phases.begin(cfg.Clock.Now())
	c.Configure(nil, nil)
	return c
}

// Enter lets a request in: it returns true when the request may run, after which Leave must be called, and false when it is refused, because too much waits or
// because patience, or ctx, ended first. t is the request's own, and empty; it says what the request matched either way.
func (c *Controller) Enter(ctx context.Context, t *Ticket, call Call, patience time.Duration) bool {
	t.call, t.controller = call, c
	for {
		t.classify(c.current.Load())
		t.flowHash = t.hash()
		switch t.level.arrive(t, t.flowHash) {
		case moved:
			continue
		case refused:
			return false
		case waiting:
			c.phases.add(c.Clock.Now(), t, true, 1)
			let := t.level.wait(ctx, t, patience)
			c.phases.add(c.Clock.Now(), t, true, -1)
			if !let {
				return false
			}
		}
		if !t.takeTurn(ctx, false) {
			t.turn.needed = false
			t.level.withdraw(t)
			return false
		}
		c.phases.add(t.started, t, false, 1)
		if call.Attributes.Verb == "watch" {
			t.forget = c.watches.add(&t.call.Attributes, call.Load.Options())
		}
		return true
	}
}

// Leave gives the request's seats back. A watch leaves when it has been told what exists; it is counted as a watch until Forget. It may be called again, and
// does nothing then.
func (t *Ticket) Leave() {
	if t.controller == nil || t.level == nil || t.state != runs {
		return
	}
	t.Pause()
	t.turn.needed = false
	t.level.finish(t)
	t.controller.phases.add(t.level.clock.Now(), t, false, -1)
}

// Forget says that a watch has ended. It does nothing for other requests.
func (t *Ticket) Forget() {
	if t.forget != nil {
		t.forget()
		t.forget = nil
	}
}

// RetryAfter is after how many seconds a refused request's client should come back. It is called once for a refusal.
func (t *Ticket) RetryAfter() int64 { return t.level.refusal() }

// classify finds the ticket's flow and says how wide it is.
func (t *Ticket) classify(r *rules) {
	f := r.match(&t.call.User, &t.call.Attributes)
	t.flow, t.level, t.tally = f, f.level, f.tally
	t.width = estimate(&t.call, int(f.level.mostSeats.Load()), t.watchers)
}

// match finds the flow of a request.
func (r *rules) match(user *auth.User, attributes *auth.Attributes) *flow {
	for _, candidate := range r.flows {
		if matches(&candidate.schema.Spec, user, attributes) {
			return candidate
		}
	}
	return r.last
}

// watchers counts those who are told of what the ticket's request changes.
func (t *Ticket) watchers() int {
	t.changes, t.concerns = true, t.controller.watches.of(&t.call.Attributes)
	return t.concerns
}

// hash is where the ticket's flow has its hand. Levels without queues deal none.
func (t *Ticket) hash() uint64 {
	limited := t.level.object.Load().Spec.Limited
	if limited == nil || limited.LimitResponse.Queuing == nil || limited.LimitResponse.Queuing.Queues < 2 {
		return 0
	}
	t.distinguisher = t.flow.distinguisher(&t.call.User, &t.call.Attributes)
	return flowHash(t.flow.schema.Name, t.distinguisher)
}
