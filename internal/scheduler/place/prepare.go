package place

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// prepared is what Decide found out about a pod before it looked for its class.
type prepared struct {
	tm       *template
	aim      aim
	names    []string // the nodes that the aim and rules leave; nil: all
	namedBy  []string // the plug-ins that named them
	spread   labels.Selector
	carried  []*carried
	rules    []Prepared // of tm.policy.rules
	refuse   *Status    // by a rule, whatever the node
	selfHard []bool     // whether the pod matches its own hard constraints
	selfAll  bool       // whether the pod matches all of its own required affinity
}

// prepare parses a pod and asks what the table makes of its labels.
func (t *Table) prepare(pod *corev1.Pod, p *Policy) (prepared, error) {
	at, required := p.aimed(pod)
	tm, err := t.template(pod, p, required)
	if err != nil {
		return prepared{}, err
	}
	pr := prepared{tm: tm, aim: at}
	if at.names != nil {
		pr.names, pr.namedBy = at.names, []string{NodeAffinity}
	}
	if err := t.prepareRules(pod, p, &pr); err != nil {
		return pr, err
	}
	if !tm.spreads && len(tm.hard)+len(tm.soft) > 0 {
		if s := t.defaultSelector(pod); !s.Empty() {
			pr.spread = s
		}
	}
	set := labels.Set(pod.Labels)
	for i := range tm.hard {
		if s := pr.selector(&tm.hard[i]); s != nil {
			pr.selfHard = append(pr.selfHard, s.Matches(set))
		}
	}
	pr.selfAll = len(tm.affinity.required) > 0
	for i := range tm.affinity.required {
		pr.selfAll = pr.selfAll && tm.affinity.required[i].own(t, pod.Namespace, set)
	}
	pr.carried = t.meets(pod, tm)
	return pr, nil
}

// selector is a constraint's; nil when it does not hold, for want of services and owner.
func (pr *prepared) selector(c *constraint) labels.Selector {
	if c.selector == nil {
		return pr.spread
	}
	return c.selector
}

// meets returns the terms of pods on nodes that cover pod and matter to its policy, by id.
func (t *Table) meets(pod *corev1.Pod, tm *template) []*carried {
	p, set := tm.policy, labels.Set(pod.Labels)
	ranks := p.weights[InterPodAffinity] != 0 && !tm.unmoved()
	filters := p.filters(InterPodAffinity)
	var out []*carried
	look := func(under pair) {
		for _, c := range t.byPair[under] {
			matters := ranks
			if c.kind == refuses {
				matters = filters
			} else if c.kind == expects {
				matters = ranks && p.HardAffinityWeight > 0
			}
			if matters && c.covers(t, pod.Namespace, set) {
				out = append(out, c)
			}
		}
	}
	look(pair{})
	if len(t.byPair) > 0 {
		for k, v := range pod.Labels {
			look(pair{k, v})
		}
	}
	slices.SortFunc(out, func(a, b *carried) int { return int(int64(a.id - b.id)) })
	return out
}

// unmoved says whether the wishes of pods on nodes are not heard, because the pod has none of its own.
func (tm *template) unmoved() bool {
	return tm.policy.IgnorePreferredOfExisting && len(tm.affinity.preferred)+len(tm.affinity.preferNot) == 0
}
