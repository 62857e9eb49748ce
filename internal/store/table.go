package store

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/utils/clock"
)

// Config says what a Store holds and how much memory it may use beside the objects' bytes.
type Config struct {
	Collections []Collection       // one per kind; no prefix is the beginning of another
	FormBytes   int64              // bound of the cache of forms; 0: 32 MiB
	RingBytes   int64              // bound of all rings together; 0: 64 MiB
	Clock       clock.PassiveClock // nil: the real one
}

const (
	defaultFormBytes = 32 << 20
	defaultRingBytes = 64 << 20
)

// Collection is all objects of one kind: the keys that begin with Prefix. Keys outside every collection are kept and
// listed, but have no index, no decoder and no events.
type Collection struct {
	Prefix  string // "/registry/pods/"
	Indexes []Index
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

// Store is the table over one log. All methods may be called by any goroutine.
//
// No lock of the store is held while another is taken, and none during a callback. Readers of snapshots take none.
type Store struct {
	log         Log
	collections []*collection // by prefix
	cache       *formCache
	budget      *ringBudget

	current atomic.Pointer[Snapshot]
	// fed is the revision up to which every ring has its events; fed <= current's revision, equal when Run rests.
	fed     atomic.Uint64
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

// Open loads the table from the log. It starts nothing: until Run is called the table stands still. It returns an error when the
// log cannot be read or two collections overlap.
func Open(ctx context.Context, log Log, cfg Config) (*Store, error) {
	s := &Store{log: log, cache: &formCache{limit: orDefault(cfg.FormBytes, defaultFormBytes)}}
	s.budget = &ringBudget{limit: orDefault(cfg.RingBytes, defaultRingBytes)}
	s.ended.done = make(chan struct{})
	for _, c := range cfg.Collections {
		s.collections = append(s.collections, &collection{Collection: c, cache: s.cache, ring: newRing(s.budget)})
	}
	sort.Slice(s.collections, func(i, j int) bool { return s.collections[i].Prefix < s.collections[j].Prefix })
	for i, c := range s.collections {
		if c.Prefix == "" || i > 0 && strings.HasPrefix(c.Prefix, s.collections[i-1].Prefix) {
			return nil, fmt.Errorf("open store: collection %q is empty or overlaps another", c.Prefix)
		}
	}
	edit := s.edit(&Snapshot{})
	rev, err := log.Load(ctx, func(r Record) error {
		edit.put(s.newItem(r.Key, r.Value, r.Revision))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	for _, c := range s.collections {
		c.ring.begin(rev)
	}
	s.fed.Store(uint64(rev))
	s.current.Store(edit.done(rev))
	return s, nil
}

func orDefault(v, d int64) int64 {
	if v == 0 {
		return d
	}
	return v
}

// Run applies the log to the table until ctx ends or the log fails, and returns that error. It is called once. After it every
// Wait and Next that would block returns ErrClosed.
func (s *Store) Run(ctx context.Context) error {
	if s.running.Swap(true) {
		return errors.New("store runs already, or has run")
	}
	err := s.log.Follow(ctx, s.Snapshot().Revision(), s.apply)
	cause := ErrClosed
	if err != nil && !errors.Is(err, ErrClosed) {
		cause = fmt.Errorf("%w: table has stopped: %w", ErrClosed, err)
	}
	s.ended.mu.Lock()
	s.ended.err = cause
	s.ended.mu.Unlock()
	close(s.ended.done)
	if err == nil {
		return nil
	}
	return fmt.Errorf("follow the log: %w", err)
}

// Commit appends txn to the log and returns when the table shows it. Errors are those of Log.Append; when the wait
// ends early the transaction is durable and the error says so.
func (s *Store) Commit(ctx context.Context, txn Txn) ([]Revision, error) {
	revs, err := s.log.Append(ctx, txn)
	if err != nil {
		return nil, err
	}
	if err := s.Wait(ctx, revs[len(revs)-1]); err != nil {
		return revs, fmt.Errorf("committed, not yet visible: %w", err)
	}
	return revs, nil
}

// Head returns the newest state of key, unsynced included; false when it is absent there, and then the item's revision is that of an
// unsynced deletion, or 0. What rests on it must be written with a condition on its revision, and refused only after Wait for it.
func (s *Store) Head(key string) (Item, bool) {
	// The log first: a record leaves its head only after the table shows it.
	if r, ok := s.log.Head(key); ok {
		if r.Value == nil {
			return Item{Key: key, Revision: r.Revision}, false
		}
		// The table may have the very same item, with its cached forms.
		if item := s.Snapshot().Get(key); item != nil && item.Revision == r.Revision {
			return *item, true
		}
		return *s.newItem(key, r.Value, r.Revision), true
	}
	if item := s.Snapshot().Get(key); item != nil {
		return *item, true
	}
	return Item{}, false
}

// Snapshot returns the newest durable state, without a lock.
func (s *Store) Snapshot() *Snapshot { return s.current.Load() }

// Wait returns when the table is at rev or later. It returns ctx's error, or ErrClosed after Run has ended.
func (s *Store) Wait(ctx context.Context, rev Revision) error {
	if s.Snapshot().Revision() >= rev {
		return nil
	}
	w := s.waiters.add(rev)
	// Again: the applier looks for waiters after it has published.
	if s.Snapshot().Revision() >= rev {
		s.waiters.remove(w)
		return nil
	}
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		s.waiters.remove(w)
		return fmt.Errorf("wait for revision %d: %w", rev, ctx.Err())
	case <-s.ended.done:
		s.waiters.remove(w)
		return fmt.Errorf("wait for revision %d: %w", rev, s.ended.get())
	}
}

func (s *Store) collectionOf(key string) *collection {
	i := sort.Search(len(s.collections), func(i int) bool { return s.collections[i].Prefix > key }) - 1
	if i >= 0 && strings.HasPrefix(key, s.collections[i].Prefix) {
		return s.collections[i]
	}
	return nil
}

func (s *Store) newItem(key string, value []byte, rev Revision) *Item {
	item := &Item{Key: key, Value: value, Revision: rev}
	if c := s.collectionOf(key); c != nil {
		item.cell = &cell{collection: c}
	}
	return item
}

// Err says why the table stands still: nil while Run goes on, or before it has begun.
func (s *Store) Err() error {
	select {
	case <-s.ended.done:
		return s.ended.get()
	default:
		return nil
	}
}
