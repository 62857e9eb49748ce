package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

const prefix = "/registry/pods/"

// pods is a collection whose values are "node" or "node:more", indexed by node through the decoded form.
var pods = store.Collection{
	Prefix: prefix,
	Indexes: []store.Index{{Name: "node", Values: func(item *store.Item) []string {
		object, err := item.Object()
		if err != nil {
			return nil
		}
		return []string{object.(string)}
	}}},
	Decode: func(item *store.Item) (any, int, error) {
		if item.Size() == 0 {
			return nil, 0, errors.New("no value")
		}
		node, _, _ := strings.Cut(string(item.Value()), ":")
		return node, len(node), nil
	},
}

// start opens a store on a log in memory and runs it until the test ends.
func start(t testing.TB, opts pebble.Options, ringBytes int64) *store.Store {
	t.Helper()
	return startWith(t, opts, store.Config{RingBytes: ringBytes})
}

func startWith(t testing.TB, opts pebble.Options, cfg store.Config) *store.Store {
	t.Helper()
	log := openLog(t, opts)
	cfg.Collections = []store.Collection{pods}
	s, err := store.Open(t.Context(), log, cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s.Table)
	return s
}

// openLog opens a log until the test ends.
func openLog(t testing.TB, opts pebble.Options) *pebble.Log {
	t.Helper()
	log, err := pebble.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return log
}

// run runs a table until the test ends.
func run(t testing.TB, table *store.Table) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- table.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
		if err := table.Wait(context.Background(), 1<<60); !errors.Is(err, store.ErrClosed) {
			t.Errorf("wait after the end: %v", err)
		}
	})
}

func inMemory() pebble.Options { return pebble.Options{Dir: "log", FS: vfs.NewMem()} }

func put(t testing.TB, s *store.Store, pairs ...string) store.Revision {
	t.Helper()
	var txn store.Txn
	for i := 0; i < len(pairs); i += 2 {
		c := store.Change{Key: prefix + pairs[i]}
		if pairs[i+1] != "" {
			c.Value = []byte(pairs[i+1])
		}
		txn.Changes = append(txn.Changes, c)
	}
	revs, err := s.Commit(context.Background(), txn)
	if err != nil {
		t.Fatal(err)
	}
	return revs[len(revs)-1]
}

func names(seq func(func(*store.Item) bool)) string {
	var got []string
	for item := range seq {
		got = append(got, strings.TrimPrefix(item.Key, prefix)+"="+string(item.Value()))
	}
	return strings.Join(got, " ")
}

func TestTable(t *testing.T) {
	s := start(t, inMemory(), 0)
	put(t, s, "a/1", "n1", "a/2", "n2", "b/1", "n1")
	old := s.Snapshot()
	rev := put(t, s, "a/1", "n2:moved", "b/1", "", "b/2", "n1")
	now := s.Snapshot()
	for _, c := range []struct{ what, got, want string }{
		{"all", names(now.Ascend(prefix, "")), "a/1=n2:moved a/2=n2 b/2=n1"},
		{"from", names(now.Ascend(prefix, prefix+"a/2")), "a/2=n2 b/2=n1"},
		{"namespace", names(now.Ascend(prefix+"a/", "")), "a/1=n2:moved a/2=n2"},
		{"index n1", names(now.Lookup(prefix, "node", "n1")), "b/2=n1"},
		{"index n2", names(now.Lookup(prefix, "node", "n2")), "a/1=n2:moved a/2=n2"},
		{"no such index", names(now.Lookup(prefix, "zone", "n2")), ""},
		{"old snapshot", names(old.Ascend(prefix, "")), "a/1=n1 a/2=n2 b/1=n1"},
		{"old index", names(old.Lookup(prefix, "node", "n1")), "a/1=n1 b/1=n1"},
		{"counts", fmt.Sprint(now.Count(prefix), now.Count(prefix+"a/"), now.Count("/x"), now.Count("")), "3 2 0 3"},
		{"revision", fmt.Sprint(now.Revision()), fmt.Sprint(rev)},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
	if now.Get(prefix+"b/1") != nil {
		t.Error("a deleted object is in the table")
	}
	if item, ok := s.Head(prefix + "a/1"); !ok || string(item.Value()) != "n2:moved" {
		t.Errorf("head: got %q %v", item.Value(), ok)
	}
	if _, ok := s.Head(prefix + "b/1"); ok {
		t.Error("a deleted object is at the head")
	}
}

func TestReopenedTable(t *testing.T) {
	opts := inMemory()
	var rev store.Revision
	t.Run("write", func(t *testing.T) {
		s := start(t, opts, 0)
		rev = put(t, s, "a", "n1", "b", "n2")
	})
	s := start(t, opts, 0)
	if got := names(s.Snapshot().Lookup(prefix, "node", "n2")); got != "b=n2" || s.Snapshot().Revision() != rev {
		t.Errorf("got %q at %d, want b=n2 at %d", got, s.Snapshot().Revision(), rev)
	}
	c, err := s.Watch(store.WatchOptions{Prefix: prefix, After: rev - 1})
	if err != nil {
		t.Fatalf("watch from before the start, which history has: %v", err)
	}
	defer c.Close()
	if e, ok, err := c.TryNext(); err != nil || !ok || e.Item.Key != prefix+"b" || e.Revision != rev {
		t.Errorf("event from before the start: got %v %v %v, want the one of b", e, ok, err)
	}
	if _, err := s.Watch(store.WatchOptions{Prefix: prefix, After: rev + 1}); !errors.Is(err, store.ErrFuture) {
		t.Errorf("watch from the future: got %v, want %v", err, store.ErrFuture)
	}
}

// TestStopWakesEveryone ends Run under a waiter and a cursor that block.
func TestStopWakesEveryone(t *testing.T) {
	log, err := pebble.Open(inMemory())
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), log, store.Config{Collections: []store.Collection{pods}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Watch(store.WatchOptions{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended := make(chan error, 3)
	go func() { ended <- s.Wait(context.Background(), 1000) }()
	go func() { _, err := c.Next(context.Background()); ended <- err }()
	go func() { ended <- s.Run(context.Background()) }()
	if err := log.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for range cap(ended) {
		if err := <-ended; !errors.Is(err, store.ErrClosed) {
			t.Errorf("got %v, want %v", err, store.ErrClosed)
		}
	}
}

func TestUndecodable(t *testing.T) {
	s := start(t, inMemory(), 0)
	if _, err := s.Commit(t.Context(), store.Txn{Changes: []store.Change{{Key: prefix + "bad", Value: []byte{}}}}); err != nil {
		t.Fatal(err)
	}
	item := s.Snapshot().Get(prefix + "bad")
	if _, err := item.Object(); err == nil || !strings.Contains(err.Error(), item.Key) {
		t.Errorf("got %v, want an error that names %s", err, item.Key)
	}
}

func TestOverlappingCollections(t *testing.T) {
	log, err := pebble.Open(inMemory())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	both := []store.Collection{{Prefix: "/a/b/"}, {Prefix: "/a/"}}
	if _, err := store.Open(t.Context(), log, store.Config{Collections: slices.Clone(both)}); err == nil {
		t.Error("overlapping collections were accepted")
	}
}
