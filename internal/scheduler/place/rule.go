package place

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Rule is a plug-in that needs objects the table does not hold, such as volumes or resource claims. It takes part where
// the profile's Filters or Scores name it. A table calls its rules from its own goroutine only.
type Rule interface {
	// Name is the plug-in's, as profiles and statuses have it.
	Name() string
	// Prepare looks at a pod before any node is (upstream's PreFilter).
	Prepare(pod *corev1.Pod) (Prepared, error)
}

// Prepared is what a rule makes of one pod.
//
// Key stands for everything that Filter and Score go by except the node and what the rule has told the table to look at
// again: pods with equal keys (and alike otherwise) share answers, and even the functions: those of the first pod with a key are
// asked again later, so they must go by what is in the key, or look things up. And an answer is asked for again only after the node or
// the pods on it changed, or after Table.Touch or Table.TouchAll. A key that is never used again (with a counter, say) costs
// a look at all nodes.
type Prepared struct {
	Key    string
	Refuse *Status  // not nil: the pod fits nowhere, whatever the node; Unschedulable says that preemption is worth a try
	Nodes  []string // not nil: only these nodes will do; the others are Unresolvable
	// Provides names extended resources that the rule finds for the pod where a node has none of them itself:
	// NodeResourcesFit does not ask for them there.
	Provides []corev1.ResourceName
	// Filter answers for a node; nil when the rule has nothing to say about this pod. The table fills in the status' Plugin.
	// Reasons should be few (not a node's own): a class tells some thousands apart.
	Filter func(Site) *Status
	// Score ranks a node that will do, from 0 up; nil for no score. The best gets MaxScore, as upstream's default
	// normalisation has it.
	Score func(Site) int64
}

// Site is a node as a rule sees it.
type Site struct {
	Node *corev1.Node // name, labels, taints and unschedulable only; not to be changed
	row  int32
	t    *Table
	gone []int32   // pods that are thought away, in a trial
	come []nominee // pods that are thought there, for being nominated
}

// Pods ranges over the pods on the node. Pods that are thought away, in a trial, are not among them; nominated ones that
// are thought there are. So a Filter that goes by this needs to know nothing of trials and nominations.
func (s Site) Pods(yield func(Placed) bool) {
	for _, n := range s.t.pods[s.row] {
		if !slices.Contains(s.gone, n) && !yield(s.t.describe(n)) {
			return
		}
	}
	for _, n := range s.come {
		if !yield(Placed{UID: n.uid, Namespace: n.shape.namespace, Name: n.name, Labels: n.shape.labels, Priority: n.priority}) {
			return
		}
	}
}

// Gone says whether a pod of the node is thought away, for rules that know the pods on nodes by themselves.
func (s Site) Gone(uid types.UID) bool {
	if len(s.gone) == 0 {
		return false
	}
	n, ok := s.t.uids[uid]
	return ok && slices.Contains(s.gone, n)
}

// Coming ranges over the nominated pods that are thought there, for the same rules.
func (s Site) Coming(yield func(types.UID) bool) {
	for _, n := range s.come {
		if !yield(n.uid) {
			return
		}
	}
}

// Site is a node as it is; false when the table does not know it.
func (t *Table) Site(node string) (Site, bool) {
	row, ok := t.byName[node]
	if !ok || t.nodes[row] == nil {
		return Site{}, false
	}
	return Site{Node: t.nodes[row], row: row, t: t}, true
}

// Allocatable is what the node has of an extended resource, used or not; 0 when none.
func (s Site) Allocatable(name corev1.ResourceName) int64 {
	if id, ok := s.t.ids[name]; ok {
		return s.t.columns[id].allocatable[s.row]
	}
	return 0
}

// prepareRules asks the policy's rules from outside about a pod.
func (t *Table) prepareRules(pod *corev1.Pod, p *Policy, pr *prepared) error {
	for _, r := range p.rules {
		out, err := r.Prepare(pod)
		if err != nil {
			return fmt.Errorf("running PreFilter plugin %q: %w", r.Name(), err)
		}
		pr.rules = append(pr.rules, out)
		if out.Refuse.Failed() && (pr.refuse == nil || out.Refuse.Code == Unresolvable && pr.refuse.Code != Unresolvable) {
			pr.refuse = refuse(out.Refuse.Code, r.Name(), out.Refuse.Reasons...)
		}
		if out.Nodes == nil {
			continue
		}
		if pr.names == nil {
			pr.names = slices.Compact(slices.Sorted(slices.Values(out.Nodes)))
			if pr.names == nil {
				pr.names = []string{}
			}
		} else {
			pr.names = slices.DeleteFunc(slices.Clone(pr.names), func(n string) bool { return !slices.Contains(out.Nodes, n) })
		}
		pr.namedBy = append(pr.namedBy, r.Name())
	}
	slices.Sort(pr.namedBy)
	return nil
}

// Placed is a pod on a node. Labels belongs to the table.
type Placed struct {
	UID             types.UID
	Namespace, Name string
	Labels          map[string]string
	Priority        int32
	Start           int64 // Unix seconds; 0: not started
	Terminating     bool
	Preempted       bool // terminates because a scheduler wanted its room
}

func (t *Table) describe(n int32) Placed {
	p := &t.placed[n]
	return Placed{UID: p.uid, Namespace: p.shape.namespace, Name: p.name, Labels: p.shape.labels, Priority: p.priority, Start: p.start,
		Terminating: p.shape.terminating, Preempted: p.preempted}
}

// PodsOn ranges over the pods on a node, known or not, in no order.
func (t *Table) PodsOn(node string) func(func(Placed) bool) {
	return func(yield func(Placed) bool) {
		if row, ok := t.byName[node]; ok {
			Site{t: t, row: row}.Pods(yield)
		}
	}
}

// NodeOf is where a pod is; "" when it is on no node.
func (t *Table) NodeOf(uid types.UID) string {
	if n, ok := t.uids[uid]; ok {
		return t.names[t.placed[n].row]
	}
	return ""
}

// Touch says that a rule would now answer otherwise about a node.
func (t *Table) Touch(node string) {
	if row, ok := t.byName[node]; ok {
		t.touch(row)
	}
}

// TouchAll says that a rule would now answer otherwise about any node.
func (t *Table) TouchAll() {
	t.log.first = t.log.end() + 1
	t.log.rows = t.log.rows[:0]
}
