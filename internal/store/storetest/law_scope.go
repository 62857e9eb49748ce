package storetest

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"strings"

	"github.com/floe-k8s/floe/internal/store"
)

// scope is what a watcher wants to hear of.
type scope struct {
	prefix string // a collection, or a namespace in it
	key    string // "": all
	value  string // of the index of first letters; "": any
}

var scopes = []scope{
	{prefix: "/pods/"},
	{prefix: "/pods/b/"},
	{prefix: "/pods/", key: "/pods/a/3"},
	{prefix: "/pods/", value: "b"},
	{prefix: "/pods/a/", value: "c"},
	{prefix: "/leases/"},
}

// String names the scope.
func (s scope) String() string { return fmt.Sprintf("%s%s(%s)", s.prefix, s.key, s.value) }

// has says whether an object belongs to the scope; value nil: there is none.
func (s scope) has(key string, value []byte) bool {
	return value != nil && strings.HasPrefix(key, s.prefix) && (s.key == "" || key == s.key) && (s.value == "" || string(value[:1]) == s.value)
}

func (s scope) hasItem(item *store.Item) bool { return item != nil && s.has(item.Key, item.Value()) }

// queued says whether an event takes room in the queue that watchers of the scope read: theirs is the whole collection's,
// unless they want one key or one value.
func (s scope) queued(c *lawChange) bool {
	wide := s
	if s.prefix != "/leases/" {
		wide.prefix = "/pods/"
	}
	return c.event() && (wide.has(c.Key, c.Value) || wide.has(c.Key, c.was.Value))
}

// list returns what a snapshot has of the scope.
func (s scope) list(from *store.Snapshot) iter.Seq[*store.Item] {
	switch {
	case s.value != "":
		return func(yield func(*store.Item) bool) {
			for item := range from.Lookup("/pods/", "first", s.value) {
				if strings.HasPrefix(item.Key, s.prefix) && !yield(item) {
					return
				}
			}
		}
	case s.key != "":
		return func(yield func(*store.Item) bool) {
			if item := from.Get(s.key); item != nil {
				yield(item)
			}
		}
	}
	return from.Ascend(s.prefix, "")
}

// watch makes a cursor on the scope.
func (e *epoch) watch(s scope, after store.Revision) (*store.Cursor, error) {
	opts := store.WatchOptions{Prefix: s.prefix, Key: s.key, After: after}
	if s.value != "" {
		opts.Index, opts.Value = "first", s.value
	}
	return e.table.Watch(opts)
}

// drain reads until the cursor has been told everything up to a revision that the table shows.
func drain(ctx context.Context, c *store.Cursor, upTo store.Revision) (events []store.Event, _ error) {
	for {
		e, ok, err := c.TryNext()
		switch {
		case err != nil:
			return events, err
		case ok:
			events = append(events, e)
		case c.Revision() >= upTo:
			return events, nil
		case ctx.Err() != nil:
			return events, ctx.Err()
		default:
			runtime.Gosched() // those who wait for a write are woken before the rings have it
		}
	}
}
