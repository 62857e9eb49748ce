package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
)

// patience bounds what a test waits for that must happen.
const patience = 30 * time.Second

// start starts one member and opens a log on it.
func start(t testing.TB, args ...string) (*Log, *clientv3.Client) {
	t.Helper()
	c := etcdtest.Start(t, 1, append([]string{etcdtest.NoFsync}, args...)...)
	return mustOpen(t, Options{Endpoints: c.Endpoints()}), c.Client()
}

func mustOpen(t testing.TB, opts Options) *Log {
	t.Helper()
	l, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func key(name string) string { return "/registry/things/" + name }

func set(name, value string) store.Change {
	return store.Change{Key: key(name), Value: []byte(value)}
}

func drop(name string) store.Change { return store.Change{Key: key(name)} }

func must(t testing.TB, l *Log, changes ...store.Change) []store.Revision {
	t.Helper()
	revs, err := l.Append(t.Context(), store.Txn{Changes: changes})
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return revs
}

// foreignTxn writes as another program does, and returns the ModRevision.
func foreignTxn(t testing.TB, client *clientv3.Client, ops ...clientv3.Op) int64 {
	t.Helper()
	resp, err := client.Txn(t.Context()).Then(ops...).Commit()
	if err != nil {
		t.Fatalf("foreign write: %v", err)
	}
	return resp.Header.Revision
}

// line shows what tests compare of a record.
func line(r store.Record) string {
	value := string(r.Value)
	if r.Value == nil {
		value = "deleted"
	}
	return fmt.Sprintf("%d %s=%s after %d", r.Revision, r.Key[len(key("")):], value, r.Previous)
}

func lines(records []store.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, line(r))
	}
	return all
}

func collect(to *[]store.Record) func(store.Record) error {
	return func(r store.Record) error {
		*to = append(*to, r)
		return nil
	}
}

func load(t testing.TB, l *Log) []store.Record {
	t.Helper()
	var records []store.Record
	if _, err := l.Load(t.Context(), collect(&records)); err != nil {
		t.Fatalf("load: %v", err)
	}
	return records
}

// recorder is a follower that keeps everything.
type recorder struct {
	mu      sync.Mutex
	changed chan struct{} // closed and made anew at each change
	txns    [][]store.Record
	records []store.Record
	reached store.Revision
	err     error // of Follow
	ended   bool
}

func (r *recorder) Apply(txns ...[]store.Record) error {
	r.note(func() {
		r.txns = append(r.txns, txns...)
		for _, txn := range txns {
			r.records = append(r.records, txn...)
			r.reached = txn[len(txn)-1].Revision
		}
	})
	return nil
}

func (r *recorder) Reached(rev store.Revision) { r.note(func() { r.reached = rev }) }

func (r *recorder) note(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	close(r.changed)
	r.changed = make(chan struct{})
}

// until waits until done holds.
func (r *recorder) until(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		r.mu.Lock()
		ok, changed, ended, err := done(), r.changed, r.ended, r.err
		r.mu.Unlock()
		if ok {
			return
		}
		if ended {
			t.Fatalf("follower ended before %s: %v", what, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("no %s within %s; got %v, reached %d", what, patience, lines(r.records), r.reached)
		}
	}
}

func (r *recorder) take(t testing.TB, n int) []store.Record {
	t.Helper()
	r.until(t, fmt.Sprint(n, " records"), func() bool { return len(r.records) >= n })
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.records) != n {
		t.Fatalf("got %d records, want %d: %v", len(r.records), n, lines(r.records))
	}
	return r.records
}

// follow follows until the test ends.
func follow(t testing.TB, l *Log, after store.Revision) *recorder {
	t.Helper()
	r := &recorder{changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := l.Follow(ctx, after, r)
		r.note(func() { r.ended, r.err = true, err })
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}
