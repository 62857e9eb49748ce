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

// Kind names what the trial's answers go by besides the rows: pods of one kind get equal answers from equal rows. Two
// tables' kinds have nothing to do with each other.
func (tr *Trial) Kind() string { return tr.d.c.key }

// Aimed lists the rows that are the only ones for the pod, rising; false when all are asked.
func (tr *Trial) Aimed() ([]Row, bool) {
	if tr.d.pr.names == nil {
		return nil, false
	}
	rows := []Row{}
	for _, name := range tr.d.pr.names {
		if row, ok := tr.d.t.RowOf(name); ok {
			rows = append(rows, row)
		}
	}
	slices.Sort(rows)
	return slices.Compact(rows), true
}

// Everywhere says whether a rule from outside refuses the pod before any node is asked.
func (tr *Trial) Everywhere() bool { return tr.d.pr.refuse != nil }

// Refusal is why the row as it is will not do; nil when it will, or is nobody's.
func (tr *Trial) Refusal(row Row) *Status {
	if tr.d.t.nodes[row] == nil {
		return nil
	}
	if tr.d.pr.refuse != nil {
		return tr.d.pr.refuse
	}
	return tr.d.status(int32(row))
}

// RowRefusal is Refusal but for rules about domains and for pods that are nominated to the row.
func (tr *Trial) RowRefusal(row Row) *Status {
	v := tr.d.c.verdict[row]
	if v == absent || v == 0 {
		return nil
	}
	return tr.d.c.verdicts[v].status
}

// Domains says whether rules about domains have a say in whether a node will do.
func (tr *Trial) Domains() bool { return slices.ContainsFunc(tr.d.c.rules, (*rule).filters) }

func (r *rule) filters() bool { return r.kind != softSpread && r.kind != attracted }

// Entangled says whether rules about domains count pods of the row: then taking pods away may change what they say.
func (tr *Trial) Entangled(row Row) bool {
	for _, r := range tr.d.c.rules {
		if r.filters() && r.adds[row] != 0 {
			return true
		}
	}
	return false
}

// Domain is what the first rule about domains that refuses the row says, as the row is; nil when none does.
func (tr *Trial) Domain(row Row) *Status {
	v := visit{row: int32(row)}
	for _, name := range tr.d.c.tm.policy.Filters {
		var s *Status
		switch name {
		case PodTopologySpread:
			s = tr.d.checkSpread(&v)
		case InterPodAffinity:
			s = tr.d.checkPods(&v)
		}
		if s != nil {
			return s
		}
	}
	return nil
}

// Before says whether the filter of one status is asked before that of another.
func (tr *Trial) Before(a, b *Status) bool {
	order := tr.d.c.tm.policy.order
	return order[a.Plugin] < order[b.Plugin]
}

// At moves the trial to a row with a node, with all of its pods. alone leaves out the rules about domains and the pods
// that are nominated to the row.
func (tr *Trial) At(row Row, alone bool) {
	tr.visit = visit{row: int32(row), gone: tr.gone[:0], come: tr.come[:0], alone: alone}
}

// Drop thinks a pod of the row away; Keep thinks it back.
func (tr *Trial) Drop(number int32) { tr.gone = append(tr.gone, number) }

// Keep thinks a pod back that was dropped.
func (tr *Trial) Keep(number int32) {
	if i := slices.Index(tr.gone, number); i >= 0 {
		tr.gone = slices.Delete(tr.gone, i, i+1)
	}
}
