package podautoscaler

import (
	"errors"
	"fmt"
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	resourcehelpers "k8s.io/component-helpers/resource"

	"github.com/floe-k8s/floe/internal/controller/pods"
)

// sample is what a pod used.
type sample struct {
	value  int64 // in thousandths
	at     time.Time
	window time.Duration // over which it was measured, before at
}

// samples are by name of the pod.
type samples map[string]sample

// tolerance is how far from 1 a ratio may be without scaling.
type tolerance struct{ down, up float64 }

func (t tolerance) holds(ratio float64) bool { return 1-t.down <= ratio && ratio <= 1+t.up }

// tolerances are the autoscaler's own, where it has some.
func tolerances(h *autoscalingv2.HorizontalPodAutoscaler, usual float64) tolerance {
	t := tolerance{usual, usual}
	if b := h.Spec.Behavior; b != nil {
		if b.ScaleDown != nil && b.ScaleDown.Tolerance != nil {
			t.down = b.ScaleDown.Tolerance.AsApproximateFloat64()
		}
		if b.ScaleUp != nil && b.ScaleUp.Tolerance != nil {
			t.up = b.ScaleUp.Tolerance.AsApproximateFloat64()
		}
	}
	return t
}

// reading is what samples say together.
type reading struct {
	ratio       float64 // of what is used to what should be
	utilization int32   // percent of what is requested; of resources only
	average     int64   // of a pod, in thousandths
}

// errNoPods is why nothing is computed for a target without pods.
var errNoPods = errors.New("no pods returned by selector while calculating replica count")

// crowd is a target's pods as one metric of theirs is weighed.
type crowd struct {
	pods     []*corev1.Pod
	resource corev1.ResourceName // "" for a metric that is no resource
	now      time.Time
	settings *Settings
}

// groups are pods by what their samples are worth.
type groups struct {
	ready            int
	unready, missing []string
	ignored          []string // they end
}

func (c *crowd) group(seen samples) (g groups) {
	for _, p := range c.pods {
		s, found := seen[p.Name]
		switch {
		case p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed:
			g.ignored = append(g.ignored, p.Name)
		case p.Status.Phase == corev1.PodPending:
			g.unready = append(g.unready, p.Name)
		case !found:
			g.missing = append(g.missing, p.Name)
		case c.resource == corev1.ResourceCPU && c.starting(p, s):
			g.unready = append(g.unready, p.Name)
		default:
			g.ready++
		}
	}
	return g
}

// starting says whether what a pod used is of its start, which says nothing of what it will use.
func (c *crowd) starting(p *corev1.Pod, s sample) bool {
	ready := pods.Condition(p, corev1.PodReady)
	if ready == nil || p.Status.StartTime == nil {
		return true
	}
	began, turned := p.Status.StartTime.Time, ready.LastTransitionTime.Time
	if began.Add(c.settings.CPUInitialization).After(c.now) {
		return ready.Status == corev1.ConditionFalse || s.at.Before(turned.Add(s.window))
	}
	return ready.Status == corev1.ConditionFalse && began.Add(c.settings.ReadinessDelay).After(turned) // it was never ready
}

// weigh is how many replicas samples ask for beside those that there are, and what they say. read says what some samples, which are not all that were given, come
// to; busy is what is assumed of a pod without a sample when it may be busy.
func (c *crowd) weigh(current int32, seen samples, within tolerance, read func(samples) (reading, error), busy func(pod string) int64) (int32, reading, error) {
	if len(c.pods) == 0 {
		return 0, reading{}, errNoPods
	}
	g := c.group(seen)
	for _, name := range append(g.ignored, g.unready...) {
		delete(seen, name)
	}
	if len(seen) == 0 {
		return 0, reading{}, errors.New("did not receive metrics for targeted pods (pods might be unready)")
	}
	first, err := read(seen)
	if err != nil {
		return 0, reading{}, err
	}
	growing := first.ratio > 1
	if len(g.missing) == 0 && (len(g.unready) == 0 || !growing) {
		if within.holds(first.ratio) {
			return current, first, nil
		}
		return rounded(first.ratio * float64(g.ready)), first, nil
	}
	for _, name := range g.missing {
		switch {
		case growing:
			seen[name] = sample{}
		case first.ratio < 1:
			seen[name] = sample{value: busy(name)}
		}
	}
	if growing {
		for _, name := range g.unready {
			seen[name] = sample{}
		}
	}
	careful, err := read(seen)
	if err != nil {
		return 0, first, err
	}
	if within.holds(careful.ratio) || first.ratio < 1 && careful.ratio > 1 || growing && careful.ratio < 1 {
		return current, first, nil
	}
	want := rounded(careful.ratio * float64(len(seen)))
	if careful.ratio < 1 && want > current || careful.ratio > 1 && want < current {
		return current, first, nil // other pods than those that are counted would turn it round
	}
	return want, first, nil
}

