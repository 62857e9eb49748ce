package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"k8s.io/utils/clock"
)

// Config says what a Table holds and how much memory it may use beside the objects' bytes.
type Config struct {
	Collections []Collection       // one per kind; no prefix is the beginning of another. Adopt adds more
	FormBytes   int64              // bound of the cache of forms; 0: 16 MiB
	RingBytes   int64              // bound of all rings together; 0: 64 MiB
	Clock       clock.PassiveClock // says how old events are; nil: the real one
}

const (
	// Most of what is decoded is read by those who follow changes, moments after it was written; and decoded objects are many small ones, which the
	// garbage collector marks each time.
	defaultFormBytes = 16 << 20
	defaultRingBytes = 64 << 20
)

// Collection is all objects of one kind: the keys that begin with Prefix. Keys outside every collection are kept and
// listed, but have no index, no decoder and no events.
type Collection struct {
	Prefix  string // "/registry/pods/"
	Indexes []Index
	// Canonical returns a value that another program may have stored as this one stores it, or value itself when it is so or cannot be read. It must not
	// change value. nil: every value is taken as it is.
	Canonical func(value []byte) []byte
	// Decode makes the object from item.Value, and says about how many bytes it takes. It is called by any
	// goroutine, and must not keep item. nil: Object is refused.
	Decode func(item *Item) (object any, size int, err error)
}

// Index finds items by values. Values must always return the same for the same item; it may use item.Object, and returns
// nothing when the item cannot be read. Empty values are kept like others; values with a zero byte are ignored.
type Index struct {
	Name   string
	Values func(item *Item) []string
}

type collection struct {
	Collection
	ring  *ring
	cache *formCache
}

// Table is the objects that a source adds up to. All methods may be called by any goroutine.
//
// Lock order: editing, then a ring's. No other lock of the table is held while another is taken, and none but editing during a callback. Readers of
// snapshots take none.
type Table struct {
	source      Source
	clock       clock.PassiveClock
	collections atomic.Pointer[collections] // replaced by who holds editing
	cache       *formCache
	budget      *ringBudget
	packer      packer     // used by who holds editing, and by what that one waits for
	editing     sync.Mutex // held while a snapshot is made out of the one before, and until the rings have its events

	current atomic.Pointer[Snapshot]
	// fed is the revision up to which every ring has its events; fed <= current's revision, equal when Run rests.
	fed atomic.Uint64
	// reached is the revision up to which the table is known to have everything; it may lie above current's, where no record stands.
	reached atomic.Uint64
	running atomic.Bool
	waiters waiters
	ended   ending
}

// ending tells blocked readers that Run is over.
type ending struct {
	done chan struct{} // closed once, by Run
	mu   sync.Mutex
	err  error // set before done is closed
}

func (e *ending) get() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// OpenTable loads a table from its source. It starts nothing: until Run is called the table stands still. It returns an error when the
// source cannot be read or two collections overlap.
func OpenTable(ctx context.Context, source Source, cfg Config) (*Table, error) {
	t := &Table{source: source, clock: cfg.Clock, cache: &formCache{limit: orDefault(cfg.FormBytes, defaultFormBytes)}}
	if t.clock == nil {
		t.clock = clock.RealClock{}
	}
	t.budget = &ringBudget{limit: orDefault(cfg.RingBytes, defaultRingBytes)}
	t.ended.done = make(chan struct{})
	list, err := collections(nil).with(t, cfg.Collections)
	if err != nil {
		return nil, fmt.Errorf("open table: %w", err)
	}
	t.collections.Store(&list)
	if err := t.load(ctx); err != nil {
		return nil, fmt.Errorf("open table: %w", err)
	}
	if err := t.refill(ctx); err != nil {
		return nil, fmt.Errorf("open table: %w", err)
	}
	return t, nil
}

func orDefault(v, d int64) int64 {
	if v == 0 {
		return d
	}
	return v
}

