package place

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
)

// Trial asks whether a pod would do on a node if some of the pods there were gone: preemption's question. It stands on the
// table as it is: any change to the table but nominations ends it.
type Trial struct {
	d        *decision
	priority int32
	visit
}

// Try begins trials for a pod. A nil trial (with the failure) says that the pod fits nowhere whatever goes.
func (t *Table) Try(pod *corev1.Pod, p *Policy) (*Trial, *Failure, error) {
	if t.known == 0 {
		return nil, &Failure{}, nil
	}
	pr, err := t.prepare(pod, p)
	if err != nil {
		return nil, nil, err
	}
	if f := t.refused(&pr); f != nil && f.Mendable == 0 {
		return nil, f, nil
	}
	d := t.begin(pod, &pr)
	d.end() // judged and put back; what was found stays known
	return &Trial{d: d, priority: schedulinghelpers.PodPriority(pod)}, nil, nil
}

// Candidates ranges over the nodes that refuse the pod in a way that taking pods away may mend, in the order of rows, with
// the refusal.
func (tr *Trial) Candidates(yield func(node string, s *Status) bool) {
	for row, n := range tr.d.t.nodes {
		if n == nil || tr.d.pr.names != nil && !slices.Contains(tr.d.pr.names, n.Name) {
			continue
		}
		s := tr.d.status(int32(row))
		if tr.d.pr.refuse != nil {
			s = tr.d.pr.refuse
		}
		if s.Failed() && s.Code == Unschedulable && !yield(n.Name, s) {
			return
		}
	}
}

// On moves the trial to a node, with all of its pods. It panics when the table does not know the node.
func (tr *Trial) On(node string) {
	row, ok := tr.d.t.byName[node]
	if !ok || tr.d.t.nodes[row] == nil {
		panic(fmt.Sprintf("place: trial on node %q, which is not known", node))
	}
	tr.At(Row(row), false)
}

// Without thinks a pod of the node away. It panics when the pod is not there.
func (tr *Trial) Without(uid types.UID) {
	n, ok := tr.d.t.uids[uid]
	if !ok || tr.d.t.placed[n].row != tr.row || slices.Contains(tr.gone, n) {
		panic(fmt.Sprintf("place: trial without pod %q, which is not on node %q", uid, tr.d.t.names[tr.row]))
	}
	tr.Drop(n)
}

// With thinks a pod back that was thought away; otherwise it does nothing.
func (tr *Trial) With(uid types.UID) {
	tr.Keep(tr.d.t.uids[uid])
}

// Status is why the pod would not do; nil when it would. Pods nominated to the node with no lower priority are counted as
// upstream counts them: the pod must do with them and without.
func (tr *Trial) Status() *Status {
	tr.come = tr.come[:0]
	if tr.alone {
		return tr.d.check(&tr.visit)
	}
	for _, n := range tr.d.t.nominated.pods[tr.d.t.names[tr.row]] {
		if n.priority >= tr.priority && n.uid != tr.d.pod.UID {
			tr.come = append(tr.come, n)
		}
	}
	if len(tr.come) > 0 {
		if s := tr.d.check(&tr.visit); s != nil {
			return s
		}
		tr.come = tr.come[:0]
	}
	return tr.d.check(&tr.visit)
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
