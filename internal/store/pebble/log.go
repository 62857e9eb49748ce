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
	clock clock.PassiveClock

	kick  chan struct{} // to the commit loop: the queue is not empty. One token is enough.
	moved chan struct{} // to the follower: durable or failed has changed. One token is enough.
	stop  chan struct{} // closed by Close
	wait  func()        // for both loops
	syncs chan *group   // commit loop to sync loop; closed by the commit loop. One group waits while one syncs.

	assigned store.Revision // the newest revision given out; commit loop only
	kept     retention      // commit loop only
	places   places         // commit loop only

	mu struct {
		sync.Mutex
		queue   []*request
		closed  bool
		failure error // why the log has ended; wraps store.ErrClosed

		durable store.Revision // everything up to it is synced; only rises
		floor   store.Revision // records up to it have been pruned; floor <= durable

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
	txn  store.Txn
	done chan answer // one answer, buffered so that nobody waits for a caller who left
}

type answer struct {
	revs []store.Revision
	err  error
}

// Append commits txn; see store.Log.
func (l *Log) Append(ctx context.Context, txn store.Txn) ([]store.Revision, error) {
	if err := checkTxn(txn); err != nil {
		return nil, err
	}
	return l.submit(ctx, txn)
}

func (l *Log) submit(ctx context.Context, txn store.Txn) ([]store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	req := &request{txn: txn, done: make(chan answer, 1)}
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

func checkTxn(txn store.Txn) error {
	if len(txn.Changes) == 0 {
		return errors.New("append: transaction has no changes")
	}
	if n := len(txn.Changes); n > store.MaxTxnRecords {
		return fmt.Errorf("append: %d records, at most %d: %w", n, store.MaxTxnRecords, store.ErrTooLarge)
	}
	size := 0
	seen := make(map[string]struct{}, len(txn.Changes))
	for i := range txn.Changes {
		c := &txn.Changes[i]
		if _, twice := seen[c.Key]; twice || c.Key == "" {
			return fmt.Errorf("append: key %q is empty or stands twice in one transaction", c.Key)
		}
		seen[c.Key] = struct{}{}
		size += len(c.Key) + len(c.Value)
	}
	if size > store.MaxTxnBytes {
		return fmt.Errorf("append: %d bytes, at most %d: %w", size, store.MaxTxnBytes, store.ErrTooLarge)
	}
	return nil
}

// Head returns the newest record of key; see store.Log.
func (l *Log) Head(key string) (store.Record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.mu.head[key]
	return r, ok
}

// forgetLocked drops from head what every reader has by now.
func (l *Log) forgetLocked() {
	known := l.mu.durable
	if l.mu.following {
		known = min(known, l.mu.applied)
	}
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

// fail ends the log with the first cause.
func (l *Log) fail(cause error) {
	l.mu.Lock()
	if l.mu.failure == nil {
		l.mu.failure = fmt.Errorf("%w after a failed write: %w", store.ErrClosed, cause)
	}
	l.mu.Unlock()
	signal(l.moved)
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
	err := errors.Join(l.db.Close(), l.lock.Close())
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
