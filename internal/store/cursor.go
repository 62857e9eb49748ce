package store

import (
	"context"
	"fmt"
	"runtime"
	"strings"
)

// Event is one change of one object. Its items are the table's.
type Event struct {
	Item     *Item // nil: it was deleted
	Previous *Item // nil: it was created
	Revision Revision
}

// WatchOptions say which events a cursor returns.
type WatchOptions struct {
	Prefix string   // a collection's prefix, or a longer one, such as one namespace
	After  Revision // events after it; the revision of a snapshot or of a cursor
	Key    string   // one key only; it begins with Prefix. "": all
	// Index and Value narrow to events of objects that have, or had before the event, this value of that index. Key and Index
	// exclude each other. Index "": all.
	Index, Value string
}

// Cursor is one reader's place in the events of a prefix. It is used by one goroutine at a time. It needs no
// goroutine and holds no events, and never slows a writer.
type Cursor struct {
	table   *Table
	prefix  string // "" when the whole ring is wanted
	seat    *seat
	next    int64    // the place of the next event in the queue
	at      Revision // everything up to it has been returned or is for others; only rises
	cleanup runtime.Cleanup
	closed  bool
}

// seat is a cursor's registration with a queue. It does not point to the cursor, so that one that was dropped
// without Close can still be found by the collector and leave its queue.
type seat struct {
	ring  *ring
	queue *queue
}

func (s *seat) leave() { s.ring.leave(s.queue) }

// Watch returns a cursor on the events after opts.After. It returns ErrExpired when the ring does not reach back so far, and
// ErrFuture when the table is not there yet.
func (t *Table) Watch(opts WatchOptions) (*Cursor, error) {
	c := t.collectionOf(opts.Prefix)
	if c == nil {
		return nil, fmt.Errorf("watch %s: no collection has this prefix", opts.Prefix)
	}
	if at := t.Snapshot().Revision(); opts.After > at {
		return nil, fmt.Errorf("watch %s after %d: table is at %d: %w", opts.Prefix, opts.After, at, ErrFuture)
	}
	topic, err := c.topicOf(opts)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", opts.Prefix, err)
	}
	q, next, ok := c.ring.join(topic, opts.After)
	if !ok {
		return nil, fmt.Errorf("watch %s after %d: %w", opts.Prefix, opts.After, ErrExpired)
	}
	cur := &Cursor{table: t, seat: &seat{c.ring, q}, next: next, at: opts.After}
	if opts.Prefix != c.Prefix && opts.Key == "" {
		cur.prefix = opts.Prefix
	}
	cur.cleanup = runtime.AddCleanup(cur, (*seat).leave, cur.seat)
	return cur, nil
}

func (c *collection) topicOf(opts WatchOptions) (topic, error) {
	switch {
	case opts.Key != "" && opts.Index != "":
		return topic{}, fmt.Errorf("by key %s and by index %s at once", opts.Key, opts.Index)
	case opts.Key != "" && !strings.HasPrefix(opts.Key, opts.Prefix):
		return topic{}, fmt.Errorf("key %s lies outside", opts.Key)
	case opts.Key != "":
		return topic{keyTopic, opts.Key}, nil
	case opts.Index == "":
		return topic{}, nil
	}
	for _, index := range c.Indexes {
		if index.Name == opts.Index {
			return topic{opts.Index, opts.Value}, nil
		}
	}
	return topic{}, fmt.Errorf("collection has no index %s", opts.Index)
}

// Close gives the cursor's place back; later calls return ErrClosed. A cursor that is dropped without Close is
// found by the garbage collector.
func (c *Cursor) Close() {
	if !c.closed {
		c.closed = true
		c.cleanup.Stop()
		c.seat.leave()
	}
}

// Next returns the next event, and waits for it until ctx ends. It returns ErrExpired when the ring has dropped an event that the
// cursor had not returned (then and from then on), ErrEnded after the last event of a collection that is gone or was replaced,
// ctx's error, or ErrClosed when the table has stopped.
func (c *Cursor) Next(ctx context.Context) (Event, error) {
	for {
		e, ok, wake, err := c.take(true)
		if ok || err != nil {
			return e, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		case <-c.table.ended.done:
			// What was fed before the end is still returned.
			if e, ok, _, err := c.take(false); ok || err != nil {
				return e, err
			}
			return Event{}, c.table.ended.get()
		}
	}
}

// TryNext is Next without waiting: false says that there is no event now.
func (c *Cursor) TryNext() (Event, bool, error) {
	e, ok, _, err := c.take(false)
	return e, ok, err
}

// Ended returns the error that Next would return when there is no event: nil while the table is fed, or has not begun. What was fed before the end can
// still be taken after it.
func (c *Cursor) Ended() error { return c.table.Err() }

// Readers returns how many cursors, this one among them, wait for the same events.
func (c *Cursor) Readers() int {
	r := c.seat.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.seat.queue.readers
}

// Ready returns a channel that is closed when there may be something to take, or the table has stopped, for those who wait for several cursors or by
// a timer of their own; now says that there may be already.
func (c *Cursor) Ready() (wake <-chan struct{}, now bool) {
	r := c.seat.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	q := c.seat.queue
	// Whoever stops the table says so before it takes the lock to wake those who wait.
	if c.closed || r.over || c.next < q.end() || c.table.Err() != nil {
		return nil, true
	}
	if q.wake == nil {
		q.wake = make(chan struct{})
	}
	return q.wake, false
}

// Revision returns the revision up to which every event has been returned or is not for this cursor. A new cursor after it
// continues where this one is.
func (c *Cursor) Revision() Revision {
	// fed first: what is fed by now is in the queue when it is looked at.
	fed := Revision(c.table.fed.Load())
	r := c.seat.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.closed && c.next == c.seat.queue.end() {
		c.at = max(c.at, fed)
	}
	return c.at
}

// take returns the next event that is the cursor's. When there is none and wait is set it also returns a
// channel that is closed with the next one.
func (c *Cursor) take(wait bool) (_ Event, ok bool, wake <-chan struct{}, _ error) {
	if c.closed {
		return Event{}, false, nil, ErrClosed
	}
	q := c.seat.queue
	r := c.seat.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.next < q.first && q.evicted > c.at {
		return Event{}, false, nil, fmt.Errorf("cursor at revision %d: %w", c.at, ErrExpired)
	}
	for c.next = max(c.next, q.first); c.next < q.end(); {
		e := q.events[c.next-q.first]
		c.next++
		// Fed after the snapshot that the cursor began at was published: it has been seen there.
		if e.Revision <= c.at {
			continue
		}
		c.at = e.Revision
		if strings.HasPrefix(e.key(), c.prefix) {
			return e.Event, true, nil, nil
		}
	}
	if r.over {
		return Event{}, false, nil, fmt.Errorf("cursor at revision %d: %w", c.at, ErrEnded)
	}
	if wait {
		if q.wake == nil {
			q.wake = make(chan struct{})
		}
		wake = q.wake
	}
	return Event{}, false, wake, nil
}
