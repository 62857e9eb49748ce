package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/floe-k8s/floe/internal/store"
)

// TestCursorsGetTheirOwn lets cursors of every kind read one history, made before and after it.
func TestCursorsGetTheirOwn(t *testing.T) {
	s := start(t, inMemory(), 0)
	begin := put(t, s, "a/1", "n1")
	options := map[string]store.WatchOptions{
		"all":       {Prefix: prefix},
		"namespace": {Prefix: prefix + "a/"},
		"key":       {Prefix: prefix, Key: prefix + "a/1"},
		"index":     {Prefix: prefix, Index: "node", Value: "n1"},
	}
	want := map[string]string{
		"all":       "b/1+n1 a/1n1>n2 a/1n2>n3 b/1-n1",
		"namespace": "a/1n1>n2 a/1n2>n3",
		"key":       "a/1n1>n2 a/1n2>n3",
		"index":     "b/1+n1 a/1n1>n2 b/1-n1",
	}
	cursors := map[string][]*store.Cursor{}
	watch := func() {
		for name, o := range options {
			o.After = begin
			c, err := s.Watch(o)
			if err != nil {
				t.Fatal(err)
			}
			cursors[name] = append(cursors[name], c)
		}
	}
	watch()
	put(t, s, "b/1", "n1")
	put(t, s, "a/1", "n2")
	watch()
	put(t, s, "a/1", "n3")
	end := put(t, s, "b/1", "")
	watch()
	for name, list := range cursors {
		for i, c := range list {
			if got := drain(t, c, end); got != want[name] {
				t.Errorf("%s, cursor %d: got %q, want %q", name, i, got, want[name])
			}
			if got := c.Revision(); got != end {
				t.Errorf("%s, cursor %d: bookmark %d, want %d", name, i, got, end)
			}
			c.Close()
			if _, err := c.Next(t.Context()); !errors.Is(err, store.ErrClosed) {
				t.Errorf("closed cursor: %v", err)
			}
		}
	}
}

// drain reads until the cursor has seen everything up to a revision.
func drain(t *testing.T, c *store.Cursor, end store.Revision) string {
	t.Helper()
	var got []string
	for {
		e, ok, err := c.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			got = append(got, describe(e))
		} else if c.Revision() >= end {
			return strings.Join(got, " ")
		}
	}
}

func describe(e store.Event) string {
	switch {
	case e.Previous == nil:
		return strings.TrimPrefix(e.Item.Key, prefix) + "+" + string(e.Item.Value())
	case e.Item == nil:
		return strings.TrimPrefix(e.Previous.Key, prefix) + "-" + string(e.Previous.Value())
	}
	return strings.TrimPrefix(e.Item.Key, prefix) + string(e.Previous.Value()) + ">" + string(e.Item.Value())
}

func TestSlowCursorExpires(t *testing.T) {
	s := start(t, inMemory(), 10_000)
	begin := put(t, s, "quiet", "n9", "loud", "n1")
	slow, err := s.Watch(store.WatchOptions{Prefix: prefix, After: begin})
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Watch(store.WatchOptions{Prefix: prefix, After: begin, Key: prefix + "quiet"})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		put(t, s, "loud", "n1")
	}
	end := put(t, s, "quiet", "n8")
	if _, err := slow.Next(t.Context()); !errors.Is(err, store.ErrExpired) {
		t.Errorf("slow cursor: got %v, want %v", err, store.ErrExpired)
	}
	if e, err := other.Next(t.Context()); err != nil || e.Revision != end {
		t.Errorf("a cursor that missed nothing of its own: got %d %v, want %d", e.Revision, err, end)
	}
	if _, err := s.Watch(store.WatchOptions{Prefix: prefix, After: begin}); !errors.Is(err, store.ErrExpired) {
		t.Errorf("new cursor: got %v, want %v", err, store.ErrExpired)
	}
	other.Close()
	slow.Close()
}

