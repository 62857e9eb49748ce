package podautoscaler

import (
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

func rules(window int32, choice autoscalingv2.ScalingPolicySelect, policies ...autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
	return &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &window, SelectPolicy: &choice, Policies: policies}
}

// TestLimit: what holds a wish where no behavior is given.
func TestLimit(t *testing.T) {
	for _, c := range []struct {
		current, wish, least, most int32
		want                       outcome
	}{
		{3, 5, 1, 10, outcome{5, false, "DesiredWithinRange", inRange}},
		{3, 9, 1, 10, outcome{6, true, "ScaleUpLimit", tooFast}},
		{1, 9, 1, 10, outcome{4, true, "ScaleUpLimit", tooFast}},
		{8, 20, 1, 10, outcome{10, true, "TooManyReplicas", tooMany}},
		{8, 0, 2, 10, outcome{2, true, "TooFewReplicas", tooFew}},
	} {
		if got := limit(c.current, c.wish, bounds{c.least, c.most}); got != c.want {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// TestStabilize: a higher recommendation of the window keeps replicas; a lower one does not.
func TestStabilize(t *testing.T) {
	p := &past{}
	p.recommend(noon, 8)
	p.recommend(noon.Add(4*time.Minute), 3)
	for after, want := range map[time.Duration]int32{5 * time.Minute: 8, 5*time.Minute + 1: 3, 10 * time.Minute: 2} {
		if got := p.stabilize(noon.Add(after), 2, 5*time.Minute); got != want {
			t.Errorf("after %v: %d, want %d", after, got, want)
		}
	}
	p.recommend(noon.Add(2*time.Hour), 1)
	if len(p.recommended) != 1 {
		t.Errorf("%d recommendations are remembered after two hours, want 1", len(p.recommended))
	}
}

// TestBetween: the windows of a behavior.
func TestBetween(t *testing.T) {
	at := noon.Add(time.Minute)
	for name, c := range map[string]struct {
		before        []int32 // recommendations, a second apart, the last just now
		up, down      int32   // windows in seconds
		current, wish int32
		want          int32
		reason        string
	}{
		"no windows":                   {before: []int32{2, 9}, current: 5, wish: 7, want: 7, reason: "ScaleUpStabilized"},
		"up by the lowest":             {before: []int32{6, 9}, up: 60, current: 5, wish: 8, want: 6, reason: "ScaleUpStabilized"},
		"up only":                      {before: []int32{2, 9}, up: 60, current: 5, wish: 8, want: 5, reason: "ScaleUpStabilized"},
		"down by the highest":          {before: []int32{4, 1}, down: 60, current: 5, wish: 2, want: 4, reason: "ScaleDownStabilized"},
		"down not above what there is": {before: []int32{9, 1}, down: 60, current: 5, wish: 2, want: 5, reason: "ScaleDownStabilized"},
	} {
		p := &past{}
		for i, n := range c.before {
			p.recommend(at.Add(-time.Duration(len(c.before)-i)*time.Second), n)
		}
		b := &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: rules(c.up, "Max"), ScaleDown: rules(c.down, "Max")}
		if got := p.between(at, c.current, c.wish, b); got.replicas != c.want || got.reason != c.reason || got.changed != (c.want != c.wish) {
			t.Errorf("%s: %+v, want %d for %s", name, got, c.want, c.reason)
		}
	}
}

// TestRates: how fast policies let replicas go, beside what was changed in their periods.
func TestRates(t *testing.T) {
	pods := func(n, seconds int32) autoscalingv2.HPAScalingPolicy {
		return autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: n, PeriodSeconds: seconds}
	}
	percent := func(n, seconds int32) autoscalingv2.HPAScalingPolicy {
		return autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: n, PeriodSeconds: seconds}
	}
	for name, c := range map[string]struct {
		up, down      *autoscalingv2.HPAScalingRules
		added         int32 // half a minute ago
		removed       int32
		current, wish int32
		want          int32
		reason        string
	}{
		"by pods":                 {up: rules(0, "Max", pods(4, 60)), current: 10, wish: 99, want: 14, reason: "ScaleUpLimit"},
		"by percent, rounded up":  {up: rules(0, "Max", percent(1, 60)), current: 10, wish: 99, want: 11, reason: "ScaleUpLimit"},
		"most of both":            {up: rules(0, "Max", pods(4, 60), percent(100, 60)), current: 10, wish: 99, want: 20, reason: "ScaleUpLimit"},
		"least of both":           {up: rules(0, "Min", pods(4, 60), percent(100, 60)), current: 10, wish: 99, want: 14, reason: "ScaleUpLimit"},
		"disabled":                {up: rules(0, "Disabled", pods(4, 60)), current: 10, wish: 99, want: 10, reason: "ScaleUpLimit"},
		"what was added counts":   {up: rules(0, "Max", pods(4, 60)), added: 3, current: 10, wish: 99, want: 11, reason: "ScaleUpLimit"},
		"all was added":           {up: rules(0, "Max", pods(4, 60)), added: 9, current: 10, wish: 99, want: 10, reason: "ScaleUpLimit"},
		"before the period":       {up: rules(0, "Max", pods(4, 15)), added: 3, current: 10, wish: 99, want: 14, reason: "ScaleUpLimit"},
		"above the most":          {up: rules(0, "Max", percent(900, 60)), current: 10, wish: 99, want: 50, reason: "TooManyReplicas"},
		"down by pods":            {down: rules(0, "Max", pods(4, 60)), current: 10, wish: 1, want: 6, reason: "ScaleDownLimit"},
		"down by percent":         {down: rules(0, "Max", percent(15, 60)), current: 10, wish: 1, want: 8, reason: "ScaleDownLimit"},
		"down least of both":      {down: rules(0, "Min", pods(4, 60), percent(10, 60)), current: 10, wish: 1, want: 9, reason: "ScaleDownLimit"},
		"what was removed counts": {down: rules(0, "Max", pods(4, 60)), removed: 4, current: 10, wish: 1, want: 10, reason: "ScaleDownLimit"},
		"below the least":         {down: rules(0, "Max", percent(100, 60)), current: 10, wish: 1, want: 2, reason: "TooFewReplicas"},
		"as wished":               {up: rules(0, "Max", pods(4, 60)), current: 10, wish: 12, want: 12, reason: "DesiredWithinRange"},
	} {
		p := &past{}
		half := noon.Add(-30 * time.Second)
		if c.added > 0 {
			p.scaled(half, 0, c.added)
		}
		if c.removed > 0 {
			p.scaled(half, c.removed, 0)
		}
		b := &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: c.up, ScaleDown: c.down}
		if got := p.limitRate(noon, c.current, c.wish, bounds{2, 50}, b); got.replicas != c.want || got.reason != c.reason {
			t.Errorf("%s: %+v, want %d for %s", name, got, c.want, c.reason)
		}
	}
	if got := tolerances(&autoscalingv2.HorizontalPodAutoscaler{}, 0.1); got != (tolerance{0.1, 0.1}) {
		t.Errorf("tolerances are %+v", got)
	}
}
