package place

import (
	"fmt"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// fits numbers what a row is short of; 0 for nothing.
func (c *class) fits(row int32, order int) uint16 {
	short, hopeless := c.shortage(row, 0, nil)
	if short == 0 {
		return 0
	}
	key := short<<1 | uint64(b2i(hopeless))
	code, ok := c.fitCodes[key]
	if !ok {
		code = c.code(c.shortStatus(short, hopeless), order)
		c.fitCodes[key] = code
	}
	return code
}

// wantsMost is how many resources of one pod are told apart in a shortage; pods name a handful.
const wantsMost = 62

// shortage is what a row is short of for the pod, as bits: 0 for pods, 1+i for request i of the template. pods and more
// are what is to be there besides. hopeless: even the empty node would be too small.
func (c *class) shortage(row int32, pods int, more func(resource int) int64) (short uint64, hopeless bool) {
	t := c.t
	if int64(len(t.pods[row])+pods+1) > t.room[row] {
		short = 1
	}
	for i, a := range c.tm.requests {
		col := &t.columns[a.resource]
		left := col.allocatable[row] - col.requested[row]
		if more != nil {
			left -= more(a.resource)
		}
		if a.value > left && !c.ignores(col.name) && (col.allocatable[row] != 0 || !slices.Contains(c.provided, a.resource)) {
			short |= 1 << min(i+1, wantsMost)
			hopeless = hopeless || a.value > col.allocatable[row]
		}
	}
	return short, hopeless
}

// ignores says whether the policy leaves an extended resource to others.
func (c *class) ignores(name corev1.ResourceName) bool {
	p := c.tm.policy
	if len(p.IgnoredResources)+len(p.IgnoredResourceGroups) == 0 {
		return false
	}
	return p.ignored(name)
}

func (c *class) shortStatus(short uint64, hopeless bool) *Status {
	s := refuse(Unschedulable, NodeResourcesFit)
	if hopeless {
		s.Code = Unresolvable
	}
	if short&1 != 0 {
		s.Reasons = append(s.Reasons, reasonPods)
	}
	for i, a := range c.tm.requests {
		if short&(1<<min(i+1, wantsMost)) != 0 {
			s.Reasons = append(s.Reasons, fmt.Sprintf("Insufficient %s", c.t.columns[a.resource].name))
		}
	}
	return s
}

// localScore is what the scores that go by a row's own resources come to, weighed.
func (c *class) localScore(row int32) int64 {
	fit, balance := c.resourceScores(row)
	return c.fitWeight*fit + c.balanceWeight*balance
}

func (c *class) resourceScores(row int32) (fit, balance int64) {
	if c.fitWeight != 0 {
		fit = c.fitScore(row)
	}
	if c.balanceWeight != 0 && len(c.tm.balanced.values) > 0 {
		balance = c.balanceScore(row)
	}
	return fit, balance
}

func (c *class) fitScore(row int32) int64 {
	p, a := c.tm.policy, &c.tm.fit
	var sum, weights int64
	for i, id := range a.resources {
		col := &c.t.columns[id]
		have := col.allocatable[row]
		if have == 0 {
			continue
		}
		used := a.values[i]
		if id == cpu || id == memory {
			used += c.t.scored[id][row]
		} else {
			used += col.requested[row]
		}
		var score int64
		switch p.Strategy {
		case MostAllocated:
			score = min(used, have) * MaxScore / have
		case RequestedToCapacityRatio:
			if score = ratio(p.Shape, used, have); score <= 0 {
				continue
			}
		case LeastAllocated:
			if used <= have {
				score = (have - used) * MaxScore / have
			}
		}
		sum += score * a.weights[i]
		weights += a.weights[i]
	}
	switch {
	case weights == 0:
		return 0
	case p.Strategy == RequestedToCapacityRatio:
		return int64(math.Round(float64(sum) / float64(weights)))
	}
	return sum / weights
}

// ratio reads a function that is straight between its corners. Scores of a shape go to 10, those of nodes to MaxScore.
func ratio(shape []ShapePoint, used, have int64) int64 {
	const scale = MaxScore / 10
	at := int64(100)
	if used <= have {
		at = used * 100 / have
	}
	for i, corner := range shape {
		if at > corner.Utilization {
			continue
		}
		if i == 0 {
			return corner.Score * scale
		}
		before := shape[i-1]
		return before.Score*scale + (corner.Score-before.Score)*scale*(at-before.Utilization)/(corner.Utilization-before.Utilization)
	}
	return shape[len(shape)-1].Score * scale
}

// balanceScore prefers nodes that the pod makes more even: 75 when it changes nothing, up to 100, down to 50.
func (c *class) balanceScore(row int32) int64 {
	a := &c.tm.balanced
	var with, without [8]float64
	after, before := with[:0], without[:0]
	for i, id := range a.resources {
		col := &c.t.columns[id]
		if have := col.allocatable[row]; have != 0 {
			after = append(after, min(1, float64(col.requested[row]+a.values[i])/float64(have)))
			before = append(before, min(1, float64(col.requested[row])/float64(have)))
		}
	}
	return MaxScore/2 + (MaxScore/2+evenness(after)-evenness(before))/2
}

// evenness is MaxScore less the standard deviation of fractions of 1.
func evenness(fractions []float64) int64 {
	var deviation float64
	switch n := len(fractions); {
	case n == 2:
		deviation = math.Abs((fractions[0] - fractions[1]) / 2)
	case n > 2:
		var total, sum float64
		for _, f := range fractions {
			total += f
		}
		mean := total / float64(n)
		for _, f := range fractions {
			sum += (f - mean) * (f - mean)
		}
		deviation = math.Sqrt(sum / float64(n))
	}
	return int64((1 - deviation) * MaxScore)
}

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