// TestListAndWatch is the law of lists and cursors: from any snapshot on, replaying a cursor's events over the
// list gives the table, each event resting on the one before.
func TestListAndWatch(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := start(t, inMemory(), 0)
	var writers, readers sync.WaitGroup
	const count = 8
	final := make(chan store.Revision, 1)
	for w := range count {
		writers.Go(func() { writeRandomly(t, s, rand.New(rand.NewPCG(seed, uint64(w)))) })
	}
	go func() {
		writers.Wait()
		revs, err := s.Commit(context.Background(), store.Txn{Changes: []store.Change{{Key: prefix + "end", Value: []byte("n0")}}})
		if err != nil {
			t.Error(err)
		}
		final <- revs[0]
	}()
	for range count {
		readers.Go(func() {
			for range 5 {
				followTable(t, s)
			}
		})
	}
	readers.Wait()
	<-final
}

func writeRandomly(t *testing.T, s *store.Store, rng *rand.Rand) {
	for range 150 {
		var txn store.Txn
		for _, i := range rng.Perm(20)[:1+rng.IntN(3)] {
			c := store.Change{Key: fmt.Sprint(prefix, i)}
			if rng.IntN(3) > 0 {
				c.Value = fmt.Appendf(nil, "n%d", rng.IntN(3))
			}
			txn.Changes = append(txn.Changes, c)
		}
		if _, err := s.Commit(t.Context(), txn); err != nil {
			t.Error(err)
			return
		}
	}
}

// followTable lists, and watches until the key "end" appears, or for 60 events.
func followTable(t *testing.T, s *store.Store) {
	snap := s.Snapshot()
	have := map[string]store.Revision{}
	for item := range snap.Ascend(prefix, "") {
		have[item.Key] = item.Revision
	}
	if have[prefix+"end"] != 0 {
		return
	}
	c, err := s.Watch(store.WatchOptions{Prefix: prefix, After: snap.Revision()})
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	last := snap.Revision()
	for range 60 {
		e, err := c.Next(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		key, previous := "", store.Revision(0)
		if e.Previous != nil {
			key, previous = e.Previous.Key, e.Previous.Revision
		}
		if e.Item != nil {
			key = e.Item.Key
		}
		if have[key] != previous || e.Revision <= last || s.Snapshot().Revision() < e.Revision {
			t.Errorf("event %d of %s rests on %d, reader has %d; last event was %d", e.Revision, key, previous, have[key], last)
			return
		}
		last = e.Revision
		delete(have, key)
		if e.Item != nil {
			have[key] = e.Revision
		}
		if key == prefix+"end" {
			break
		}
	}
}

// TestCursorsEndWithTheirTable: who waits by Ready is woken when the table stops, and learns why.
func TestCursorsEndWithTheirTable(t *testing.T) {
	s, err := store.Open(t.Context(), openLog(t, inMemory()), store.Config{Collections: []store.Collection{pods}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	defer running.Wait()
	defer stop()
	begin := put(t, s, "a/1", "n1")
	var cursors []*store.Cursor
	for _, o := range []store.WatchOptions{{Prefix: prefix, After: begin}, {Prefix: prefix, After: begin}, {Prefix: prefix, After: begin, Key: prefix + "a/1"}} {
		c, err := s.Watch(o)
		if err != nil {
			t.Fatal(err)
		}
		cursors = append(cursors, c)
	}
	for i, want := range []int{2, 2, 1} {
		if got := cursors[i].Readers(); got != want {
			t.Errorf("cursor %d: %d readers, want %d", i, got, want)
		}
	}
	var wakes []<-chan struct{}
	for i, c := range cursors {
		wake, now := c.Ready()
		if now || c.Ended() != nil {
			t.Fatalf("cursor %d is ready: %v", i, c.Ended())
		}
		wakes = append(wakes, wake)
	}
	stop()
	for i, c := range cursors {
		<-wakes[i]
		if _, now := c.Ready(); !now || !errors.Is(c.Ended(), store.ErrClosed) {
			t.Errorf("cursor %d: ready %v, ended %v", i, now, c.Ended())
		}
	}
}
