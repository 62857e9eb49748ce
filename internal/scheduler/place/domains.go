package place

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ruleKind is what a rule about domains does with its count.
type ruleKind uint8

const (
	hardSpread ruleKind = iota // a domain may not have many more than the emptiest
	softSpread                 // domains with fewer are better
	wants                      // required affinity: the domain must have some
	avoids                     // required anti-affinity: it must have none
	shunned                    // required anti-affinity of pods on nodes: it must have none of those
	attracted                  // preferences of either side
)

// missing is the value of a row that lacks a rule's label, where rows stand for domains.
const missing int64 = -1 << 62

// rule is a rule about domains in a class: each row adds something to its domain's sum. What a row added is remembered,
// so that a change costs as much as the row, not the domain.
type rule struct {
	kind       ruleKind
	topology   int // in class.topologies
	constraint     // of spreading
	self       int64
	tallies    []weighed // what rows count: these
	carried    []weighing
	perRow     bool // groups know the row's own count, not its domain
	nodeCounts bool // soft spreading over host names: a node's own count is all that matters, and all nodes count

	at   []int32 // by row: the domain it counts in; none if it counts nowhere
	adds []int32 // by row: what it counts there
	sums []int64 // by domain

	// Of hardSpread.
	members []int32         // by domain: rows that count; without any, the domain is none that pods spread over
	hist    map[int64]int32 // domains by sum
	domains int64
	least   int64 // the smallest sum; valid unless stale
	stale   bool
	total   int64 // of all domains, for wants
}

type weighed struct {
	*tally
	weight int32
}

type weighing struct {
	*carried
	weight int32
}

// addSpread makes the rules of topology spread constraints.
func (c *class) addSpread(pod *corev1.Pod, pr *prepared) {
	p := c.tm.policy
	add := func(kind ruleKind, k constraint, selector labels.Selector, self bool) {
		r := &rule{kind: kind, topology: c.topology(k.topology), constraint: k, stale: true}
		r.nodeCounts = kind == softSpread && k.topology == corev1.LabelHostname
		r.perRow = r.nodeCounts || c.topologies[r.topology].rows
		if self {
			r.self = 1
		}
		if kind == hardSpread {
			r.hist = map[int64]int32{}
		}
		if !selector.Empty() { // upstream counts nothing by the selector that matches everything
			s := scope{namespaces: []string{pod.Namespace}, chooses: labels.Nothing(), selector: selector}
			r.tallies = []weighed{{c.t.tally([]scope{s}, true), 1}}
		}
		c.rules = append(c.rules, r)
	}
	if p.filters(PodTopologySpread) {
		for i := range c.tm.hard {
			if s := pr.selector(&c.tm.hard[i]); s != nil {
				k := c.tm.hard[i]
				k.selector = s
				add(hardSpread, k, s, pr.selfHard[i])
			}
		}
	}
	if p.weights[PodTopologySpread] != 0 {
		for i := range c.tm.soft {
			if s := pr.selector(&c.tm.soft[i]); s != nil {
				add(softSpread, c.tm.soft[i], s, false)
			}
		}
	}
}

// addAffinity makes the rules of the pod's own terms and of those that pods on nodes carry.
func (c *class) addAffinity(pr *prepared) {
	p, a := c.tm.policy, &c.tm.affinity
	if p.filters(InterPodAffinity) {
		c.addRequired(a, pr)
	}
	ranks := p.weights[InterPodAffinity] != 0 && !c.tm.unmoved()
	by := map[string]*rule{}
	attract := func(label string) *rule {
		r := by[label]
		if r == nil {
			r = c.affinityRule(attracted, label)
			by[label] = r
		}
		return r
	}
	prefer := func(terms []term, sign int32) {
		for i := range terms {
			r := attract(terms[i].topology)
			r.tallies = append(r.tallies, weighed{c.count(terms[i : i+1]), sign * int32(terms[i].weight)})
		}
	}
	if ranks {
		prefer(a.preferred, 1)
		prefer(a.preferNot, -1)
	}
	for _, cr := range pr.carried {
		switch cr.kind {
		case refuses:
			r := by["-"+cr.label]
			if r == nil {
				r = c.affinityRule(shunned, cr.label)
				by["-"+cr.label] = r
			}
			r.carried = append(r.carried, weighing{cr, 1})
		case expects:
			r := attract(cr.label)
			r.carried = append(r.carried, weighing{cr, int32(p.HardAffinityWeight)})
		case wishes:
			r := attract(cr.label)
			r.carried = append(r.carried, weighing{cr, int32(cr.weight)})
		}
	}
}

func (c *class) addRequired(a *affinity, pr *prepared) {
	if len(a.required) > 0 {
		for i := range a.required {
			r := c.affinityRule(wants, a.required[i].topology)
			r.tallies = []weighed{{c.count(a.required), 1}} // a pod counts when it matches all terms
			if pr.selfAll {
				r.self = 1
			}
		}
	}
	for i := range a.anti {
		r := c.affinityRule(avoids, a.anti[i].topology)
		r.tallies = []weighed{{c.count(a.anti[i : i+1]), 1}}
	}
}

