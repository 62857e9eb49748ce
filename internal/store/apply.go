package store

import (
	"fmt"
	"slices"
)

// tableEdit makes the next snapshot.
type tableEdit struct {
	items   *editor[*Item]
	indexes *editor[*Item]
	packer  *packer
}

// edit begins the next snapshot. The caller holds editing until it is done.
func (t *Table) edit(from *Snapshot) *tableEdit {
	return &tableEdit{items: from.items.edit(), indexes: from.indexes.edit(), packer: &t.packer}
}

func (e *tableEdit) done(rev Revision) *Snapshot {
	return &Snapshot{revision: rev, items: e.items.done(), indexes: e.indexes.done()}
}

// put enters an item that is new in the table, under its key and its index values.
func (e *tableEdit) put(item *Item) {
	item.index()
	e.packer.pack(item) // after what reads it whole
	e.items.set(item.Key, item)
	if item.cell == nil {
		return
	}
	for _, place := range item.cell.places {
		e.indexes.set(place, item)
	}
}

// take removes an item that is in the table.
func (e *tableEdit) take(item *Item) {
	e.items.remove(item.Key)
	e.drop(item, nil)
}

// drop takes an item out of the indexes; next takes its place there.
func (e *tableEdit) drop(item, next *Item) {
	if item.cell == nil {
		return
	}
	for _, place := range item.cell.places {
		if next == nil || !slices.Contains(next.cell.places, place) {
			e.indexes.remove(place)
		}
	}
}

// applier is the table as the source's follower. Only Run's goroutine calls it.
type applier Table

// Apply brings durable transactions into the table, in one step.
//
// The table is published before the rings are fed: who hears of a change then also reads it. A cursor made in between
// starts at a revision that the rings have not reached, and skips what the snapshot has already.
func (a *applier) Apply(txns ...[]Record) error {
	t := (*Table)(a)
	t.editing.Lock()
	defer t.editing.Unlock()
	edit := t.edit(t.Snapshot())
	at := t.Snapshot().Revision()
	var fresh []ringEntry
	for _, txn := range txns {
		if txn[0].Revision <= at {
			return fmt.Errorf("log handed over revision %d, table is at %d", txn[0].Revision, at)
		}
		for i := range txn {
			if e := t.change(edit, &txn[i]); e.Item != nil || e.Previous != nil {
				fresh = append(fresh, e)
			}
		}
		at = txn[len(txn)-1].Revision
	}
	t.current.Store(edit.done(at))
	t.arrive(at)
	for i := range fresh {
		t.publish(&fresh[i])
	}
	t.budget.enforce(t.clock.Now())
	t.fed.Store(uint64(at))
	return nil
}

// change enters one record into the next snapshot and returns its event.
func (t *Table) change(edit *tableEdit, r *Record) ringEntry {
	e := ringEntry{Event: Event{Revision: r.Revision}, time: r.Time}
	e.Previous, _ = (tree[*Item]{edit.items.root}).get(r.Key)
	if r.Value != nil {
		e.Item = t.newItem(r.Key, r.Value, r.Revision)
		edit.put(e.Item)
	} else {
		edit.items.remove(r.Key)
	}
	if e.Previous != nil {
		edit.drop(e.Previous, e.Item)
	}
	return e
}

// Reached notes that there is nothing up to rev that the table has not.
func (a *applier) Reached(rev Revision) {
	if t := (*Table)(a); rev > Revision(t.reached.Load()) {
		t.arrive(rev)
	}
}

func (t *Table) arrive(rev Revision) {
	t.reached.Store(uint64(rev))
	t.waiters.wake(rev)
}

func (t *Table) publish(e *ringEntry) {
	if c := t.collectionOf(e.key()); c != nil {
		c.ring.publish(e)
	}
}
