package place

import (
	"math"
)

// The sizes between which the images that a node has count: upstream's.
const (
	imagesLeast = 23 << 20
	imagesMost  = 1000 << 20 // a container
)

// imageScore values images by size, and by how many nodes have them, lest pods flock to the one node that does.
func (c *class) imageScore(k *kind) int64 {
	if len(k.images) == 0 {
		return 0
	}
	var sum int64
	for _, name := range k.images {
		if img := c.t.images.byName[name]; img != nil {
			sum += int64(float64(img.size) * (float64(img.nodes) / float64(c.t.known)))
		}
	}
	most := imagesMost * c.tm.containers
	return MaxScore * (min(max(sum, imagesLeast), most) - imagesLeast) / (most - imagesLeast)
}

// weigh normalises and weighs the scores about groups, over the rows that are ranked (group.weight of each).
func (c *class) weigh(groups []*group) {
	p := c.tm.policy
	for _, g := range groups {
		g.ranked = ranked{}
	}
	if w := p.weights[TaintToleration]; w != 0 {
		normalise(groups, partTaints, w, true, func(g *group) int64 { return c.kinds[g.kind].taints })
	}
	if w := p.weights[NodeAffinity]; w != 0 && (c.tm.preferred != nil || p.preferred != nil) {
		normalise(groups, partAffinity, w, false, func(g *group) int64 { return c.kinds[g.kind].preferred })
	}
	if w := p.weights[ImageLocality]; w != 0 && len(c.tm.images) > 0 {
		for _, g := range groups {
			g.parts[partImages] = w * c.imageScore(&c.kinds[g.kind])
		}
	}
	c.weighSpread(groups)
	c.weighPods(groups)
	for _, g := range groups {
		for _, v := range g.parts {
			g.sum += v
		}
	}
	for i, e := range c.extras {
		c.weighExtra(groups, i, p.weights[e.name])
	}
}

// normalise is upstream's default: in proportion to the greatest; reverse gives the least to the greatest.
func normalise(groups []*group, part int, weight int64, reverse bool, raw func(*group) int64) {
	var most int64
	for _, g := range groups {
		most = max(most, raw(g))
	}
	for _, g := range groups {
		var score int64
		if most > 0 {
			score = MaxScore * raw(g) / most
		}
		if reverse {
			score = MaxScore - score
		}
		g.parts[part] = weight * score
	}
}

func (c *class) weighExtra(groups []*group, i int, weight int64) {
	var most int64
	for _, g := range groups {
		most = max(most, g.extras[i])
	}
	for _, g := range groups {
		g.extraParts[i] = 0
		if most > 0 {
			g.extraParts[i] = weight * (MaxScore * g.extras[i] / most)
		}
		g.sum += g.extraParts[i]
	}
}

// weighPods ranks by the wishes of pods about each other.
func (c *class) weighPods(groups []*group) {
	least, most, any := int64(math.MaxInt64), int64(math.MinInt64), false
	for i, r := range c.rules {
		if r.kind != attracted {
			continue
		}
		any = true
		for _, g := range groups {
			if v, ok := c.value(i, g); ok {
				g.attraction += v
			}
		}
	}
	if !any {
		return
	}
	for _, g := range groups {
		least, most = min(least, g.attraction), max(most, g.attraction)
	}
	if most == least {
		return
	}
	w := c.tm.policy.weights[InterPodAffinity]
	for _, g := range groups {
		g.parts[partPods] = w * int64(float64(MaxScore)*(float64(g.attraction-least)/float64(most-least)))
	}
}

// weighSpread ranks by soft constraints: fewer pods are better, and the fewer domains a constraint has the less its
// counts are damped.
func (c *class) weighSpread(groups []*group) {
	soft := c.soft[:0]
	for i, r := range c.rules {
		if r.kind == softSpread {
			soft = append(soft, i)
		}
	}
	if c.soft = soft; len(soft) == 0 {
		return
	}
	for _, g := range groups {
		g.ignored = c.requireAll && !c.kinds[g.kind].softKeys
	}
	c.damp = c.damp[:0]
	for _, i := range soft {
		c.damp = append(c.damp, math.Log(float64(c.spreadOver(i, groups)+2)))
	}
	least, most := int64(math.MaxInt64), int64(0)
	for _, g := range groups {
		if g.ignored {
			continue
		}
		var score float64
		for n, i := range soft {
			if v, ok := c.value(i, g); ok {
				score += float64(v)*c.damp[n] + float64(c.rules[i].maxSkew-1)
			}
		}
		g.spread = int64(math.Round(score))
		least, most = min(least, g.spread), max(most, g.spread)
	}
	w := c.tm.policy.weights[PodTopologySpread]
	for _, g := range groups {
		switch {
		case g.ignored:
		case most == 0:
			g.parts[partSpread] = w * MaxScore
		default:
			g.parts[partSpread] = w * (MaxScore * (most + least - g.spread) / most)
		}
	}
}

// spreadOver is how many domains of a soft constraint the ranked rows are in.
func (c *class) spreadOver(i int, groups []*group) (size int) {
	r := c.rules[i]
	if !r.perRow {
		c.marked = extend(c.marked, len(c.topologies[r.topology].names))
		c.mark++
	}
	unlabelled := false
	for _, g := range groups {
		switch {
		case g.ignored:
		case r.nodeCounts:
			size += g.weight
		case r.perRow && g.values[i] != missing:
			size += g.weight
		case r.perRow || g.domains[r.topology] == none:
			unlabelled = true
			if !r.perRow && c.marked[0] != c.mark {
				c.marked[0] = c.mark
				size++
			}
		default:
			if d := g.domains[r.topology]; c.marked[d] != c.mark {
				c.marked[d] = c.mark
				size++
			}
		}
	}
	if r.perRow && !r.nodeCounts && unlabelled {
		size++ // nodes without the label count as one domain
	}
	return size
}
