package podautoscaler

import (
	"math"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// past is what an autoscaler proposed and did. It is in memory only: after a restart it begins with the replicas that there are, as upstream's does.
type past struct {
	recommended []moment // what metrics asked for, before it was stabilized
	added       []moment // replicas
	removed     []moment
}

// moment is a number of replicas at a time.
type moment struct {
	at       time.Time
	replicas int32
}

// Longest that anything is remembered: the API allows windows of an hour and periods of half an hour.
const (
	longestWindow = time.Hour
	longestPeriod = 30 * time.Minute
)

// outcome is a number of replicas and why it is that.
type outcome struct {
	replicas        int32
	changed         bool // from what was asked for
	reason, message string
}

// bounds are what an autoscaler's replicas are held between.
type bounds struct{ least, most int32 }

// recommend notes what metrics ask for and forgets what no window reaches.
func (p *past) recommend(now time.Time, replicas int32) {
	p.recommended = append(forget(p.recommended, now.Add(-longestWindow)), moment{now, replicas})
}

// scaled notes a change that was made.
func (p *past) scaled(now time.Time, from, to int32) {
	cutoff := now.Add(-longestPeriod)
	p.added, p.removed = forget(p.added, cutoff), forget(p.removed, cutoff)
	if to > from {
		p.added = append(p.added, moment{now, to - from})
	} else {
		p.removed = append(p.removed, moment{now, from - to})
	}
}

func forget(list []moment, before time.Time) []moment {
	return slices.DeleteFunc(list, func(m moment) bool { return m.at.Before(before) })
}

// stabilize is the highest of what was recommended within the window.
func (p *past) stabilize(now time.Time, wish int32, window time.Duration) int32 {
	highest := wish
	for _, m := range p.recommended {
		if !m.at.Before(now.Add(-window)) {
			highest = max(highest, m.replicas)
		}
	}
	return highest
}

// between keeps replicas, as far as possible, between the lowest of what was recommended within the up window and the highest within the down window.
func (p *past) between(now time.Time, current, wish int32, b *autoscalingv2.HorizontalPodAutoscalerBehavior) outcome {
	window := func(r *autoscalingv2.HPAScalingRules) time.Time {
		return now.Add(-time.Duration(*r.StabilizationWindowSeconds) * time.Second)
	}
	up, down := window(b.ScaleUp), window(b.ScaleDown)
	lowest, highest := wish, wish
	for _, m := range p.recommended {
		if m.at.After(up) {
			lowest = min(lowest, m.replicas)
		}
		if m.at.After(down) {
			highest = max(highest, m.replicas)
		}
	}
	o := outcome{replicas: min(max(current, lowest), highest)}
	o.changed = o.replicas != wish
	if wish >= current {
		o.reason, o.message = "ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation"
	} else {
		o.reason, o.message = "ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation"
	}
	return o
}

// Words for what limits a change.
const (
	inRange  = "the desired count is within the acceptable range"
	tooFast  = "the desired replica count is increasing faster than the maximum scale rate"
	tooSlow  = "the desired replica count is decreasing faster than the maximum scale rate"
	tooMany  = "the desired replica count is more than the maximum replica count"
	tooFew   = "the desired replica count is less than the minimum replica count"
	upLimit  = "ScaleUpLimit"
	allowed  = "DesiredWithinRange"
	downStop = "ScaleDownLimit"
)

// limit holds a wish between bounds, and a rise below twice what there is, or four.
func limit(current, wish int32, b bounds) outcome {
	most, o := b.most, outcome{reason: "TooManyReplicas", message: tooMany, changed: true}
	if rise := rounded(max(2*float64(current), 4)); most > rise {
		most, o.reason, o.message = rise, upLimit, tooFast
	}
	switch {
	case wish < b.least:
		return outcome{b.least, true, "TooFewReplicas", tooFew}
	case wish > most:
		o.replicas = most
		return o
	}
	return outcome{wish, false, allowed, inRange}
}

// limitRate holds a wish between bounds, and its change to what the rules allow in their periods.
func (p *past) limitRate(now time.Time, current, wish int32, b bounds, rules *autoscalingv2.HorizontalPodAutoscalerBehavior) outcome {
	switch {
	case wish > current:
		most, o := b.most, outcome{reason: "TooManyReplicas", message: tooMany, changed: true}
		if rise := max(current, p.reach(now, current, rules.ScaleUp, true)); most > rise {
			most, o.reason, o.message = rise, upLimit, tooFast
		}
		if wish > most {
			o.replicas = most
			return o
		}
	case wish < current:
		least, o := b.least, outcome{reason: "TooFewReplicas", message: tooFew, changed: true}
		if fall := min(current, p.reach(now, current, rules.ScaleDown, false)); least < fall {
			least, o.reason, o.message = fall, downStop, tooSlow
		}
		if wish < least {
			o.replicas = least
			return o
		}
	}
	return outcome{wish, false, allowed, inRange}
}

// reach is how far the policies of rules let replicas go, up or down: of several the one that changes most, unless the rules choose the one that changes least.
func (p *past) reach(now time.Time, current int32, rules *autoscalingv2.HPAScalingRules, up bool) int32 {
	choice := autoscalingv2.MaxChangePolicySelect
	if rules.SelectPolicy != nil {
		choice = *rules.SelectPolicy
	}
	if choice == autoscalingv2.DisabledPolicySelect {
		return current
	}
	highest := up == (choice != autoscalingv2.MinChangePolicySelect)
	result := int32(math.MaxInt32)
	if highest {
		result = math.MinInt32
	}
	for _, policy := range rules.Policies {
		period := time.Duration(policy.PeriodSeconds) * time.Second
		start := current - since(p.added, now.Add(-period)) + since(p.removed, now.Add(-period))
		proposed := allowedBy(policy, start, up)
		if highest {
			result = max(result, proposed)
		} else {
			result = min(result, proposed)
		}
	}
	return result
}

// allowedBy is where a policy ends that began a period with start replicas. A rise in percent is rounded up: it would else never begin.
func allowedBy(policy autoscalingv2.HPAScalingPolicy, start int32, up bool) int32 {
	part := float64(policy.Value) / 100
	switch {
	case policy.Type == autoscalingv2.PercentScalingPolicy && up:
		return rounded(float64(start) * (1 + part))
	case policy.Type == autoscalingv2.PercentScalingPolicy:
		return int32(float64(start) * (1 - part))
	case up:
		return start + policy.Value
	}
	return start - policy.Value
}

// since is the sum of what came after a time.
func since(list []moment, after time.Time) (sum int32) {
	for _, m := range list {
		if m.at.After(after) {
			sum += m.replicas
		}
	}
	return sum
}
