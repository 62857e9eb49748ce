package place

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Row is a node's place in the table. It is the node's own while the table knows it, and another's afterwards.
type Row int32

// Resident is a pod on a row as preemption weighs it.
type Resident struct {
	Number   int32 // the table's, while the pod is there
	Priority int32
	Start    int64 // Unix seconds; 0: not started
}

// Rows is how many rows there are: they are numbered from 0, and some of them may be nobody's.
func (t *Table) Rows() int { return len(t.nodes) }

// RowOf is a node's row; false when the table does not know the node.
func (t *Table) RowOf(node string) (Row, bool) {
	row, ok := t.byName[node]
	return Row(row), ok && t.nodes[row] != nil
}

// NodeAt is the name of a row's node; "" when it is nobody's.
func (t *Table) NodeAt(row Row) string {
	if t.nodes[row] == nil {
		return ""
	}
	return t.names[row]
}

// Changes ranges over the rows that changed since a moment (0: the beginning), some of them more than once, and names the
// next moment to ask from. False says that not all of them are remembered: then any may have changed. The rows are the
// table's, good until it is changed.
func (t *Table) Changes(since uint64) (rows []int32, next uint64, ok bool) {
	rows, ok = t.log.since(since)
	next = t.log.end()
	t.seen = max(t.seen, next)
	return rows, next, ok
}

// Below appends the pods on a row that have a lower priority, in the order in which they came to the node as far as
// upstream knows it too.
func (t *Table) Below(row Row, priority int32, to []Resident) []Resident {
	for _, n := range t.pods[row] {
		if p := &t.placed[n]; p.priority < priority {
			to = append(to, Resident{Number: n, Priority: p.priority, Start: p.start})
		}
	}
	return to
}

// Resident describes a pod by its number.
func (t *Table) Resident(number int32) Placed { return t.describe(number) }

// Holding ranges over the rows with pods of a namespace that a selector matches; a row comes once for each such pod.
func (t *Table) Holding(namespace string, s labels.Selector) func(func(Row) bool) {
	return func(yield func(Row) bool) {
		for _, sh := range t.shapes[namespace] {
			if !s.Matches(sh.labels) {
				continue
			}
			for _, n := range sh.pods {
				if !yield(Row(t.placed[n].row)) {
					return
				}
			}
		}
	}
}

// NominatedTo is where a pod without a node is to come; "" when nowhere.
func (t *Table) NominatedTo(uid types.UID) string { return t.nominated.nodes[uid] }

// Nominees are the pods that are to come to a node, in the order of their nomination.
func (t *Table) Nominees(node string) []Placed {
	var out []Placed
	for _, n := range t.nominated.pods[node] {
		out = append(out, Placed{UID: n.uid, Namespace: n.shape.namespace, Name: n.name, Labels: n.shape.labels, Priority: n.priority})
	}
	return out
}

// Promised lists the rows that pods are nominated to, rising.
func (t *Table) Promised() []Row {
	var rows []Row
	for node := range t.nominated.pods {
		if row, ok := t.RowOf(node); ok {
			rows = append(rows, row)
		}
	}
	slices.Sort(rows)
	return rows
}
