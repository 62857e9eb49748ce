package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/floe-k8s/floe/internal/store"
)

// habit is how a watcher reads.
type habit string

const (
	fast   habit = "fast"
	slow   habit = "slow"
	broken habit = "broken"
)

// watcher keeps a copy of its scope from a list and what it is told after it. One goroutine at a time uses it.
type watcher struct {
	*round
	habit habit
	scope scope
	rng   *rand.Rand

	epoch  *epoch        // the cursor's
	cursor *store.Cursor // nil: it has to list
	fresh  bool          // the cursor began at a list of its epoch
	have   map[string]*store.Item
	at     store.Revision // everything up to it is in the copy; only rises, also over lists, epochs and restores
	claim  *claim
	closed []*claim // to be compared when everybody rests
}

// claim is what a watcher was told: a list, and events that are all there was in (from, upTo].
type claim struct {
	past   *past
	list   map[string]*store.Item // nil: it went on from where the claim before ended
	from   store.Revision
	upTo   store.Revision
	events []store.Event
}

// String names the watcher.
func (w *watcher) String() string { return fmt.Sprintf("%s watcher of %s", w.habit, w.scope) }

// watch reads by habit until ctx ends.
func (w *watcher) watch(ctx context.Context) error {
	if err := w.read(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s, at revision %d: %w", w, w.at, err)
	}
	return nil
}

