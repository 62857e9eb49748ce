// Package engine is the one reconcile loop that all of floe's controllers run on.
//
// A controller is a value: what it reads, what it alone writes, and a pure function from a view and a key to a
// plan. The engine does the rest: it follows the inputs, keeps the queue, runs the function, carries the plan out,
// records events and tries again.
//
// # Vocabulary
//
// An input is a resource and the keys that a change of it wakes. An output is a set of fields of a resource that one
// controller owns. A plan is the writes, events and the next look that a reconcile asks for.
//
// # Laws
//
//   - One key is reconciled by one worker at a time; a change that arrives meanwhile makes it run once more.
//   - A key is not reconciled on a view older than the last write that the engine made for it.
//   - A failed plan is tried again after 5 ms, doubled each time up to 1000 s, until one succeeds.
//   - No two controllers own the same field of a resource.
//   - Run starts all goroutines and returns after they have ended.
//
// Locks: queue.mu, Engine.mu and the recorder's lock are leaves; none is held during I/O or a callback.
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
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/record"
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

// Input is a resource to follow. Keys must be pure; view is at or after the change. At start, and after a
// stream expired, every object is given as a change with Old nil.
type Input struct {
	Resource client.Resource
	Keys     func(view client.View, change client.Change) []Key
}

// Output names fields of a resource, such as "status" or "metadata.finalizers", that one controller
// alone writes.
type Output struct {
	Resource client.Resource
	Fields   []string
}

// Controller is what a controller is. Reconcile is pure and may run on several goroutines at once, never
// for the same key; what it returns belongs to the engine.
type Controller struct {
	Name      string // such as "deployment"; also names it in causes
	Component string // source of its events, such as "deployment-controller"
	User      string // identity of its client
	Inputs    []Input
	Outputs   []Output
	Workers   int // 0 means 2
	Reconcile func(view client.View, key Key, now time.Time) (Plan, error)
}

// Config says what an engine needs; all fields are required. Rand is used under the engine's lock only.
type Config struct {
	Clock   clock.WithTicker
	Log     *slog.Logger
	Rand    *rand.Rand
	Clients func(user string) client.Client
}

// Engine runs controllers. Register all of them, then Run once.
type Engine struct {
	cfg    Config
	owners map[string]string // resource and field → controller
	list   []Controller

	mu struct {
		sync.Mutex
		rand *rand.Rand
	}
}

// New returns an engine without controllers. It starts nothing.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg, owners: map[string]string{}}
	e.mu.rand = cfg.Rand
	return e
}

// Register adds a controller. It returns ErrOutputTaken when another one owns one of its outputs; nothing of it
// is registered then. Not safe for concurrent use, and not after Run.
func (e *Engine) Register(c Controller) error {
	if c.Workers == 0 {
		c.Workers = 2
	}
	claims := []string{}
	for _, out := range c.Outputs {
		for _, field := range out.Fields {
			claim := resourceName(out.Resource) + " " + field
			if owner, taken := e.owners[claim]; taken {
				return fmt.Errorf("register controller %s: %s is written by %s: %w", c.Name, claim, owner, ErrOutputTaken)
			}
			claims = append(claims, claim)
		}
	}
	for _, claim := range claims {
		e.owners[claim] = c.Name
	}
	e.list = append(e.list, c)
	return nil
}

// Graph prints who reads and who writes what, one line each, sorted.
func (e *Engine) Graph() string {
	var lines []string
	for _, c := range e.list {
		for _, in := range c.Inputs {
			lines = append(lines, fmt.Sprintf("%s reads %s", c.Name, resourceName(in.Resource)))
		}
		for _, out := range c.Outputs {
			lines = append(lines, fmt.Sprintf("%s writes %s %s", c.Name, resourceName(out.Resource), strings.Join(out.Fields, ",")))
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n") + "\n"
}

// Run follows, reconciles and writes until ctx ends, and returns after every goroutine has; its
// error is then ctx's.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, c := range e.list {
		l := newLoop(e, c)
		for _, in := range c.Inputs {
			wg.Go(func() { l.follow(ctx, in) })
		}
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

func resourceName(r client.Resource) string {
	if r.Group == "" {
		return r.Resource
	}
	return r.Resource + "." + r.Group
}

// Event is something worth telling about an object.
type Event = record.Event
