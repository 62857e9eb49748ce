package place

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Verdict is what the rules say of one node.
type Verdict struct {
	Node   string
	Status *Status // nil: it will do
	Total  int64   // of a node that will do
	Scores []Score // of a node that will do, in the policy's order; what a plug-in gave, weighed
}

// Score is a plug-in's.
type Score struct {
	Plugin string
	Score  int64
}

// Explanation is what the rules say of every node. Nodes are sorted by name.
type Explanation struct {
	Nodes    []Verdict
	Feasible int
	Failure  *Failure // when no node will do
}

// Explain asks what Decide asks and tells all of it. A nominated node is not preferred here, and extenders are not asked.
// It costs some work a node.
func (t *Table) Explain(pod *corev1.Pod, p *Policy) (Explanation, error) {
	var e Explanation
	if t.known == 0 {
		e.Failure = &Failure{}
		return e, nil
	}
	pr, err := t.prepare(pod, p)
	if err != nil {
		return e, err
	}
	if e.Failure = t.refused(&pr); e.Failure != nil {
		code := Unresolvable
		if e.Failure.Mendable > 0 {
			code = Unschedulable
		}
		s := &Status{Code: code, Plugin: strings.Join(e.Failure.Plugins, ","), Reasons: []string{e.Failure.PreFilter}}
		for _, n := range t.nodes {
			if n != nil {
				e.Nodes = append(e.Nodes, Verdict{Node: n.Name, Status: s})
			}
		}
	} else {
		d := t.begin(pod, &pr)
		defer d.end()
		if err := d.broken(); err != nil {
			return e, err
		}
		d.explain(&e)
	}
	slices.SortFunc(e.Nodes, func(a, b Verdict) int { return strings.Compare(a.Node, b.Node) })
	return e, nil
}

func (d *decision) explain(e *Explanation) {
	rows := d.feasible()
	e.Feasible = len(rows)
	if len(rows) == 0 {
		e.Failure = d.failure(nil)
	}
	totals := d.rank(rows)
	unasked := refuse(Unresolvable, "", "node(s) didn't satisfy plugin(s) ["+strings.Join(d.pr.namedBy, " ")+"]")
	for row, n := range d.t.nodes {
		if n == nil {
			continue
		}
		v := Verdict{Node: n.Name, Status: d.status(int32(row))}
		if d.pr.names != nil && !slices.Contains(d.pr.names, n.Name) {
			v.Status = unasked
		}
		if i, ok := slices.BinarySearch(rows, int32(row)); ok {
			v.Total, v.Scores = totals[i], d.scores(int32(row))
		}
		e.Nodes = append(e.Nodes, v)
	}
}

// scores takes a row's total apart again.
func (d *decision) scores(row int32) []Score {
	c, g := d.c, d.c.group[row]
	p := c.tm.policy
	fit, balance := c.resourceScores(row)
	by := map[string]int64{TaintToleration: g.parts[partTaints], NodeAffinity: g.parts[partAffinity], PodTopologySpread: g.parts[partSpread],
		InterPodAffinity: g.parts[partPods], ImageLocality: g.parts[partImages], NodeResourcesFit: fit * p.weights[NodeResourcesFit],
		BalancedAllocation: balance * p.weights[BalancedAllocation]}
	for i, e := range c.extras {
		by[e.name] = g.extraParts[i]
	}
	out := make([]Score, 0, len(p.Scores))
	for _, s := range p.Scores {
		out = append(out, Score{Plugin: s.Name, Score: by[s.Name]})
	}
	return out
}
