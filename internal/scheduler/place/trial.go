package place

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// visit is a row as it would be with some pods more and some less.
type visit struct {
	row  int32
	come []nominee
	gone []int32 // by number

	alone bool // rules about domains are not asked, nor are nominated pods thought there
}

// check asks all filters about a visit, in the policy's order; nil when the pod would do. Nothing is cached: a visit
// costs the pods that come and go.
func (d *decision) check(v *visit) *Status {
	c := d.c
	if c.kind[v.row] < 0 {
		return nil
	}
	static := c.kinds[c.kind[v.row]].verdict
	for i, name := range c.tm.policy.Filters {
		var s *Status
		switch name {
		case NodePorts:
			s = d.checkPorts(v)
		case NodeResourcesFit:
			s = d.checkFit(v)
		case PodTopologySpread, InterPodAffinity:
			if !v.alone {
				s = d.checkDomains(v, name)
			}
		default:
			if static != 0 && c.verdicts[static].order == i {
				s = c.verdicts[static].status
			} else {
				s = d.checkRule(v, name)
			}
		}
		if s != nil {
			return s
		}
	}
	return nil
}

func (d *decision) checkDomains(v *visit, name string) *Status {
	if name == PodTopologySpread {
		return d.checkSpread(v)
	}
	return d.checkPods(v)
}

func (d *decision) checkRule(v *visit, name string) *Status {
	for i, r := range d.c.tm.policy.rules {
		if r.Name() != name || d.pr.rules[i].Filter == nil {
			continue
		}
		if s := d.pr.rules[i].Filter(Site{Node: d.t.nodes[v.row], row: v.row, t: d.t, gone: v.gone, come: v.come}); s.Failed() {
			return refuse(s.Code, name, s.Reasons...)
		}
	}
	return nil
}

func (d *decision) checkPorts(v *visit) *Status {
	wanted := d.c.tm.ports
	if len(wanted) == 0 {
		return nil
	}
	taken := d.t.ports[v.row]
	if len(v.gone) > 0 {
		taken = slices.Clone(taken)
		for _, n := range v.gone {
			for _, hp := range d.t.placed[n].shape.ports {
				i := slices.Index(taken, hp)
				taken = slices.Delete(taken, i, i+1)
			}
		}
	}
	taken = slices.Clip(taken)
	for i := range v.come {
		taken = append(taken, v.come[i].shape.ports...)
	}
	if clash(wanted, taken) {
		return refuse(Unschedulable, NodePorts, reasonPorts)
	}
	return nil
}

func (d *decision) checkFit(v *visit) *Status {
	more := func(resource int) (sum int64) {
		for i := range v.come {
			sum += v.come[i].shape.request(resource)
		}
		for _, n := range v.gone {
			sum -= d.t.placed[n].shape.request(resource)
		}
		return sum
	}
	short, hopeless := d.c.shortage(v.row, len(v.come)-len(v.gone), more)
	if short == 0 {
		return nil
	}
	return d.c.verdicts[d.c.fitCode(short, hopeless, d.c.tm.policy.order[NodeResourcesFit])].status
}

func (s *shape) request(resource int) int64 {
	for _, a := range s.requests {
		if a.resource == resource {
			return a.value
		}
	}
	return 0
}

// each ranges over the pods that come (1) and go (-1).
func (d *decision) each(v *visit, f func(s *shape, by int64)) {
	for i := range v.come {
		f(v.come[i].shape, 1)
	}
	for _, n := range v.gone {
		f(d.t.placed[n].shape, -1)
	}
}

// sum is a rule's count where the row is; false when it lacks the label.
func (c *class) sum(r *rule, row int32) (int64, bool) {
	domain := c.topologies[r.topology].domains[row]
	if domain == none {
		return 0, false
	}
	if int(domain) >= len(r.sums) {
		return 0, true
	}
	return r.sums[domain], true
}

