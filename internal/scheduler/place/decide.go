package place

import (
	"cmp"
	"fmt"
	"math"
	"math/rand"
	"slices"

	corev1 "k8s.io/api/core/v1"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
)

// Plan is a decision.
type Plan struct {
	Node     string   // "" when no node will do
	Score    int64    // of Node, over all plug-ins and extenders
	Feasible int      // nodes that would do
	Failure  *Failure // why none will; nil with Node
}

// Extension is what extenders make of the nodes that would do.
type Extension struct {
	Refused map[string]*Status // by node: will not do after all. Plugin is left empty.
	Scores  map[string]int64   // by node: added to the score, weighed and on the scale of MaxScore already
}

// extenders is what upstream calls them among the plug-ins that refused.
const extenders = "Extender"

// Extend asks the extenders. nodes is sorted and belongs to the callee. An error ends the decision.
type Extend func(nodes []string) (Extension, error)

// Decide chooses a node for pod among those with the highest score, each alike likely; rng is asked only when there are
// several. extend may be nil. The table is as before, whatever the outcome: SetPod counts the pod where it goes.
//
// An error says that a plug-in cannot read the pod, or that extend failed; it is upstream's, by plug-in.
func (t *Table) Decide(pod *corev1.Pod, p *Policy, rng *rand.Rand, extend Extend) (Plan, error) {
	if t.known == 0 {
		return Plan{Failure: &Failure{}}, nil
	}
	pr, err := t.prepare(pod, p)
	if err != nil {
		return Plan{}, err
	}
	if f := t.refused(&pr); f != nil {
		return Plan{Failure: f}, nil
	}
	d := t.begin(pod, &pr)
	defer d.end()
	return d.decide(rng, extend)
}

// decision is one look at a class for one pod: the groups judged, and the rows apart where nominated pods make the
// difference.
type decision struct {
	t   *Table
	c   *class
	pod *corev1.Pod
	pr  *prepared

	apart map[int32]*Status // rows that will not do beside the pods nominated to them
	good  []*group          // with rows that will do
}

func (t *Table) begin(pod *corev1.Pod, pr *prepared) *decision {
	d := &decision{t: t, c: t.classOf(pod, pr), pod: pod, pr: pr}
	for _, g := range d.c.live {
		d.c.judge(g)
	}
	d.yield()
	good := d.c.good[:0]
	for _, g := range d.c.live {
		if g.verdict == nil && g.rows > 0 {
			good = append(good, g)
		}
	}
	d.good, d.c.good = good, good
	return d
}

// yield takes the rows apart that pods of no lower priority need for themselves. Rows that refuse the pod anyway may do so
// for another reason then.
func (d *decision) yield() {
	priority := schedulinghelpers.PodPriority(d.pod)
	for node, list := range d.t.nominated.pods {
		row, ok := d.t.byName[node]
		if !ok || d.c.kind[row] < 0 {
			continue
		}
		v := visit{row: row}
		for _, n := range list {
			if n.priority >= priority && n.uid != d.pod.UID {
				v.come = append(v.come, n)
			}
		}
		if len(v.come) == 0 {
			continue
		}
		if s := d.check(&v); s != nil {
			if d.apart == nil {
				d.apart = map[int32]*Status{}
			}
			d.apart[row] = s
			d.set(row, false)
		}
	}
}

// end puts back what was taken apart.
func (d *decision) end() {
	for row := range d.apart {
		d.set(row, true)
	}
}

// set takes a row out of what is counted, or puts it back.
func (d *decision) set(row int32, in bool) {
	switch g := d.c.group[row]; {
	case g == nil && in:
		d.c.recount(d.c.verdict[row], 1)
	case g == nil:
		d.c.recount(d.c.verdict[row], -1)
	case in:
		g.insert(row, d.c.local[row])
	default:
		g.remove(row, d.c.local[row])
	}
}

// status is why a row will not do; nil when it will, or is no node.
func (d *decision) status(row int32) *Status {
	if s := d.apart[row]; s != nil {
		return s
	}
	if g := d.c.group[row]; g != nil {
		return g.verdict
	}
	if v := d.c.verdict[row]; v != absent {
		return d.c.verdicts[v].status
	}
	return nil
}

func (d *decision) decide(rng *rand.Rand, extend Extend) (Plan, error) {
	if node := d.pod.Status.NominatedNodeName; node != "" {
		if plan, ok, err := d.nominated(node, extend); ok || err != nil {
			return plan, err
		}
	}
	if err := d.broken(); err != nil {
		return Plan{}, err
	}
	if d.pr.names != nil || extend != nil {
		return d.among(rng, extend)
	}
	feasible := 0
	for _, g := range d.good {
		g.weight = g.rows
		feasible += g.rows
	}
	if feasible == 0 {
		return Plan{Failure: d.failure(nil)}, nil
	}
	d.c.weigh(d.good)
	best, top := d.c.best[:0], int64(math.MinInt64)
	for _, g := range d.good {
		switch total := g.sum + int64(g.scores[0]); {
		case total > top:
			top, best = total, append(best[:0], g.buckets[0])
		case total == top:
			best = append(best, g.buckets[0])
		}
	}
	d.c.best = best
	return Plan{Node: d.t.names[choose(best, rng)], Score: top, Feasible: feasible}, nil
}

