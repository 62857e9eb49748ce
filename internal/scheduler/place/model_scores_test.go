package place

import (
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

func (q question) score(plugin string, feasible []string) map[string]int64 {
	raw := map[string]int64{}
	for _, name := range feasible {
		raw[name] = q.rawScore(plugin, q.m.nodes[name])
	}
	switch plugin {
	case TaintToleration, NodeAffinity:
		most := int64(0)
		for _, v := range raw {
			most = max(most, v)
		}
		for name, v := range raw {
			score := int64(0)
			if most > 0 {
				score = 100 * v / most
			}
			if plugin == TaintToleration {
				score = 100 - score
			}
			raw[name] = score
		}
	case InterPodAffinity:
		least, most := int64(math.MaxInt64), int64(math.MinInt64)
		for _, v := range raw {
			least, most = min(least, v), max(most, v)
		}
		for name, v := range raw {
			raw[name] = 0
			if most > least {
				raw[name] = int64(100 * (float64(v-least) / float64(most-least)))
			}
		}
	case PodTopologySpread:
		return q.spreadScore(feasible)
	}
	return raw
}

func (q question) rawScore(plugin string, n *corev1.Node) (score int64) {
	switch plugin {
	case TaintToleration:
		for i := range n.Spec.Taints {
			if t := &n.Spec.Taints[i]; t.Effect == corev1.TaintEffectPreferNoSchedule && !tolerates(q.pod, t) {
				score++
			}
		}
	case NodeAffinity:
		if a := q.pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
			terms, _ := nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
			score = terms.Score(n)
		}
	case NodeResourcesFit:
		return q.leastAllocated(n)
	case BalancedAllocation:
		return q.balance(n)
	case ImageLocality:
		return q.imageLocality(n)
	case InterPodAffinity:
		q.everyone(func(at *corev1.Node, o *corev1.Pod) {
			add := func(t *corev1.PodAffinityTerm, weight int32, matches bool) {
				v, ok := n.Labels[t.TopologyKey]
				if w, has := at.Labels[t.TopologyKey]; ok && has && v == w && matches {
					score += int64(weight)
				}
			}
			for _, w := range podWishes(q.pod) {
				add(&w.PodAffinityTerm, w.Weight, q.m.covers(q.pod, &w.PodAffinityTerm, o, true))
			}
			for _, w := range podWishes(o) {
				add(&w.PodAffinityTerm, w.Weight, q.m.covers(o, &w.PodAffinityTerm, q.pod, false))
			}
			for _, t := range podTerms(o, false) {
				add(&t, int32(q.p.HardAffinityWeight), q.m.covers(o, &t, q.pod, false))
			}
		})
	}
	return score
}

func (q question) leastAllocated(n *corev1.Node) int64 {
	wanted := resource.PodRequests(q.pod, resource.PodResourcesOptions{SkipPodLevelResources: true, NonMissingContainerRequests: defaultRequests()})
	var sum, kinds int64
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		have, used := value(n.Status.Allocatable, name), value(wanted, name)
		for _, o := range q.world[n.Name] {
			opts := placedOptions()
			opts.NonMissingContainerRequests = defaultRequests()
			used += value(resource.PodRequests(o, opts), name)
		}
		if have == 0 {
			continue
		}
		kinds++
		if used <= have {
			sum += (have - used) * 100 / have
		}
	}
	if kinds == 0 {
		return 0
	}
	return sum / kinds
}

func (q question) balance(n *corev1.Node) int64 {
	wanted := resource.PodRequests(q.pod, placedOptions())
	names := []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}
	if value(wanted, names[0]) == 0 && value(wanted, names[1]) == 0 {
		return 0
	}
	even := func(with bool) int64 {
		var f []float64
		for _, name := range names {
			have, used := value(n.Status.Allocatable, name), int64(0)
			if with {
				used = value(wanted, name)
			}
			for _, o := range q.world[n.Name] {
				used += value(resource.PodRequests(o, placedOptions()), name)
			}
			if have != 0 {
				f = append(f, math.Min(1, float64(used)/float64(have)))
			}
		}
		if len(f) < 2 {
			return 100
		}
		return int64((1 - math.Abs((f[0]-f[1])/2)) * 100)
	}
	return 50 + (50+even(true)-even(false))/2
}

func (q question) imageLocality(n *corev1.Node) int64 {
	has := func(n *corev1.Node, name string) int64 {
		for _, i := range n.Status.Images {
			if slices.Contains(i.Names, name) {
				return i.SizeBytes
			}
		}
		return 0
	}
	var sum int64
	for _, c := range q.pod.Spec.Containers {
		name := c.Image
		if !strings.Contains(name, ":") {
			name += ":latest"
		}
		size := has(n, name)
		if size == 0 {
			continue
		}
		with := 0
		for _, o := range q.m.nodes {
			if has(o, name) > 0 {
				with++
			}
		}
		sum += int64(float64(size) * (float64(with) / float64(len(q.m.nodes))))
	}
	const mb = 1 << 20
	most := int64(len(q.pod.Spec.Containers)) * 1000 * mb
	return 100 * (min(max(sum, 23*mb), most) - 23*mb) / (most - 23*mb)
}

func (q question) spreadScore(feasible []string) map[string]int64 {
	out := map[string]int64{}
	list := q.constraints(corev1.ScheduleAnyway)
	if len(list) == 0 {
		return out
	}
	requireAll := len(q.pod.Spec.TopologySpreadConstraints) > 0 || !q.p.SystemSpread
	ignored := map[string]bool{}
	sums := make([]map[string]int64, len(list))
	for i := range list {
		sums[i] = map[string]int64{}
	}
	for _, name := range feasible {
		n := q.m.nodes[name]
		if requireAll && !hasAll(n, list) {
			ignored[name] = true
			continue
		}
		for i, c := range list {
			sums[i][n.Labels[c.TopologyKey]] = 0
		}
	}
	damp := make([]float64, len(list))
	for i, c := range list {
		size := len(sums[i])
		if c.TopologyKey == corev1.LabelHostname {
			size = len(feasible) - len(ignored)
		}
		damp[i] = math.Log(float64(size + 2))
		for _, n := range q.m.nodes {
			if requireAll && !hasAll(n, list) || !included(q.pod, c, n) {
				continue
			}
			if _, ok := sums[i][n.Labels[c.TopologyKey]]; ok {
				sums[i][n.Labels[c.TopologyKey]] += q.counted(c, n.Name)
			}
		}
	}
	least, most := int64(math.MaxInt64), int64(0)
	for _, name := range feasible {
		var score float64
		for i, c := range list {
			v, ok := q.m.nodes[name].Labels[c.TopologyKey]
			if !ok || ignored[name] {
				continue
			}
			n := sums[i][v]
			if c.TopologyKey == corev1.LabelHostname {
				n = q.counted(c, name)
			}
			score += float64(n)*damp[i] + float64(c.MaxSkew-1)
		}
		out[name] = int64(math.Round(score))
		if !ignored[name] {
			least, most = min(least, out[name]), max(most, out[name])
		}
	}
	for name, s := range out {
		switch {
		case ignored[name]:
			out[name] = 0
		case most == 0:
			out[name] = 100
		default:
			out[name] = 100 * (most + least - s) / most
		}
	}
	return out
}
