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
	return c.fitCode(short, hopeless, order)
}

// fitCode numbers a shortage; equal ones have one number.
func (c *class) fitCode(short uint64, hopeless bool, order int) uint16 {
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
