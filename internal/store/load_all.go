package store

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Records go from the source to the builder of the table in batches, so that handing one over costs little beside reading it. A few batches may
// wait: enough that neither side stands still while the other one takes longer over a record. More would only hold memory.
const (
	batchRecords = 256
	batchesAhead = 4
)

// loadAll makes a table's first snapshot. The source is read in this goroutine; a second one builds, and has ended on return.
func (t *Table) loadAll(ctx context.Context) (*Snapshot, error) {
	batches := make(chan []Record, batchesAhead)
	used := make(chan []Record, batchesAhead+2) // batches to be filled again: all that there can be, so that nobody waits here
	build := tableBuild{packer: &t.packer}
	var builder sync.WaitGroup
	builder.Go(func() {
		for batch := range batches {
			for i := range batch {
				build.add(t.newItem(batch[i].Key, batch[i].Value, batch[i].Revision))
			}
			clear(batch) // it may wait for long, and must not hold what it brought
			used <- batch[:0]
		}
	})
	rev, err := t.readBatches(ctx, batches, used)
	builder.Wait()
	if err != nil {
		return nil, err
	}
	return build.done(rev), nil
}

// readBatches sends what the source has to full, which it closes, and which is read until then.
func (t *Table) readBatches(ctx context.Context, full chan<- []Record, used <-chan []Record) (Revision, error) {
	defer close(full)
	batch := make([]Record, 0, batchRecords)
	rev, err := t.eachRecord(ctx, func(r Record) {
		if batch = append(batch, r); len(batch) < batchRecords {
			return
		}
		full <- batch
		select {
		case batch = <-used:
		default:
			batch = make([]Record, 0, batchRecords)
		}
	})
	full <- batch
	return rev, err
}

// tableBuild makes a snapshot from all of a table's items in key order. With a packer it is ready, and empty.
//
// The places of a collection's items do not come in order, and sorting a million of them would take longer than all else here. So they are gathered
// by index and value: within one value they come in order, and only the values have to be sorted, of which there are mostly few.
type tableBuild struct {
	packer  *packer
	items   builder[*Item]
	indexes builder[*Item]
	current *collection
	values  map[string][]entry[*Item] // places of current's items, by what they share
}

// add enters an item, whose key is above all before it.
func (b *tableBuild) add(item *Item) {
	item.index()
	b.packer.pack(item)
	b.items.add(item.Key, item)
	if item.cell == nil {
		return
	}
	if b.current != item.cell.collection {
		b.turn(item.cell.collection)
	}
	for _, place := range item.cell.places {
		shared := place[:len(place)-len(item.Key)]
		b.values[shared] = append(b.values[shared], entry[*Item]{place, item})
	}
}

// turn enters the places that were gathered into the indexes, and goes on to another collection; nil: it was the last. Collections come in the order of
// their prefixes, with which places begin.
func (b *tableBuild) turn(to *collection) {
	for _, shared := range slices.Sorted(maps.Keys(b.values)) {
		for _, x := range b.values[shared] {
			b.indexes.add(x.key, x.value)
		}
	}
	b.current, b.values = to, map[string][]entry[*Item]{}
}

func (b *tableBuild) done(rev Revision) *Snapshot {
	b.turn(nil)
	return &Snapshot{revision: rev, items: b.items.done(), indexes: b.indexes.done()}
}