func (c *class) affinityRule(kind ruleKind, label string) *rule {
	r := &rule{kind: kind, topology: c.topology(label)}
	r.perRow = c.topologies[r.topology].rows
	c.rules = append(c.rules, r)
	return r
}

// count makes the tally of pods that match all of terms.
func (c *class) count(terms []term) *tally {
	scopes := make([]scope, 0, len(terms))
	for i := range terms {
		scopes = append(scopes, terms[i].scope)
		c.choosy = c.choosy || terms[i].choosy()
	}
	return c.t.tally(scopes, false)
}

// topology finds or adds a label key to the class.
func (c *class) topology(label string) int {
	for i, tp := range c.topologies {
		if tp.key == label {
			return i
		}
	}
	tp := c.t.topology(label)
	c.topologies = append(c.topologies, classTopology{tp, tp.rowwise()})
	return len(c.topologies) - 1
}

// share is where a row counts for a rule, and how much.
func (c *class) share(r *rule, row int32) (domain, adds int32) {
	if c.kind[row] < 0 {
		return none, 0
	}
	domain = c.topologies[r.topology].domains[row]
	k := &c.kinds[c.kind[row]]
	switch r.kind {
	case hardSpread, softSpread:
		if r.nodeCounts {
			break
		}
		if r.kind == hardSpread && !k.hardKeys || r.kind == softSpread && c.requireAll && !k.softKeys ||
			r.honorAffinity && !k.affinity || r.honorTaints && !k.tolerant {
			return none, 0
		}
		if domain == none && r.kind == softSpread && !c.requireAll {
			domain = 0
		}
	}
	if domain == none {
		return none, 0
	}
	for _, tl := range r.tallies {
		adds += tl.weight * tl.counts[row]
	}
	for _, cr := range r.carried {
		adds += cr.weight * cr.counts[row]
	}
	return domain, adds
}

// update brings a rule's sums up to date with a row.
func (c *class) update(r *rule, row int32) {
	at, adds := c.share(r, row)
	if r.at[row] == at && r.adds[row] == adds {
		return
	}
	if n := len(c.topologies[r.topology].names); n > len(r.sums) {
		r.sums = extend(r.sums, n)
		if r.kind == hardSpread {
			r.members = extend(r.members, n)
		}
	}
	if r.at[row] == at {
		r.move(at, int64(adds-r.adds[row]), 0)
	} else {
		r.move(r.at[row], -int64(r.adds[row]), -1)
		r.move(at, int64(adds), 1)
	}
	r.at[row], r.adds[row] = at, adds
}

// move changes a domain's sum by delta and its rows by members.
func (r *rule) move(d int32, delta int64, members int32) {
	if d == none {
		return
	}
	r.total += delta
	if r.kind != hardSpread {
		r.sums[d] += delta
		return
	}
	if r.members[d] > 0 {
		r.leaves(r.sums[d])
	}
	r.sums[d] += delta
	if r.members[d] += members; r.members[d] > 0 {
		r.enters(r.sums[d])
	}
}

func (r *rule) leaves(sum int64) {
	r.domains--
	if r.hist[sum]--; r.hist[sum] == 0 {
		delete(r.hist, sum)
		r.stale = r.stale || sum == r.least
	}
}

func (r *rule) enters(sum int64) {
	r.domains++
	r.hist[sum]++
	if !r.stale && (sum < r.least || r.domains == 1) {
		r.least = sum
	}
}

// floor is the count that a hard constraint measures others against: the emptiest domain's, or 0 while there are too few
// domains.
func (r *rule) floor() int64 {
	if r.domains < r.minDomains || r.domains == 0 {
		return 0
	}
	if r.stale {
		first := true
		for sum := range r.hist {
			if first || sum < r.least {
				r.least, first = sum, false
			}
		}
		r.stale = false
	}
	return r.least
}

// facet is what groups know of a row by a rule that is kept per row.
func (c *class) facet(r *rule, row int32) int64 {
	if c.topologies[r.topology].domains[row] == none {
		return missing
	}
	v := int64(r.adds[row])
	switch r.kind {
	case wants, avoids, shunned:
		return min(v, 1)
	case hardSpread, softSpread, attracted:
	}
	return v
}

// value is a rule's count for the rows of a group; false when they lack the label.
func (c *class) value(i int, g *group) (int64, bool) {
	r := c.rules[i]
	if r.perRow {
		v := g.values[i]
		return v, v != missing
	}
	d := g.domains[r.topology]
	if d == none {
		return 0, false
	}
	if int(d) >= len(r.sums) {
		return 0, true
	}
	return r.sums[d], true
}
