// Package engine is the one reconcile loop that all of floe's controllers run on.
//
// A controller is a value: what it reads, what it alone writes, and a pure function from a view and a key to a
// plan. The engine does the rest: it follows the inputs, keeps the queue, runs the function, carries the plan out,
// records events and tries again.
//
// # Vocabulary
//
// An input is a resource and the keys that a change of it wakes; a controller may take every resource that is served as input, and
// follows kinds that come and go. An output is a set of fields of a resource that one
// controller owns. A plan is the writes, events and the next look that a reconcile asks for.
//
// # Laws
//
//   - One key is reconciled by one worker at a time; a change that arrives meanwhile makes it run once more.
//   - No wake is lost: all inputs of a controller begin on one view, and begin anew together when the stream of one ends; what waits looks again when a kind
//     comes or goes.
//   - A key is not reconciled on a view older than the last write that the engine made for it.
//   - A failed plan is tried again after 5 ms, doubled each time up to 1000 s or what the controller says, until one succeeds.
//   - No two controllers own the same field of a resource, nor one a field within another's. A controller reads and writes no other resources than
//     those that it declares; with invariants one that does panics.
//   - Queues are bounded: while 65,536 keys are ready the inputs wait, and streams that expire meanwhile are begun anew.
//   - Run starts all goroutines and returns after they have ended.
//
// Locks: Metrics.mu comes before queue.mu; queue.mu, loop.mu, Engine.mu and the recorder's lock are leaves; none is held during I/O or a callback.
//
// # What it leaves to others
//
// Who may write and what is valid belongs to the API behind the client. What to write belongs to the
// controllers.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/record"
	"github.com/floe-k8s/floe/internal/kinds"
)

// ErrOutputTaken is returned when a controller claims fields that another one owns.
var ErrOutputTaken = errors.New("output already has an owner")

// Key names what is reconciled. UID is set only where the object may be gone and its identity matters.
type Key struct {
	Resource        client.Resource
	Namespace, Name string
	UID             types.UID
}

// String is namespace/name, or name alone.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

// Controller is what a controller is. Reconcile is pure and may run on several goroutines at once, never
// for the same key; what it returns belongs to the engine.
type Controller struct {
	Name      string // such as "deployment"; also names it in causes
	Component string // source of its events, such as "deployment-controller"
	User      string // identity of its client
	Inputs    []Input
	// Every, when set, is asked for each kind of the catalog that keeps objects, and returns Input.Keys of its resource; nil: it is not followed. All
	// resources may be read then.
	Every     func(k *kinds.Kind) func(view client.View, change client.Change) []Key
	Outputs   []Output
	Workers   int           // 0 means 2
	RetryMost time.Duration // longest wait after a failure; 0 means 1000 s
	Queue     string        // name of its queue in metrics, which is upstream's where it has one; "" means Name
	Reconcile func(view client.View, key Key, now time.Time) (Plan, error)
}

// Config says what an engine needs; all fields are required but for Metrics and, when no controller follows every resource, Catalog. Rand
// is used under the engine's lock only.
type Config struct {
	Clock   clock.WithTicker
	Log     *slog.Logger
	Rand    *rand.Rand
	Clients func(user string) client.Client
	Catalog Catalog
	Metrics *Metrics // told of the queues; nil: nobody is
}

// Engine runs controllers. Register all of them, then Run once.
type Engine struct {
	cfg   Config
	taken []claim
	list  []Controller

	mu struct {
		sync.Mutex
		rand *rand.Rand
	}
}

// New returns an engine without controllers. It starts nothing.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg}
	e.mu.rand = cfg.Rand
	return e
}

// Register adds a controller. It returns ErrOutputTaken when another one owns one of its outputs, or a part or the whole of one, and another error for one
// that cannot run; nothing of it is registered then. Not safe for concurrent use, and not after Run.
func (e *Engine) Register(c Controller) error {
	switch {
	case c.Name == "" || c.Reconcile == nil:
		return fmt.Errorf("register controller %q: it has no name or nothing to do", c.Name)
	case slices.ContainsFunc(e.list, func(o Controller) bool { return o.Name == c.Name }):
		return fmt.Errorf("register controller %s: there is one already: %w", c.Name, ErrOutputTaken)
	}
	if c.Workers == 0 {
		c.Workers = 2
	}
	if c.RetryMost == 0 {
		c.RetryMost = backoffLast
	}
	if c.Queue == "" {
		c.Queue = c.Name
	}
	claims, err := e.claims(c)
	if err != nil {
		return err
	}
	e.taken = append(e.taken, claims...)
	e.list = append(e.list, c)
	return nil
}

// Run follows, reconciles and writes until ctx ends, and returns after every goroutine has; its
// error is then ctx's.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, c := range e.list {
		l := newLoop(e, c)
		wg.Go(func() { l.follow(ctx) })
		for range c.Workers {
			wg.Go(func() { l.work(ctx) })
		}
	}
	wg.Wait()
	return ctx.Err()
}

// jitter spreads d by up to a tenth.
func (e *Engine) jitter(d time.Duration) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return d + time.Duration(e.mu.rand.Int63n(int64(d)/10+1))
}

// Event is something worth telling about an object.
type Event = record.Event
