package pebble

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store"
)

// Log is a store.Log in one directory. It is safe for concurrent use.
type Log struct {
	db    *pebble.DB
	lock  *pebble.Lock
	clock clock.WithTicker
	codec store.Codec // nil: values are stored as they are
	disk  disk
	base  store.Revision // what a new log began after; its floor is never below
	noted store.Revision // the newest witness; pruner only, and Close after it

	kick   chan struct{} // to the commit loop: the queue is not empty. One token is enough.
	moved  chan struct{} // to the follower: durable or failed has changed. One token is enough.
	stop   chan struct{} // closed by Close
	wait   func()        // for all loops
	syncs  chan *group   // commit loop to sync loop; closed by the commit loop. One group waits while one syncs.
	pruner pruner

	assigned store.Revision // the newest revision given out; commit loop only
	places   places         // commit loop only

	mu struct {
		sync.Mutex
		queue   []*request
		closed  bool
		failure error // why the log has ended; wraps store.ErrClosed

		durable store.Revision // everything up to it is synced; only rises
		recent  store.Revision // minor versions replaced up to it are gone, and rows with them; only rises
		floor   store.Revision // versions replaced up to it are gone; only rises. base <= floor <= recent <= durable
		kept    kept

		// head has the newest record of every key written after the state that readers are known to have:
		// the follower's, or the durable one when nobody follows. order is head's records by revision.
		head  map[string]store.Record
		order []headMark

		following bool
		applied   store.Revision // the follower's place
		tail      tail
	}
}

var _ store.Log = (*Log)(nil)

type headMark struct {
	key string
	rev store.Revision
}

// request is one waiting Append. An empty transaction is answered when everything before it is durable.
type request struct {
	txn    store.Txn
	sealed [][]byte    // the changes' values as they are stored; nil: as they are
	done   chan answer // one answer, buffered so that nobody waits for a caller who left
}

// stored returns what is stored of the i-th change's value.
func (r *request) stored(i int) []byte {
	if r.sealed == nil {
		return r.txn.Changes[i].Value
	}
	return r.sealed[i]
}

type answer struct {
	revs []store.Revision
	err  error
}

// Append commits txn; see store.Log.
func (l *Log) Append(ctx context.Context, txn store.Txn) ([]store.Revision, error) {
	if err := txn.Check(); err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	req := &request{txn: txn}
	if err := l.seal(req); err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	return l.submit(ctx, req)
}

// seal is done here, by each caller for itself, and not by the commit loop.
func (l *Log) seal(req *request) error {
	if l.codec == nil {
		return nil
	}
	req.sealed = make([][]byte, len(req.txn.Changes))
	for i, c := range req.txn.Changes {
		if c.Value == nil {
			continue
		}
		var err error
		if req.sealed[i], err = l.codec.Seal(c.Key, c.Value); err != nil {
			return fmt.Errorf("encrypt %s: %w", c.Key, err)
		}
	}
	return nil
}

func (l *Log) submit(ctx context.Context, req *request) ([]store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	req.done = make(chan answer, 1)
	l.mu.Lock()
	if err := l.endedLocked(); err != nil {
		l.mu.Unlock()
		return nil, err
	}
	l.mu.queue = append(l.mu.queue, req)
	l.mu.Unlock()
	signal(l.kick)
	select {
	case a := <-req.done:
		return a.revs, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("append: outcome is unknown: %w", ctx.Err())
	}
}

// Head returns the newest record of key; see store.Log.
func (l *Log) Head(key string) (store.Record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.mu.head[key]
	return r, ok
}

// Sync returns at once: a record is acknowledged only when its revision is durable. See store.Source.
func (l *Log) Sync(context.Context) (store.Revision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.durable, l.endedLocked()
}

// forgetLocked drops from head what every reader has by now.
func (l *Log) forgetLocked() {
	known := l.knownLocked()
	n := 0
	for ; n < len(l.mu.order) && l.mu.order[n].rev <= known; n++ {
		m := l.mu.order[n]
		if l.mu.head[m.key].Revision == m.rev {
			delete(l.mu.head, m.key)
		}
	}
	clear(l.mu.order[:n]) // let the keys go although the array stays
	l.mu.order = l.mu.order[n:]
}

// knownLocked is the revision up to which every reader has everything.
func (l *Log) knownLocked() store.Revision {
	if l.mu.following {
		return min(l.mu.durable, l.mu.applied)
	}
	return l.mu.durable
}

// fail ends the log with the first cause.
func (l *Log) fail(cause error) {
	l.mu.Lock()
	if l.mu.failure == nil {
		l.mu.failure = fmt.Errorf("%w after a failed write: %w", store.ErrClosed, explain(cause))
	}
	l.mu.Unlock()
	signal(l.moved)
}

func (l *Log) ended() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.endedLocked()
}

func (l *Log) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.failure != nil
}

func (l *Log) durable() store.Revision {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.durable
}

func (l *Log) endedLocked() error {
	if l.mu.failure != nil {
		return l.mu.failure
	}
	if l.mu.closed {
		return store.ErrClosed
	}
	return nil
}

// Close waits for what is in flight and releases the directory; see store.Log. Only the first call does so.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.mu.closed {
		l.mu.Unlock()
		return store.ErrClosed
	}
	l.mu.closed = true
	failure := l.mu.failure
	l.mu.Unlock()
	close(l.stop)
	l.wait()
	signal(l.moved)
	err := errors.Join(l.leave(), l.db.Close(), l.lock.Close())
	if err != nil && failure == nil {
		return fmt.Errorf("close log: %w", err)
	}
	return failure
}

// signal leaves one token in c, unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// same says that a value is stored as it is, and not merely looks like that.
func same(stored, plain []byte) bool {
	return len(stored) == len(plain) && (len(plain) == 0 || &stored[0] == &plain[0])
}

var _ store.Aged = (*Log)(nil)

// Stale implements store.Aged.
func (l *Log) Stale(_ context.Context, key string) (stale bool, err error) {
	ager, ok := l.codec.(store.Ager)
	if !ok {
		return false, nil
	}
	if err := l.ended(); err != nil {
		return false, err
	}
	iter, err := l.db.NewIter(&pebble.IterOptions{LowerBound: keyStart(nil, key), UpperBound: keyEnd(key)})
	if err != nil {
		return false, l.reading("the stored form of "+key, err)
	}
	defer closeInto(&err, iter)
	if !iter.First() { // the newest
		return false, iter.Error()
	}
	b, err := iter.ValueAndErr()
	if err != nil {
		return false, l.reading("the stored form of "+key, err)
	}
	v, _, err := decodeVersion(b)
	if err != nil || v.Value == nil {
		return false, err
	}
	return ager.Stale(key, v.Value), nil
}
