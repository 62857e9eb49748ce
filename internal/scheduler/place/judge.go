package place

import ()

// judge asks the filters about domains, and then those after them, about a group.
func (c *class) judge(g *group) {
	p := c.tm.policy
	g.verdict = nil
	best := len(p.Filters)
	if g.late != 0 {
		v := c.verdicts[g.late]
		g.verdict, best = v.status, v.order
	}
	if i, ok := p.order[PodTopologySpread]; ok && i < best {
		if s := c.judgeSpread(g); s != nil {
			g.verdict, best = s, i
		}
	}
	if i, ok := p.order[InterPodAffinity]; ok && i < best {
		if s := c.judgePods(g); s != nil {
			g.verdict = s
		}
	}
}

func (c *class) judgeSpread(g *group) *Status {
	return c.spread(func(i int, r *rule) (int64, int64, bool) {
		n, ok := c.value(i, g)
		return n, r.floor(), ok
	})
}

// spread asks the hard constraints. look tells a rule's count where the pod would go and the least of all domains; false
// when the label is missing.
func (c *class) spread(look func(i int, r *rule) (n, floor int64, ok bool)) *Status {
	for i, r := range c.rules {
		if r.kind != hardSpread {
			continue
		}
		n, floor, ok := look(i, r)
		if !ok {
			return &spreadLabelStatus
		}
		if n+r.self-floor > r.maxSkew {
			return &spreadStatus
		}
	}
	return nil
}

// wanted asks whether the pods are there that the pod wants beside it. A pod that wants others of its own kind may be the
// first of them. look tells a rule's count as for spread, and more is what comes to each and to the totals.
func (c *class) wanted(look func(i int, r *rule) (n int64, ok bool), more int64) *Status {
	all, self, total := true, false, int64(0)
	for i, r := range c.rules {
		if r.kind != wants {
			continue
		}
		n, ok := look(i, r)
		if !ok {
			return &podAffinityStatus
		}
		all, total, self = all && n+more > 0, total+r.total+more, r.self != 0
	}
	if !all && (total > 0 || !self) {
		return &podAffinityStatus
	}
	return nil
}

func (c *class) judgePods(g *group) *Status {
	if s := c.wanted(func(i int, _ *rule) (int64, bool) { return c.value(i, g) }, 0); s != nil {
		return s
	}
	var shun *Status
	for i, r := range c.rules {
		if r.kind != avoids && r.kind != shunned {
			continue
		}
		if n, ok := c.value(i, g); ok && n > 0 {
			if r.kind == avoids {
				return &podAntiStatus
			}
			shun = &existingAntiStatus
		}
	}
	return shun
}

// The answers of the filters about domains; never changed.
var (
	spreadLabelStatus  = Status{Unresolvable, PodTopologySpread, []string{reasonSpreadLabel}}
	spreadStatus       = Status{Unschedulable, PodTopologySpread, []string{reasonSpread}}
	podAffinityStatus  = Status{Unresolvable, InterPodAffinity, []string{reasonPodAffinity}}
	podAntiStatus      = Status{Unschedulable, InterPodAffinity, []string{reasonPodAnti}}
	existingAntiStatus = Status{Unschedulable, InterPodAffinity, []string{reasonExistingAnti}}
)
