package store

import (
	"fmt"

	"github.com/floe-k8s/floe/internal/invariants"
)

// builder makes a tree from entries that come in key order, without searching and without splitting: nodes are filled from the left to the
// right, and each one that is full is hung below its parent and not looked at again.
//
//	path[2]             . . . .
//	                   /   |   \
//	path[1]      closed  closed  . .        the open nodes, one on each level, are the
//	                            /   \       right edge of the tree; they alone may be
//	path[0]                closed    . . .  too small, until done has filled them
//
// The zero value is ready. It is used by one goroutine; done ends it.
type builder[V any] struct {
	edit editor[V]  // whose mark every node bears, so that it may balance them
	path []*node[V] // leaf first; an open node's last child is the open one below it, and is not yet among its children
	last string
}

// add enters a key, which is above all keys before it.
func (b *builder[V]) add(key string, v V) {
	if invariants.Enabled && len(b.path) > 0 && key <= b.last {
		panic(fmt.Sprintf("tree is built out of order: %q after %q", key, b.last))
	}
	b.last = key
	if b.path == nil {
		b.edit.mark = new(editMark)
		b.path = append(b.path, b.open(0))
	}
	if leaf := b.path[0]; len(leaf.entries) < maxEntries {
		leaf.entries = append(leaf.entries, entry[V]{key, v})
		return
	}
	b.close(0, entry[V]{key, v})
}

// close ends the full node of a level; x, which is above all in it, goes up and stands between it and the next one.
func (b *builder[V]) close(level int, x entry[V]) {
	full := b.path[level]
	full.count()
	b.path[level] = b.open(level)
	up := level + 1
	if up == len(b.path) {
		b.path = append(b.path, b.open(up))
	}
	parent := b.path[up]
	parent.children = append(parent.children, full)
	if len(parent.entries) < maxEntries {
		parent.entries = append(parent.entries, x)
		return
	}
	b.close(up, x)
}

// open makes an empty node for a level.
func (b *builder[V]) open(level int) *node[V] {
	n := &node[V]{mark: b.edit.mark, entries: make([]entry[V], 0, maxEntries)}
	if level > 0 {
		n.children = make([]*node[V], 0, maxEntries+1)
	}
	return n
}

// done returns the tree. The builder must not be used afterwards.
func (b *builder[V]) done() tree[V] {
	if b.path == nil {
		return tree[V]{}
	}
	b.path[0].count()
	for i, parent := range b.path[1:] {
		parent.children = append(parent.children, b.path[i])
		parent.count()
	}
	// From the top: a node has a neighbour to take from once its parent has enough. The neighbour is full and can spare that.
	b.edit.root = b.path[len(b.path)-1]
	for n := b.edit.root; !n.leaf(); n = n.children[len(n.children)-1] {
		last := len(n.children) - 1
		for len(n.children[last].entries) < minEntries {
			b.edit.fromLeft(n, last)
		}
	}
	return b.edit.done()
}