func (d *decision) checkSpread(v *visit) *Status {
	return d.c.spread(func(_ int, r *rule) (int64, int64, bool) {
		n, ok := d.c.sum(r, v.row)
		if !ok || r.at[v.row] == none {
			return n, r.floor(), ok
		}
		var delta int64
		d.each(v, func(s *shape, by int64) {
			if s.namespace == d.pod.Namespace && r.selector.Matches(s.labels) {
				delta += by
			}
		})
		if delta == 0 {
			return n, r.floor(), true
		}
		return n + delta, r.floorWith(n, n+delta), true
	})
}

// floorWith is the floor if one domain that has a sum had another.
func (r *rule) floorWith(sum, instead int64) int64 {
	if r.domains < r.minDomains || r.domains == 0 {
		return 0
	}
	least := instead
	for other, n := range r.hist {
		if other < least && (other != sum || n > 1) {
			least = other
		}
	}
	return least
}

func (d *decision) checkPods(v *visit) *Status {
	if d.c.unconcerned() {
		return nil
	}
	var more int64
	if required := d.c.tm.affinity.required; len(required) > 0 {
		d.each(v, func(s *shape, by int64) {
			if d.t.matchesAll(required, s) {
				more += by
			}
		})
	}
	if s := d.c.wanted(func(_ int, r *rule) (int64, bool) { return d.c.sum(r, v.row) }, more); s != nil {
		return s
	}
	if d.avoided(v) {
		return &podAntiStatus
	}
	if d.shunned(v) {
		return &existingAntiStatus
	}
	return nil
}

// unconcerned says whether nothing in the table, as it is, makes affinity a matter for the pod. Upstream does not ask the
// plug-in then, not even about pods that are only thought to come.
func (c *class) unconcerned() bool {
	if len(c.tm.affinity.required)+len(c.tm.affinity.anti) > 0 {
		return false
	}
	return !slices.ContainsFunc(c.rules, func(r *rule) bool { return r.kind == shunned && r.total > 0 })
}

func (t *Table) matchesAll(terms []term, s *shape) bool {
	for i := range terms {
		if !terms[i].own(t, s.namespace, s.labels) {
			return false
		}
	}
	return true
}

// avoided says whether pods are in the way of the pod's own anti-affinity. Terms of one label count together.
func (d *decision) avoided(v *visit) bool {
	if len(v.come)+len(v.gone) == 0 {
		return d.met(avoids, nil, v.row)
	}
	set := d.t.nodes[v.row].Labels
	terms := d.c.tm.affinity.anti
	counts := map[string]int64{}
	for i := range terms {
		tm := &terms[i]
		if _, ok := set[tm.topology]; !ok {
			continue
		}
		d.each(v, func(s *shape, by int64) {
			if tm.own(d.t, s.namespace, s.labels) {
				counts[tm.topology] += by
			}
		})
	}
	return d.met(avoids, counts, v.row)
}

// met says whether the sums of a kind, with what is added by label (nil: nothing), are above zero for any label.
func (d *decision) met(kind ruleKind, counts map[string]int64, row int32) bool {
	for _, r := range d.c.rules {
		if r.kind == kind {
			if n, ok := d.c.sum(r, row); ok && counts == nil {
				if n > 0 { // no sum is below zero
					return true
				}
			} else if ok {
				counts[d.c.topologies[r.topology].key] += n
			}
		}
	}
	for _, n := range counts {
		if n > 0 {
			return true
		}
	}
	return false
}

// shunned says whether the anti-affinity of pods that are there or come is in the way.
func (d *decision) shunned(v *visit) bool {
	if len(v.come)+len(v.gone) == 0 {
		return d.met(shunned, nil, v.row)
	}
	set := d.t.nodes[v.row].Labels
	counts := map[string]int64{}
	d.each(v, func(s *shape, by int64) {
		for _, cr := range s.carries {
			if _, ok := set[cr.label]; ok && cr.kind == refuses && cr.covers(d.t, d.pod.Namespace, labels.Set(d.pod.Labels)) {
				counts[cr.label] += by
			}
		}
	})
	return d.met(shunned, counts, v.row)
}