func (w *watcher) read(ctx context.Context) error {
	switch w.habit {
	case slow:
		for range w.rng.IntN(6) {
			if err := w.next(ctx); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return nil
	case broken:
		for {
			for range w.rng.IntN(30) {
				if err := w.next(ctx); err != nil {
					return err
				}
			}
			if err := w.breakOff(); err != nil {
				return err
			}
		}
	}
	for {
		if err := w.next(ctx); err != nil {
			return err
		}
	}
}

// next takes one event, by whatever it needs to come to it.
func (w *watcher) next(ctx context.Context) error {
	for w.cursor == nil {
		if err := errors.Join(w.start(), ctx.Err()); err != nil {
			return err
		}
	}
	e, err := w.cursor.Next(ctx)
	switch {
	case err == nil:
		return w.take(e)
	case isExpired(err):
		return w.expire()
	case errors.Is(err, store.ErrClosed):
		select {
		case <-w.epoch.over:
		case <-ctx.Done():
			return ctx.Err()
		}
		return w.resume()
	}
	return err
}

// start lists, and watches from there.
func (w *watcher) start() error {
	w.epoch = w.now.get()
	snapshot := w.epoch.table.Snapshot()
	if snapshot.Revision() < w.at {
		return fmt.Errorf("a list is of revision %d, and the reader was further", snapshot.Revision())
	}
	w.at = snapshot.Revision()
	w.have = map[string]*store.Item{}
	list := map[string]*store.Item{}
	for item := range w.scope.list(snapshot) {
		w.have[item.Key], list[item.Key] = item, item
	}
	w.claim = &claim{past: w.past, list: list, from: w.at}
	c, err := w.epoch.watch(w.scope, w.at)
	if isExpired(err) {
		w.end() // writers were quicker; the next read lists again
		return nil
	}
	w.cursor, w.fresh = c, true
	return err
}

// take brings an event into the copy.
func (w *watcher) take(e store.Event) error {
	if e.Revision <= w.at {
		return fmt.Errorf("event %d comes late or twice", e.Revision)
	}
	if now := w.epoch.table.Snapshot().Revision(); now < e.Revision {
		return fmt.Errorf("event %d is told, and the table shows %d", e.Revision, now)
	}
	if !w.scope.hasItem(e.Item) && !w.scope.hasItem(e.Previous) {
		return fmt.Errorf("event %d is for others", e.Revision)
	}
	item := e.Item
	if item == nil {
		item = e.Previous
	}
	had := w.have[item.Key]
	if had == nil && w.scope.hasItem(e.Previous) {
		return fmt.Errorf("event %d replaces %s at %d, which the reader has never seen", e.Revision, item.Key, e.Previous.Revision)
	}
	if had != nil && (e.Previous == nil || had.Revision != e.Previous.Revision || !bytes.Equal(had.Value(), e.Previous.Value())) {
		return fmt.Errorf("event %d does not replace %s at %d, which the reader has", e.Revision, item.Key, had.Revision)
	}
	delete(w.have, item.Key)
	if w.scope.hasItem(e.Item) {
		w.have[item.Key] = e.Item
	}
	w.at = e.Revision
	w.claim.events = append(w.claim.events, e)
	w.tally.add("events "+string(w.habit), 1)
	return nil
}

// expire gives up a cursor that was refused. What it was told until then has to be right.
func (w *watcher) expire() error {
	w.tally.add("expired "+string(w.habit), 1)
	if w.cursor != nil {
		w.at = max(w.at, w.cursor.Revision())
		w.cursor.Close()
	}
	w.end()
	return w.start()
}

// end ends the claim where the watcher is.
func (w *watcher) end() {
	w.claim.upTo = w.at
	w.closed = append(w.closed, w.claim)
	w.claim, w.cursor = nil, nil
}

// resume goes on from where the watcher is, in the epoch that is now. The claim goes on with it.
func (w *watcher) resume() error {
	if w.rng.IntN(2) == 0 {
		w.at = max(w.at, w.cursor.Revision())
	}
	w.epoch = w.now.get()
	c, err := w.epoch.watch(w.scope, w.at)
	switch {
	case isExpired(err):
		w.cursor = nil
		return w.expire()
	case err != nil:
		return err
	case w.claim.past != w.past:
		return fmt.Errorf("revision %d is of another log, and a watch from it was taken", w.at)
	}
	w.tally.add("resumed "+string(w.habit), 1)
	w.cursor, w.fresh = c, false
	return nil
}

// breakOff leaves a cursor as clients do that break.
func (w *watcher) breakOff() error {
	if w.cursor == nil {
		return nil
	}
	switch w.rng.IntN(3) {
	case 0: // dropped, for the collector to find
		return w.resume()
	case 1:
		w.at = max(w.at, w.cursor.Revision())
		w.cursor.Close()
		if _, err := w.cursor.Next(w.ctx); !errors.Is(err, store.ErrClosed) {
			return fmt.Errorf("a cursor that was closed: got %v, want %v", err, store.ErrClosed)
		}
		return w.resume()
	}
	w.end()
	return w.start()
}

// settle reads what is left, and compares the copy with the table and the claims with history. Nobody writes.
func (w *watcher) settle(now *epoch, h *chronicle) error {
	if err := w.catchUp(now, h); err != nil {
		return fmt.Errorf("%s, at revision %d: %w", w, w.at, err)
	}
	snapshot := now.table.Snapshot()
	n := 0
	for item := range w.scope.list(snapshot) {
		n++
		if had := w.have[item.Key]; had == nil || had.Revision != item.Revision || !bytes.Equal(had.Value(), item.Value()) {
			return fmt.Errorf("%s, at revision %d: the table has %s at %d, the copy %v", w, w.at, item.Key, item.Revision, had)
		}
	}
	if n != len(w.have) {
		return fmt.Errorf("%s, at revision %d: the copy has %d objects, the table %d", w, w.at, len(w.have), n)
	}
	next := &claim{past: w.past, from: w.at}
	w.claim.upTo = w.at
	for _, c := range append(w.closed, w.claim) {
		if err := w.prove(c, h); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	w.closed, w.claim = nil, next
	return nil
}

// catchUp brings the watcher to the table's revision.
func (w *watcher) catchUp(now *epoch, h *chronicle) error {
	for {
		if w.cursor == nil {
			if err := w.start(); err != nil {
				return err
			}
			continue
		}
		must := w.epoch == now && w.fresh && w.overrun(h)
		events, err := drain(w.ctx, w.cursor, w.epoch.table.Snapshot().Revision())
		for _, e := range events {
			if err := w.take(e); err != nil {
				return err
			}
		}
		switch {
		case must && (len(events) > 0 || !isExpired(err)):
			return fmt.Errorf("the ring has dropped what comes next, and the cursor gave %d events and %v", len(events), err)
		case isExpired(err):
			err = w.expire()
		case err == nil && w.epoch == now:
			w.at = max(w.at, w.cursor.Revision())
			return nil
		case err == nil: // the end of an epoch that is over
			err = w.resume()
		}
		if err != nil {
			return err
		}
	}
}

// overrun says that the ring has dropped events that the cursor has not read: all rings together have no room for them.
func (w *watcher) overrun(h *chronicle) bool {
	at := max(w.at, w.cursor.Revision())
	behind, lost := 0, false
	for i := len(h.changes) - 1; i >= 0 && h.changes[i].Revision > at; i-- {
		c := &h.changes[i]
		if behind >= ringEvents && w.scope.queued(c) {
			lost = true
		}
		if c.event() && c.Key[:7] != "/other/" {
			behind++
		}
	}
	return lost
}

// prove compares a claim with history, when that is still of the same log.
func (w *watcher) prove(c *claim, h *chronicle) error {
	if c.past != h.past {
		return nil
	}
	if c.list != nil {
		want := h.state(c.from)
		for key, r := range want {
			if !w.scope.has(key, r.Value) {
				delete(want, key)
			}
		}
		for key, item := range c.list {
			if r := want[key]; r.Revision != item.Revision || !bytes.Equal(r.Value, item.Value()) {
				return fmt.Errorf("a list at %d has %s at %d, which was at %d", c.from, key, item.Revision, r.Revision)
			}
		}
		if len(want) != len(c.list) {
			return fmt.Errorf("a list at %d has %d objects, there were %d", c.from, len(c.list), len(want))
		}
	}
	return h.compare(w.scope, c.from, c.upTo, c.events)
}
