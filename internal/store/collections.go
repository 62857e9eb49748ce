package store

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// This file is how collections come and go while a table runs.

// collections are sorted by prefix. They are replaced, never changed.
type collections []*collection

// of is the collection that a key belongs to; nil: none.
func (list collections) of(key string) *collection {
	i := sort.Search(len(list), func(i int) bool { return list[i].Prefix > key }) - 1
	if i >= 0 && strings.HasPrefix(key, list[i].Prefix) {
		return list[i]
	}
	return nil
}

// with returns the collections and more of table t.
func (list collections) with(t *Table, more []Collection) (collections, error) {
	out := slices.Clone(list)
	for _, c := range more {
		out = append(out, &collection{Collection: c, cache: t.cache, ring: newRing(t.budget)})
	}
	slices.SortFunc(out, func(a, b *collection) int { return strings.Compare(a.Prefix, b.Prefix) })
	for i, c := range out {
		if c.Prefix == "" || i > 0 && strings.HasPrefix(c.Prefix, out[i-1].Prefix) {
			return nil, fmt.Errorf("collection %q is empty or overlaps another", c.Prefix)
		}
	}
	return out, nil
}

// Adopt takes collections away, by their prefixes, and adds others, all in one step, while the table runs. A prefix may stand in both: its collection is
// replaced. What the table holds under the prefixes gets the new decoders and indexes; events begin with the table's state, so that a cursor after an
// older revision is refused with ErrExpired. Cursors of collections that go take the events that they have not taken yet, and ErrEnded then. A prefix that
// no collection has is taken away already. It returns an error, and changes nothing, when two collections would overlap.
//
// It takes time for every item under the prefixes, and writers wait for it.
func (t *Table) Adopt(gone []string, more []Collection) error {
	t.editing.Lock()
	defer t.editing.Unlock()
	var kept collections
	var ending []*collection
	for _, c := range *t.collections.Load() {
		if slices.Contains(gone, c.Prefix) {
			ending = append(ending, c)
		} else {
			kept = append(kept, c)
		}
	}
	list, err := kept.with(t, more)
	if err != nil {
		return fmt.Errorf("adopt collections: %w", err)
	}
	now := t.Snapshot()
	for _, c := range more {
		list.of(c.Prefix).ring.restart(now.Revision())
	}
	t.collections.Store(&list)
	edit := t.edit(now)
	for _, c := range ending {
		t.renew(now, edit, c.Prefix)
	}
	for _, c := range more {
		if !slices.Contains(gone, c.Prefix) {
			t.renew(now, edit, c.Prefix)
		}
	}
	t.current.Store(edit.done(now.Revision()))
	for _, c := range ending {
		c.ring.end()
	}
	return nil
}

// renew makes the items under a prefix what the collections of now make of them.
func (t *Table) renew(now *Snapshot, edit *tableEdit, prefix string) {
	for was := range now.Ascend(prefix, "") {
		fresh := t.newItem(was.Key, was.Value(), was.Revision)
		edit.drop(was, nil)
		edit.put(fresh)
	}
}