// rounded is a number of replicas that is enough.
func rounded(n float64) int32 { return int32(min(math.Ceil(n), math.MaxInt32)) }

// plain weighs samples against what each pod should have, in thousandths.
func (c *crowd) plain(current int32, seen samples, goal int64, within tolerance) (int32, reading, error) {
	return c.weigh(current, seen, within, func(s samples) (reading, error) {
		var sum int64
		for _, v := range s {
			sum += v.value
		}
		average := sum / int64(len(s))
		return reading{ratio: float64(average) / float64(goal), average: average}, nil
	}, func(string) int64 { return goal })
}

// utilization weighs samples against percent of what the pods, or one container of each, request.
func (c *crowd) utilization(current int32, seen samples, percent int32, container string, within tolerance) (int32, reading, error) {
	var requests map[string]int64
	return c.weigh(current, seen, within, func(s samples) (reading, error) {
		if requests == nil {
			var err error
			if requests, err = requested(c.pods, container, c.resource); err != nil {
				return reading{}, err
			}
		}
		var used, asked, counted int64
		for name, v := range s {
			if request, ok := requests[name]; ok {
				used, asked, counted = used+v.value, asked+request, counted+1
			}
		}
		if asked == 0 {
			return reading{}, errors.New("no metrics returned matched known pods")
		}
		have := int32(used * 100 / asked)
		return reading{float64(have) / float64(percent), have, used / counted}, nil
	}, func(name string) int64 { return requests[name] * int64(max(100, percent)) / 100 })
}

// requested is what each pod asks for of a resource, in thousandths, or one container of it.
func requested(list []*corev1.Pod, container string, resource corev1.ResourceName) (map[string]int64, error) {
	all := make(map[string]int64, len(list))
	for _, p := range list {
		n, err := requestedBy(p, container, resource)
		if err != nil {
			return nil, err
		}
		all[p.Name] = n
	}
	return all, nil
}

func requestedBy(p *corev1.Pod, container string, resource corev1.ResourceName) (sum int64, err error) {
	if container == "" && resourcehelpers.IsPodLevelRequestsSet(p) {
		q, ok := resourcehelpers.PodRequests(p, resourcehelpers.PodResourcesOptions{})[resource]
		if !ok {
			return 0, fmt.Errorf("missing pod-level request for %s in Pod %s", resource, p.Name)
		}
		return q.MilliValue(), nil
	}
	found := container == ""
	for i := range lasting(p) {
		if container != "" && i.Name != container {
			continue
		}
		q, ok := i.Resources.Requests[resource]
		if !ok {
			return 0, fmt.Errorf("missing request for %s in container %s of Pod %s", resource, i.Name, p.Name)
		}
		found = true
		sum += q.MilliValue()
	}
	if !found {
		return 0, fmt.Errorf("container %s not found in Pod %s", container, p.Name)
	}
	return sum, nil
}

// lasting goes through the containers that run as long as the pod: its own, then its sidecars.
func lasting(p *corev1.Pod) func(yield func(*corev1.Container) bool) {
	return func(yield func(*corev1.Container) bool) {
		for i := range p.Spec.Containers {
			if !yield(&p.Spec.Containers[i]) {
				return
			}
		}
		for i := range p.Spec.InitContainers {
			c := &p.Spec.InitContainers[i]
			if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways && !yield(c) {
				return
			}
		}
	}
}

// whole weighs one value, which is not of pods, against what it should be.
func (c *crowd) whole(current int32, ratio float64, within tolerance) (int32, error) {
	if within.holds(ratio) {
		return current, nil
	}
	if len(c.pods) == 0 {
		return 0, fmt.Errorf("unable to calculate ready pods: %w", errNoPods)
	}
	ready := 0
	for _, p := range c.pods {
		if p.Status.Phase == corev1.PodRunning && pods.Ready(p) {
			ready++
		}
	}
	return rounded(ratio * float64(ready)), nil
}

// each weighs one value, which is not of pods, against what each replica should have of it; average is what each has.
func each(have int32, value, goal int64, within tolerance) (replicas int32, average int64) {
	if have == 0 {
		return rounded(float64(value) / float64(goal)), value
	}
	replicas = have
	if !within.holds(float64(value) / (float64(goal) * float64(have))) {
		replicas = rounded(float64(value) / float64(goal))
	}
	if value == math.MaxInt64 {
		return replicas, value
	}
	return replicas, int64(math.Ceil(float64(value) / float64(have)))
}
