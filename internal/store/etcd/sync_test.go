package etcd

import (
	"context"
	"errors"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
)

// TestSyncReachesTheFollower writes where the follower's watch sees nothing.
func TestSyncReachesTheFollower(t *testing.T) {
	l, client := start(t)
	f := follow(t, l, 0)
	for range 20 {
		mod := foreignTxn(t, client, clientv3.OpPut("/elsewhere", ""))
		rev, err := l.Sync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := store.Revision(mod)*128 + 127; rev != want {
			t.Fatalf("sync: got %d, want %d", rev, want)
		}
		f.until(t, "progress", func() bool { return f.reached >= rev })
	}
}

// TestOtherServersWrites reads in one server's table what another has just written.
func TestOtherServersWrites(t *testing.T) {
	c := etcdtest.Start(t, 1, etcdtest.NoFsync)
	here, there := mustOpen(t, Options{Endpoints: c.Endpoints()}), mustOpen(t, Options{Endpoints: c.Endpoints()})
	table := runTable(t, here)
	for range 50 {
		revs := must(t, there, set("x", ""), set("a", "1"))
		if err := table.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if item := table.Snapshot().Get(key("a")); item == nil || item.Revision != revs[1] {
			t.Fatalf("got %v, want revision %d", item, revs[1])
		}
		// A conflict with another server's write says where to wait for it.
		foreign := must(t, there, set("a", "2"))[0]
		_, err := table.Commit(t.Context(), store.Txn{Conditions: []store.Condition{{Key: key("a"), Revision: revs[1]}}, Changes: []store.Change{set("a", "no")}})
		if item := table.Snapshot().Get(key("a")); !errors.Is(err, store.ErrConflict) || item.Revision != foreign {
			t.Fatalf("got %v and revision %d, want a conflict and %d", err, item.Revision, foreign)
		}
	}
}

// runTable opens a table on a log and runs it until the test ends.
func runTable(t testing.TB, l *Log) *store.Store {
	t.Helper()
	table, err := store.Open(t.Context(), l, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- table.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("table: %v", err)
		}
	})
	return table
}

func TestTurns(t *testing.T) {
	var group sync.WaitGroup
	begun, end := make(chan int64), make(chan int)
	work := turns[int]{
		spawn: func(f func()) bool { group.Go(f); return true },
		work: func(since int64) (int, error) {
			begun <- since
			return <-end, nil
		},
	}
	first, err := work.join(7)
	if err != nil {
		t.Fatal(err)
	}
	if since := <-begun; since != 7 {
		t.Errorf("first turn since %d, want 7", since)
	}
	// These come while it runs: none of them may have its result.
	var next []*turn[int]
	for _, since := range []int64{9, 3, 5} {
		mine, err := work.join(since)
		if err != nil {
			t.Fatal(err)
		}
		next = append(next, mine)
	}
	end <- 1
	if <-first.done; first.result != 1 {
		t.Errorf("first turn: got %d, want 1", first.result)
	}
	if since := <-begun; since != 3 {
		t.Errorf("second turn since %d, want 3", since)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := work.do(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left: got %v, want %v", err, context.Canceled)
	}
	end <- 2
	for _, mine := range next {
		if <-mine.done; mine.result != 2 || mine != next[0] {
			t.Errorf("second turn: got %d, want 2 from one turn", mine.result)
		}
	}
	<-begun
	end <- 3
	group.Wait()
}