// broken is the error of the first row about which a rule cannot tell; nil when there is none. The rule is asked once more:
// what it said for the class may name another pod's objects.
func (d *decision) broken() error {
	if !slices.ContainsFunc(d.c.verdicts, func(v verdict) bool { return v.status != nil && v.status.Code == Error }) {
		return nil
	}
	for row, n := range d.t.nodes {
		if n == nil || d.pr.names != nil && !slices.Contains(d.pr.names, n.Name) {
			continue
		}
		if s := d.status(int32(row)); s.Failed() && s.Code == Error {
			s = cmp.Or(d.checkRule(&visit{row: int32(row)}, s.Plugin), s)
			return fmt.Errorf("running %q filter plugin: %s", s.Plugin, s.Message())
		}
	}
	return nil
}

// choose draws one of the rows of lists, each of which rises and none of which share any. The draw is the k-th of all rows
// together, however they are divided.
func choose(lists [][]int32, rng *rand.Rand) int32 {
	n := 0
	for _, l := range lists {
		n += len(l)
	}
	k := 0
	if n > 1 {
		k = rng.Intn(n)
	}
	if len(lists) == 1 {
		return lists[0][k]
	}
	low, high := int32(0), int32(math.MaxInt32)
	for low < high { // the smallest row with more than k rows up to it
		mid := low + (high-low)/2
		upTo := 0
		for _, l := range lists {
			i, found := slices.BinarySearch(l, mid)
			upTo += i + int(b2i(found))
		}
		if upTo > k {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// nominated answers with the node that an earlier decision nominated, if it will do: it is the only one that is looked at.
func (d *decision) nominated(node string, extend Extend) (Plan, bool, error) {
	row, ok := d.t.byName[node]
	if !ok || d.t.nodes[row] == nil || d.status(row) != nil {
		return Plan{}, false, nil
	}
	if extend != nil {
		x, err := extend([]string{node})
		if err != nil || x.Refused[node].Failed() {
			return Plan{}, false, nil // upstream logs it and looks at all nodes
		}
	}
	return Plan{Node: node, Feasible: 1, Score: d.rank([]int32{row})[0]}, true, nil
}

// among decides among some rows: those that the pod or a rule names, or that extenders leave.
func (d *decision) among(rng *rand.Rand, extend Extend) (Plan, error) {
	rows := d.feasible()
	var x Extension
	if extend != nil && len(rows) > 0 {
		names := make([]string, 0, len(rows))
		for _, row := range rows {
			names = append(names, d.t.names[row])
		}
		slices.Sort(names)
		var err error
		if x, err = extend(names); err != nil {
			return Plan{}, err
		}
		rows = slices.DeleteFunc(rows, func(row int32) bool { return x.Refused[d.t.names[row]].Failed() })
	}
	if len(rows) == 0 {
		return Plan{Failure: d.failure(x.Refused)}, nil
	}
	var best []int32
	top := int64(math.MinInt64)
	for i, score := range d.rank(rows) {
		score += x.Scores[d.t.names[rows[i]]]
		switch {
		case score > top:
			top, best = score, append(best[:0], rows[i])
		case score == top:
			best = append(best, rows[i])
		}
	}
	return Plan{Node: d.t.names[choose([][]int32{best}, rng)], Score: top, Feasible: len(rows)}, nil
}

// feasible lists the rows that will do, rising.
func (d *decision) feasible() []int32 {
	var rows []int32
	if d.pr.names != nil {
		for _, name := range d.pr.names {
			if row, ok := d.t.byName[name]; ok && d.t.nodes[row] != nil && d.status(row) == nil {
				rows = append(rows, row)
			}
		}
	} else {
		for _, g := range d.good {
			for _, b := range g.buckets {
				rows = append(rows, b...)
			}
		}
	}
	slices.Sort(rows)
	return rows
}

// rank scores rows as if there were no others.
func (d *decision) rank(rows []int32) []int64 {
	var groups []*group
	for _, row := range rows {
		d.c.group[row].weight = 0
	}
	for _, row := range rows {
		g := d.c.group[row]
		if g.weight == 0 {
			groups = append(groups, g)
		}
		g.weight++
	}
	d.c.weigh(groups)
	scores := make([]int64, len(rows))
	for i, row := range rows {
		scores[i] = d.c.group[row].sum + int64(d.c.local[row])
	}
	return scores
}
