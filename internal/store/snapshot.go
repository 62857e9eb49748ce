package store

import (
	"iter"
)

// Snapshot is the table at one revision. It never changes and may be read by any number of goroutines.
type Snapshot struct {
	revision Revision
	items    tree[*Item]
	indexes  tree[*Item] // under indexKey
}

// Revision returns the revision of the last transaction that the snapshot holds.
func (s *Snapshot) Revision() Revision { return s.revision }

// Get returns the item of key; nil when there is none.
func (s *Snapshot) Get(key string) *Item {
	item, _ := s.items.get(key)
	return item
}

// Ascend yields the items whose key begins with prefix, in key order, beginning with the first whose key is not below
// from; "" stands for all.
func (s *Snapshot) Ascend(prefix, from string) iter.Seq[*Item] {
	return func(yield func(*Item) bool) { s.items.ascend(prefix, from, yield) }
}

// Lookup yields the items of the collection with that prefix whose index has the value, in key order. An index that the
// collection does not have yields nothing.
func (s *Snapshot) Lookup(prefix, index, value string) iter.Seq[*Item] {
	return func(yield func(*Item) bool) { s.indexes.ascend(indexKey(prefix, index, value, ""), "", yield) }
}

// Count returns how many keys begin with prefix, without visiting them.
func (s *Snapshot) Count(prefix string) int {
	end, ok := prefixEnd(prefix)
	if !ok {
		if s.items.root == nil {
			return 0
		}
		return s.items.root.size - s.items.rank(prefix)
	}
	return s.items.rank(end) - s.items.rank(prefix)
}

// indexKey is the place of an item in the tree of indexes. Neither names nor values hold a zero byte: values that do are
// not indexed.
func indexKey(prefix, index, value, key string) string {
	return prefix + "\x00" + index + "\x00" + value + "\x00" + key
}

// prefixEnd returns the least string above all strings with the prefix; false when there is none.
func prefixEnd(prefix string) (string, bool) {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1}), true
		}
	}
	return "", false
}
