package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/internal/store"
)

const added = "/registry/example.com/gadgets/"

// gadgets decodes what is stored as the letters that it is given with.
func gadgets(with string) store.Collection {
	decode := func(item *store.Item) (any, int, error) { return with + string(item.Value()), len(item.Value()), nil }
	return store.Collection{Prefix: added, Decode: decode, Indexes: []store.Index{{Name: "value", Values: func(item *store.Item) []string {
		return []string{with + string(item.Value())}
	}}}}
}

func commit(t *testing.T, s *store.Store, key, value string) store.Revision {
	t.Helper()
	revs, err := s.Commit(t.Context(), store.Txn{Changes: []store.Change{{Key: key, Value: []byte(value)}}})
	if err != nil {
		t.Fatal(err)
	}
	return revs[0]
}

// shows holds what the table makes of an item against what a collection is to make of it.
func shows(t *testing.T, s *store.Store, key, want string) {
	t.Helper()
	object, err := s.Snapshot().Get(key).Object()
	if object != want {
		t.Errorf("%s is %v, %v; want %q", key, object, err, want)
	}
	if got := names(s.Snapshot().Lookup(added, "value", want)); !strings.Contains(got, key) {
		t.Errorf("the index has %q under %q", got, want)
	}
}

// TestCollectionsComeAndGo adopts a collection of which the table holds items already, replaces it and takes it away, while others are written and watched.
func TestCollectionsComeAndGo(t *testing.T) {
	s := start(t, inMemory(), 0)
	one := added + "one"
	before := commit(t, s, one, "1")
	if _, err := s.Snapshot().Get(one).Object(); err == nil {
		t.Fatal("an item of no collection was decoded")
	}
	others, err := s.Watch(store.WatchOptions{Prefix: prefix, After: before})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Adopt(nil, []store.Collection{gadgets("a")}); err != nil {
		t.Fatal(err)
	}
	shows(t, s, one, "a1")
	if _, err := s.Watch(store.WatchOptions{Prefix: added, After: before - 1}); !errors.Is(err, store.ErrExpired) {
		t.Errorf("a cursor from before the adoption: %v", err)
	}
	watch, err := s.Watch(store.WatchOptions{Prefix: added, After: before})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, one, "2")
	shows(t, s, one, "a2")
	if err := s.Adopt([]string{added}, []store.Collection{gadgets("b")}); err != nil {
		t.Fatal(err)
	}
	shows(t, s, one, "b2")
	if got := names(s.Snapshot().Lookup(added, "value", "a2")); got != "" {
		t.Errorf("the index still has %q", got)
	}
	if e, err := watch.Next(t.Context()); err != nil || string(e.Item.Value()) != "2" {
		t.Errorf("the event before the change: %v, %v", e, err)
	}
	if _, err := watch.Next(t.Context()); !errors.Is(err, store.ErrEnded) {
		t.Errorf("after it: %v", err)
	}
	if err := s.Adopt([]string{added}, nil); err != nil {
		t.Fatal(err)
	}
	if item := s.Snapshot().Get(one); item == nil || names(s.Snapshot().Lookup(added, "value", "b2")) != "" {
		t.Error("the item has gone with its collection, or its index has not")
	}
	end := put(t, s, "a/1", "n1")
	if got := drain(t, others, end); got != "a/1+n1" {
		t.Errorf("the other collection's events are %q", got)
	}
	if err := s.Adopt(nil, []store.Collection{{Prefix: prefix + "a/"}}); err == nil {
		t.Error("a collection within another was adopted")
	}
}

// TestWaitingCursorHearsTheEnd takes the collection of a cursor away that waits.
func TestWaitingCursorHearsTheEnd(t *testing.T) {
	s := start(t, inMemory(), 0)
	if err := s.Adopt(nil, []store.Collection{gadgets("a")}); err != nil {
		t.Fatal(err)
	}
	watch, err := s.Watch(store.WatchOptions{Prefix: added})
	if err != nil {
		t.Fatal(err)
	}
	wake, now := watch.Ready()
	if now {
		t.Fatal("there is something to take")
	}
	heard := make(chan error)
	go func() {
		_, err := watch.Next(context.Background())
		heard <- err
	}()
	if err := s.Adopt([]string{added}, nil); err != nil {
		t.Fatal(err)
	}
	<-wake
	if err := <-heard; !errors.Is(err, store.ErrEnded) {
		t.Error(err)
	}
}
