package store

import (
	"slices"
	"strings"
)

// A node has minEntries..maxEntries entries (the root may have fewer). 31 keeps a copied node below 1 KiB and a
// table of a million objects five levels deep.
const (
	maxEntries = 31
	minEntries = maxEntries / 2
)

// tree is a sorted map that never changes; an editor makes the next one, sharing all nodes that are equal.
// The zero value is empty.
type tree[V any] struct {
	root *node[V]
}

// node is written only by the editor whose mark it bears.
type node[V any] struct {
	mark     *editMark
	size     int // entries in it and below
	entries  []entry[V]
	children []*node[V] // empty in a leaf, otherwise len(entries)+1
}

type entry[V any] struct {
	key   string
	value V
}

// editMark is compared by address; it must not be of size zero.
type editMark struct{ _ byte }

func (n *node[V]) leaf() bool { return len(n.children) == 0 }

func (n *node[V]) search(key string) (int, bool) {
	lo, hi := 0, len(n.entries)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch c := strings.Compare(n.entries[mid].key, key); {
		case c == 0:
			return mid, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}

func (t tree[V]) get(key string) (v V, ok bool) {
	for n := t.root; n != nil; {
		i, found := n.search(key)
		if found {
			return n.entries[i].value, true
		}
		if n.leaf() {
			break
		}
		n = n.children[i]
	}
	return v, false
}

// rank returns how many keys are below key.
func (t tree[V]) rank(key string) int {
	rank := 0
	for n := t.root; n != nil; {
		i, found := n.search(key)
		rank += i
		if n.leaf() {
			break
		}
		for _, c := range n.children[:i] {
			rank += c.size
		}
		if found {
			rank += n.children[i].size
			break
		}
		n = n.children[i]
	}
	return rank
}

// ascend yields every entry with from <= key, in order, while the key has the prefix.
func (t tree[V]) ascend(prefix, from string, yield func(V) bool) {
	if t.root != nil {
		t.root.ascend(prefix, max(prefix, from), yield)
	}
}

func (n *node[V]) ascend(prefix, from string, yield func(V) bool) bool {
	i, _ := n.search(from)
	for ; ; i++ {
		if !n.leaf() && !n.children[i].ascend(prefix, from, yield) {
			return false
		}
		if i == len(n.entries) {
			return true
		}
		e := &n.entries[i]
		if e.key < from {
			continue
		}
		if !strings.HasPrefix(e.key, prefix) || !yield(e.value) {
			return false
		}
	}
}

// editor makes a new tree from an old one. It is used by one goroutine; done ends it.
type editor[V any] struct {
	root *node[V]
	mark *editMark
}

func (t tree[V]) edit() *editor[V] { return &editor[V]{root: t.root, mark: new(editMark)} }

// done returns the new tree. The editor must not be used afterwards.
func (e *editor[V]) done() tree[V] {
	e.mark = nil
	return tree[V]{root: e.root}
}

func (e *editor[V]) writable(n *node[V]) *node[V] {
	if n.mark == e.mark {
		return n
	}
	return &node[V]{mark: e.mark, size: n.size, entries: slices.Clone(n.entries), children: slices.Clone(n.children)}
}

func (e *editor[V]) child(n *node[V], i int) *node[V] {
	n.children[i] = e.writable(n.children[i])
	return n.children[i]
}

// set inserts or replaces.
func (e *editor[V]) set(key string, v V) {
	if e.root == nil {
		e.root = &node[V]{mark: e.mark}
	}
	e.root = e.writable(e.root)
	if len(e.root.entries) == maxEntries {
		e.root = &node[V]{mark: e.mark, size: e.root.size, children: []*node[V]{e.root}}
		e.split(e.root, 0)
	}
	e.insert(e.root, entry[V]{key, v})
}

// insert puts x below n, which is writable and not full, and says whether the key is new.
func (e *editor[V]) insert(n *node[V], x entry[V]) bool {
	i, found := n.search(x.key)
	if !found && !n.leaf() && len(n.children[i].entries) == maxEntries {
		e.split(n, i)
		i, found = n.search(x.key)
	}
	switch {
	case found:
		n.entries[i] = x
		return false
	case n.leaf():
		n.entries = insertAt(n.entries, i, x, maxEntries)
	case !e.insert(e.child(n, i), x):
		return false
	}
	n.size++
	return true
}

// split moves the upper half of n's full child i into a new child after it.
func (e *editor[V]) split(n *node[V], i int) {
	left := e.child(n, i)
	middle := left.entries[minEntries]
	right := &node[V]{mark: e.mark, entries: slices.Clone(left.entries[minEntries+1:])}
	// Both halves are new: what was full has room for twice as much, and in a large table most nodes stay half full.
	left.entries = slices.Clone(left.entries[:minEntries])
	if !left.leaf() {
		right.children = slices.Clone(left.children[minEntries+1:])
		left.children = slices.Clone(left.children[:minEntries+1])
	}
	left.count()
	right.count()
	n.entries = insertAt(n.entries, i, middle, maxEntries)
	n.children = insertAt(n.children, i+1, right, maxEntries+1)
}

// insertAt is slices.Insert for a slice that never gets longer than most. It grows by a quarter: nodes are copied whenever they are changed,
// and what is doubled each time would stay half empty.
func insertAt[E any](s []E, i int, x E, most int) []E {
	if len(s) == cap(s) {
		s = append(make([]E, 0, min(len(s)+len(s)/4+2, most)), s...)
	}
	return slices.Insert(s, i, x)
}

func (n *node[V]) count() {
	n.size = len(n.entries)
	for _, c := range n.children {
		n.size += c.size
	}
}

// remove deletes a key, when it is there.
func (e *editor[V]) remove(key string) {
	if _, ok := (tree[V]{e.root}).get(key); !ok {
		return
	}
	e.root = e.writable(e.root)
	e.delete(e.root, key)
	if len(e.root.entries) == 0 {
		if e.root.leaf() {
			e.root = nil
		} else {
			e.root = e.root.children[0]
		}
	}
}

// delete removes key, which is below n. n is writable and has more than minEntries, unless it is the root.
func (e *editor[V]) delete(n *node[V], key string) {
	i, found := n.search(key)
	switch {
	case n.leaf():
		n.entries = slices.Delete(n.entries, i, i+1)
	case len(n.children[i].entries) <= minEntries:
		e.fatten(n, i)
		e.delete(n, key) // places have moved; this call has counted nothing yet
		return
	case found:
		n.entries[i] = e.deleteMax(e.child(n, i))
	default:
		e.delete(e.child(n, i), key)
	}
	n.size--
}

// deleteMax removes and returns the last entry below n, under delete's conditions.
func (e *editor[V]) deleteMax(n *node[V]) entry[V] {
	n.size--
	if n.leaf() {
		last := len(n.entries) - 1
		x := n.entries[last]
		n.entries = slices.Delete(n.entries, last, last+1)
		return x
	}
	i := len(n.children) - 1
	if len(n.children[i].entries) <= minEntries {
		e.fatten(n, i)
		i = len(n.children) - 1
	}
	return e.deleteMax(e.child(n, i))
}

// fatten gives child i of n one more entry, from a neighbour that can spare it or by joining it with one.
func (e *editor[V]) fatten(n *node[V], i int) {
	switch {
	case i > 0 && len(n.children[i-1].entries) > minEntries:
		e.fromLeft(n, i)
	case i < len(n.entries) && len(n.children[i+1].entries) > minEntries:
		e.fromRight(n, i)
	case i < len(n.entries):
		e.join(n, i)
	default:
		e.join(n, i-1)
	}
}

func (e *editor[V]) fromLeft(n *node[V], i int) {
	left, c := e.child(n, i-1), e.child(n, i)
	last := len(left.entries) - 1
	c.entries = insertAt(c.entries, 0, n.entries[i-1], maxEntries)
	n.entries[i-1] = left.entries[last]
	left.entries = slices.Delete(left.entries, last, last+1)
	if !left.leaf() {
		c.children = insertAt(c.children, 0, left.children[last+1], maxEntries+1)
		left.children = slices.Delete(left.children, last+1, last+2)
	}
	left.count()
	c.count()
}

func (e *editor[V]) fromRight(n *node[V], i int) {
	c, right := e.child(n, i), e.child(n, i+1)
	c.entries = insertAt(c.entries, len(c.entries), n.entries[i], maxEntries)
	n.entries[i] = right.entries[0]
	right.entries = slices.Delete(right.entries, 0, 1)
	if !right.leaf() {
		c.children = insertAt(c.children, len(c.children), right.children[0], maxEntries+1)
		right.children = slices.Delete(right.children, 0, 1)
	}
	c.count()
	right.count()
}

// join merges children i and i+1 of n and the entry between them into child i.
func (e *editor[V]) join(n *node[V], i int) {
	c, right := e.child(n, i), n.children[i+1]
	c.entries = slices.Concat(c.entries, n.entries[i:i+1], right.entries)
	c.children = slices.Concat(c.children, right.children)
	c.count()
	n.entries = slices.Delete(n.entries, i, i+1)
	n.children = slices.Delete(n.children, i+1, i+2)
}
