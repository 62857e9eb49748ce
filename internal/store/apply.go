package store

import (
	"fmt"
	"slices"
	"strings"
)

// tableEdit makes the next snapshot.
type tableEdit struct {
	items   *editor[*Item]
	indexes *editor[*Item]
}

func (s *Store) edit(from *Snapshot) *tableEdit {
	return &tableEdit{items: from.items.edit(), indexes: from.indexes.edit()}
}

func (e *tableEdit) done(rev Revision) *Snapshot {
	return &Snapshot{revision: rev, items: e.items.done(), indexes: e.indexes.done()}
}

// put enters an item that is new in the table, under its key and its index values.
func (e *tableEdit) put(item *Item) {
	e.items.set(item.Key, item)
	c := item.cell
	if c == nil {
		return
	}
	for _, index := range c.collection.Indexes {
		for _, v := range index.Values(item) {
			t := topic{index: index.Name, value: v}
			if !strings.Contains(v, "\x00") && !slices.Contains(c.topics, t) {
				c.topics = append(c.topics, t)
			}
		}
	}
	c.topics = slices.Clip(c.topics)
	for _, t := range c.topics {
		e.indexes.set(indexKey(c.collection.Prefix, t.index, t.value, item.Key), item)
	}
}

// drop takes an item out of the indexes; next takes its place there.
func (e *tableEdit) drop(item, next *Item) {
	if item.cell == nil {
		return
	}
	for _, t := range item.cell.topics {
		if next == nil || !slices.Contains(next.cell.topics, t) {
			e.indexes.remove(indexKey(item.cell.collection.Prefix, t.index, t.value, item.Key))
		}
	}
}

// apply brings one durable transaction into the table. Only Run calls it.
//
// The table is published before the rings are fed: who hears of a change then also reads it. A cursor made in between
// starts at a revision that the rings have not reached, and skips what the snapshot has already.
func (s *Store) apply(txn []Record) error {
	if at := s.Snapshot().Revision(); txn[0].Revision <= at {
		return fmt.Errorf("log handed over revision %d, table is at %d", txn[0].Revision, at)
	}
	edit := s.edit(s.Snapshot())
	fresh := make([]ringEntry, 0, len(txn))
	for i := range txn {
		r := &txn[i]
		previous, _ := (tree[*Item]{edit.items.root}).get(r.Key)
		var item *Item
		if r.Value != nil {
			item = s.newItem(r.Key, r.Value, r.Revision)
			edit.put(item)
		} else {
			edit.items.remove(r.Key)
		}
		if previous != nil {
			edit.drop(previous, item)
		}
		if previous != nil || item != nil {
			fresh = append(fresh, ringEntry{Event: Event{Item: item, Previous: previous, Revision: r.Revision}})
		}
	}
	rev := txn[len(txn)-1].Revision
	s.current.Store(edit.done(rev))
	s.waiters.wake(rev)
	for i := range fresh {
		if c := s.collectionOf(fresh[i].key()); c != nil {
			c.ring.publish(&fresh[i])
		}
	}
	s.budget.enforce(s.collections)
	s.fed.Store(uint64(rev))
	return nil
}