// Run applies the source to the table until ctx ends or the source fails, and returns that error. It is called once. After it every
// Wait and Next that would block returns ErrClosed. When the source no longer has what comes next, the table is loaded again: readers see one
// step from the old state to the new, with the items that did not change, and cursors from before get ErrExpired.
func (t *Table) Run(ctx context.Context) error {
	if t.running.Swap(true) {
		return errors.New("table runs already, or has run")
	}
	err := t.follow(ctx)
	cause := ErrClosed
	if err != nil && !errors.Is(err, ErrClosed) {
		cause = fmt.Errorf("%w: table has stopped: %w", ErrClosed, err)
	}
	t.ended.mu.Lock()
	t.ended.err = cause
	t.ended.mu.Unlock()
	close(t.ended.done)
	for _, c := range *t.collections.Load() {
		c.ring.signal()
	}
	return err
}

func (t *Table) follow(ctx context.Context) error {
	for {
		err := t.source.Follow(ctx, Revision(t.reached.Load()), (*applier)(t))
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, ErrExpired):
			return fmt.Errorf("follow the log: %w", err)
		}
		if err := t.load(ctx); err != nil {
			return fmt.Errorf("load again: %w", err)
		}
	}
}

// Snapshot returns the newest durable state, without a lock.
func (t *Table) Snapshot() *Snapshot { return t.current.Load() }

// Fed returns the revision up to which cursors have every event. A transaction ends there. It follows Snapshot's, a moment later.
func (t *Table) Fed() Revision { return Revision(t.fed.Load()) }

// Changed returns a revision that rises with every change of the collection with that prefix, and at or after which a snapshot taken later stands; 0 when there
// is no such collection. It takes no lock.
func (t *Table) Changed(prefix string) Revision {
	if c := t.collectionOf(prefix); c != nil {
		return Revision(c.ring.newest.Load())
	}
	return 0
}

// Wait returns when the table has everything up to rev. It returns ctx's error, or ErrClosed after Run has ended.
func (t *Table) Wait(ctx context.Context, rev Revision) error {
	if Revision(t.reached.Load()) >= rev {
		return nil
	}
	w := t.waiters.add(rev)
	// Again: the applier looks for waiters after it has said what it reached.
	if Revision(t.reached.Load()) >= rev {
		t.waiters.remove(w)
		return nil
	}
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		t.waiters.remove(w)
		return fmt.Errorf("wait for revision %d: %w", rev, ctx.Err())
	case <-t.ended.done:
		t.waiters.remove(w)
		return fmt.Errorf("wait for revision %d: %w", rev, t.ended.get())
	}
}

// Sync returns when the table has every write that was acknowledged before the call, by this process or another.
func (t *Table) Sync(ctx context.Context) error {
	rev, err := t.source.Sync(ctx)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return t.Wait(ctx, rev)
}

func (t *Table) collectionOf(key string) *collection {
	return t.collections.Load().of(key)
}

func (t *Table) newItem(key string, value []byte, rev Revision) *Item {
	item := &Item{Key: key, Revision: rev, value: value}
	if c := t.collectionOf(key); c != nil {
		item.cell = &cell{collection: c}
		if c.Canonical != nil {
			item.value = c.Canonical(value)
		}
	}
	return item
}

// Sweep lets go of the cached forms that were there when it was last called and that nobody has used since, and returns their bytes. How often it is
// called says how long a form lasts that is not used; without it the cache is bounded by its size alone. It also lets go of events that have grown too old
// while nothing was written.
func (t *Table) Sweep() int64 {
	t.editing.Lock()
	t.budget.enforce(t.clock.Now())
	t.editing.Unlock()
	return t.cache.sweep()
}

// Err says why the table stands still: nil while Run goes on, or before it has begun.
func (t *Table) Err() error {
	select {
	case <-t.ended.done:
		return t.ended.get()
	default:
		return nil
	}
}
