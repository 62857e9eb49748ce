package place

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Reason is how many nodes gave it.
type Reason struct {
	Nodes int
	Text  string
}

// Failure is why no node will do.
type Failure struct {
	Nodes     int      // all that the table knows; 0: there is none
	PreFilter string   // why no node was asked at all; "" when they were
	Reasons   []Reason // in the order of the message; empty with PreFilter
	Plugins   []string // that refused, sorted: what has to change before the pod is worth another try
	// Mendable is how many nodes refused in a way that taking pods away may mend; with 0 preemption need not be tried.
	Mendable int
}

// Early says that a plug-in ended the decision before any node was asked, and before the plug-ins after it were: those know nothing of
// the pod, and upstream's DynamicResources then says "not found" where others go on to preemption.
func (f *Failure) Early() bool { return f.PreFilter != "" && f.Mendable == 0 }

// Message is upstream's, of events and conditions. post is what preemption and its like say of it ("" for nothing):
// it follows after a space, as upstream's PostFilter message does.
func (f *Failure) Message(post string) string {
	if f.Nodes == 0 {
		return messageNoNodes
	}
	msg := fmt.Sprintf("0/%d nodes are available:", f.Nodes)
	if f.PreFilter != "" {
		msg += " " + f.PreFilter + "."
	} else if len(f.Reasons) > 0 {
		var parts []string
		for _, r := range f.Reasons {
			parts = append(parts, fmt.Sprintf("%d %s", r.Nodes, r.Text))
		}
		msg += " " + strings.Join(parts, ", ") + "."
	}
	if post != "" {
		msg += " " + post
	}
	return msg
}

// failure gathers statuses into a Failure.
type failure struct {
	reasons map[string]int
	plugins map[string]bool
	mend    int
}

func (f *failure) add(s *Status, nodes int) {
	if f.reasons == nil {
		f.reasons, f.plugins = map[string]int{}, map[string]bool{}
	}
	for _, r := range s.Reasons {
		f.reasons[r] += nodes
	}
	if s.Plugin != "" {
		f.plugins[s.Plugin] = true
	}
	if s.Code == Unschedulable {
		f.mend += nodes
	}
}

// done sorts reasons as upstream does: by the text of number and reason together.
func (f *failure) done(nodes int) *Failure {
	out := &Failure{Nodes: nodes, Plugins: slices.Sorted(maps.Keys(f.plugins)), Mendable: f.mend}
	for text, n := range f.reasons {
		out.Reasons = append(out.Reasons, Reason{Nodes: n, Text: text})
	}
	slices.SortFunc(out.Reasons, func(a, b Reason) int {
		return cmp.Compare(fmt.Sprint(a.Nodes, " ", a.Text), fmt.Sprint(b.Nodes, " ", b.Text))
	})
	return out
}

// Count is the failure of a pod that statuses tell of: each with how many of all nodes gave it.
func Count(nodes int, statuses map[*Status]int) *Failure {
	var f failure
	for s, n := range statuses {
		f.add(s, n)
	}
	return f.done(nodes)
}

// refused is the failure of a pod that fits nowhere before any node is asked.
func (t *Table) refused(pr *prepared) *Failure {
	s := pr.refuse
	if pr.aim.conflict {
		s = refuse(Unresolvable, NodeAffinity, reasonConflict)
	} else if s == nil && pr.names != nil && len(pr.names) == 0 {
		msg := "node(s) didn't satisfy plugin " + pr.namedBy[0]
		if len(pr.namedBy) > 1 {
			msg = fmt.Sprintf("node(s) didn't satisfy plugin(s) [%s] simultaneously", strings.Join(pr.namedBy, " "))
		}
		return &Failure{Nodes: t.known, PreFilter: msg, Plugins: pr.namedBy}
	}
	if s == nil {
		return nil
	}
	f := &Failure{Nodes: t.known, PreFilter: s.Message(), Plugins: []string{s.Plugin}}
	if s.Code == Unschedulable {
		f.Mendable = t.known
	}
	return f
}

// failure gathers why no row will do. refused is by extenders.
func (d *decision) failure(refused map[string]*Status) *Failure {
	var f failure
	if d.pr.names != nil {
		return d.namedFailure(refused)
	}
	for v, n := range d.c.counts {
		if v > 0 && n > 0 && d.c.verdicts[v].order < d.c.tm.policy.domains {
			f.add(d.c.verdicts[v].status, int(n))
		}
	}
	for _, g := range d.c.live {
		if g.verdict != nil && g.rows > 0 {
			f.add(g.verdict, g.rows)
		}
	}
	for _, s := range d.apart {
		f.add(s, 1)
	}
	for _, s := range refused {
		f.add(s, 1)
		f.plugins[extenders] = true
	}
	return f.done(d.t.known)
}

// namedFailure is of a pod for which only some nodes were asked.
func (d *decision) namedFailure(refused map[string]*Status) *Failure {
	var f failure
	asked := 0
	for _, name := range d.pr.names {
		row, ok := d.t.byName[name]
		if !ok || d.t.nodes[row] == nil {
			continue
		}
		asked++
		if s := cmp.Or(d.status(row), refused[name]); s != nil {
			f.add(s, 1)
		}
	}
	f.add(&Status{Code: Unresolvable, Reasons: []string{"node(s) didn't satisfy plugin(s) [" + strings.Join(d.pr.namedBy, " ") + "]"}}, d.t.known-asked)
	for _, name := range d.pr.namedBy {
		f.plugins[name] = true
	}
	out := f.done(d.t.known)
	out.Reasons = slices.DeleteFunc(out.Reasons, func(r Reason) bool { return r.Nodes == 0 })
	return out
}
