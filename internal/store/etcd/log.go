package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store"
)

// Log is a store.Log in an etcd cluster. It is safe for concurrent use, and other processes may write to the same cluster.
type Log struct {
	client   *clientv3.Client
	clock    clock.WithTicker
	log      *slog.Logger
	codec    store.Codec // nil: values are stored as they are
	patience time.Duration
	base     store.Revision // of every revision; set before Open returns
	baseMod  int64          // etcd's revision at which base was written, to an etcd without objects; 0: it never was
	cluster  uint64         // etcd's identity of the cluster; set before Open returns

	writer  uint64        // tells this process's transactions from others'
	counter atomic.Uint64 // of transactions
	fence   atomic.Int64  // ModRevision of the fence key, as last seen
	seen    atomic.Int64  // the newest of etcd's revisions that an answer named; only rises
	average atomic.Int64  // bytes of an object at the last Load; 0: there was none

	heads    turns[int64]   // reads of etcd's revision
	outcomes turns[outcome] // decisions about lost answers
	foreign  foreign

	follow struct {
		mu      sync.Mutex
		active  bool
		reached int64         // etcd's revision up to which the follower has everything; valid while active
		want    int64         // what somebody waits for
		wanted  chan struct{} // one token: want has risen above reached
		loaded  *loaded       // for the follower that goes on from Load; may be nil
	}

	ctx         context.Context // of reads and loops, ended by Close at once
	cancel      context.CancelCauseFunc
	writing     context.Context // of writes, ended by Close when they take too long
	stopWriting context.CancelCauseFunc

	mu struct {
		sync.Mutex
		closed bool
	}
	calls sync.WaitGroup // Append; Add only while not closed
	loops sync.WaitGroup // everything else; Add only while not closed
}

var _ store.Log = (*Log)(nil)

// foreign knows the places of records that other programs wrote in one transaction with others, see the package comment. Usually it is
// empty; it never holds more than one entry for an object that exists.
type foreign struct {
	mu sync.Mutex
	at map[string]position
}

// of returns the place of key in the foreign transaction mod; 0 when it is not known.
func (f *foreign) of(key string, mod int64) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.at[key]; ok && at.mod == mod {
		return at.place
	}
	return 0
}

// note forgets what key had, and keeps at unless its place is 0.
func (f *foreign) note(key string, at position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at.place != 0 {
		f.at[key] = at
	} else {
		delete(f.at, key)
	}
}

// Head returns false: an answer of etcd is durable already, so there is nothing between its head and its durable state that a
// writer must wait for. What the table does not show yet, a condition compares with inside etcd, and a conflict says where to wait.
func (l *Log) Head(string) (store.Record, bool) { return store.Record{}, false }

// enter begins a caller's call, which ends when ctx or life does, and is counted in group.
func (l *Log) enter(ctx, life context.Context, group *sync.WaitGroup) (context.Context, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return nil, nil, store.ErrClosed
	}
	group.Add(1)
	ctx, cancel := context.WithCancelCause(clientv3.WithRequireLeader(ctx))
	stop := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return ctx, func() {
		stop()
		cancel(nil)
		group.Done()
	}, nil
}

// read begins a call that Close ends.
func (l *Log) read(ctx context.Context) (context.Context, func(), error) {
	return l.enter(ctx, l.ctx, &l.loops)
}

// spawn starts a loop that Close waits for; false when the log is closed. It must end when l.ctx or l.writing does.
func (l *Log) spawn(loop func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return false
	}
	l.loops.Go(loop)
	return true
}

// Close waits for what is in flight and ends the connections; see store.Log. Writes whose answer does not come in time are let go, and
// return ErrUnknownOutcome.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.mu.closed {
		l.mu.Unlock()
		return store.ErrClosed
	}
	l.mu.closed = true
	l.mu.Unlock()
	l.cancel(store.ErrClosed)
	ctx, stop := context.WithTimeout(context.Background(), l.patience)
	unhook := context.AfterFunc(ctx, func() { l.stopWriting(errLeft) })
	l.calls.Wait()
	unhook()
	stop()
	l.stopWriting(errLeft)
	l.loops.Wait()
	if err := l.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close log in etcd: %w", err)
	}
	return nil
}

// errLeft ends writes that Close has waited for in vain. It is not ErrClosed, which says that nothing was written.
var errLeft = errors.New("log was closed before there was an answer")

// ended returns why a call that failed with err did so: the end of the log and of the caller's context go before what they led to.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(ctx); errors.Is(cause, store.ErrClosed) || errors.Is(cause, errLeft) {
		return cause
	}
	return ctx.Err()
}

// get reads at the newest revision that a quorum knows, or at the one that an option names.
func (l *Log) get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	resp, err := l.client.Get(ctx, key, opts...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, translate(ended(ctx, err)))
	}
	l.see(resp.Header.Revision)
	return resp, nil
}

// see notes a revision that etcd has named.
func (l *Log) see(mod int64) {
	for {
		old := l.seen.Load()
		if mod <= old || l.seen.CompareAndSwap(old, mod) {
			return
		}
	}
}

// open returns the plain value of an object. It is never nil.
func (l *Log) open(kv *mvccpb.KeyValue) ([]byte, error) {
	value := kv.Value
	if l.codec != nil {
		var err error
		if value, err = l.codec.Open(string(kv.Key), value); err != nil {
			return nil, fmt.Errorf("open the value of %s at revision %d: %w", kv.Key, l.revision(kv.ModRevision, 0), err)
		}
	}
	if value == nil {
		value = []byte{}
	}
	return value, nil
}

// pause waits before something is tried again; it returns early when ctx ends.
func (l *Log) pause(ctx context.Context, d time.Duration) {
	t := l.clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
	case <-ctx.Done():
	}
}

// backoff is how long to pause before the n-th try after the first.
func backoff(n int) time.Duration {
	return min(10*time.Millisecond<<min(n, 10), time.Second)
}

var _ store.Aged = (*Log)(nil)

// Stale implements store.Aged.
func (l *Log) Stale(ctx context.Context, key string) (bool, error) {
	ager, ok := l.codec.(store.Ager)
	if !ok {
		return false, nil
	}
	ctx, leave, err := l.read(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	resp, err := l.get(ctx, key)
	if err != nil || len(resp.Kvs) == 0 {
		return false, err
	}
	return ager.Stale(key, resp.Kvs[0].Value), nil
}
