package store

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// ringAge is how long events are kept at least while their bytes allow it, and refillBytes what is read back of them at a start. 75 s are what
// clients are used to: a watch that breaks for a shorter time goes on where it was.
const (
	ringAge     = 75 * time.Second
	refillBytes = 16 << 20
)

// load makes the table what the source says now. Rings begin anew, so that cursors from before get ErrExpired.
func (t *Table) load(ctx context.Context) error {
	t.editing.Lock()
	defer t.editing.Unlock()
	old := t.current.Load()
	var next *Snapshot
	var err error
	if old == nil || old.items.root == nil {
		next, err = t.loadAll(ctx)
	} else {
		next, err = t.loadDifference(ctx, old)
	}
	switch {
	case err != nil:
		return err
	case old != nil && next.Revision() < old.Revision():
		return fmt.Errorf("the log is at revision %d, the table at %d: another log stands in its place", next.Revision(), old.Revision())
	}
	rev := next.Revision()
	t.current.Store(next)
	for _, c := range *t.collections.Load() {
		c.ring.restart(rev)
	}
	t.fed.Store(uint64(rev))
	t.arrive(max(rev, Revision(t.reached.Load())))
	return nil
}

// eachRecord loads from the source, and refuses what does not come in key order.
func (t *Table) eachRecord(ctx context.Context, each func(Record)) (Revision, error) {
	last := ""
	return t.source.Load(ctx, func(r Record) error {
		if r.Key <= last {
			return fmt.Errorf("the log gave %q after %q: not in the order of keys", r.Key, last)
		}
		last = r.Key
		each(r)
		return nil
	})
}

// loadDifference makes the next snapshot out of the old one. Items that did not change stay, with their cached forms.
func (t *Table) loadDifference(ctx context.Context, old *Snapshot) (*Snapshot, error) {
	next, stop := iter.Pull(old.Ascend("", ""))
	defer stop()
	edit := t.edit(old)
	item, more := next()
	rev, err := t.eachRecord(ctx, func(r Record) {
		for ; more && item.Key < r.Key; item, more = next() {
			edit.take(item)
		}
		var was *Item
		if more && item.Key == r.Key {
			was = item
			item, more = next()
		}
		if was != nil && was.Revision == r.Revision {
			return
		}
		fresh := t.newItem(r.Key, r.Value, r.Revision)
		edit.put(fresh)
		if was != nil {
			edit.drop(was, fresh)
		}
	})
	if err != nil {
		return nil, err
	}
	for ; more; item, more = next() {
		edit.take(item)
	}
	return edit.done(rev), nil
}

// refill reads back into the rings what came right before the table's state, so that watches that were open before a restart
// go on.
func (t *Table) refill(ctx context.Context) error {
	now := t.Snapshot()
	seen := map[string]*Item{} // the newest item of each key that has been read back
	var entries []*ringEntry
	window := Window{Since: t.clock.Now().Add(-ringAge), Bytes: min(refillBytes, t.budget.limit/2)}
	from, err := t.source.Recent(ctx, now.Revision(), window, func(record, replaced Record) error {
		e := &ringEntry{Event: Event{Revision: record.Revision}, time: record.Time}
		if replaced.Revision != 0 {
			if e.Previous = seen[record.Key]; e.Previous == nil || e.Previous.Revision != replaced.Revision {
				e.Previous = t.readBack(now, replaced)
			}
		}
		if record.Value != nil {
			e.Item = t.readBack(now, record)
		}
		seen[record.Key] = e.Item
		if e.Item != nil || e.Previous != nil {
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range *t.collections.Load() {
		c.ring.restart(from)
	}
	for _, e := range entries {
		t.publish(e)
	}
	return nil
}

// readBack returns the item of a record: the table's own when it is the newest. It is called before anyone else has the table.
func (t *Table) readBack(now *Snapshot, r Record) *Item {
	if item := now.Get(r.Key); item != nil && item.Revision == r.Revision {
		return item
	}
	item := t.newItem(r.Key, r.Value, r.Revision)
	if item.cell != nil {
		item.index()
	}
	t.packer.pack(item)
	return item
}
