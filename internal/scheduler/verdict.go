package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/preempt"
)

// unsupported is the plug-in that refuses pods whose rules this release lacks; nothing that happens makes it change its mind, but the pod's own update.
const unsupported = "floe.dev/Unsupported"

// What upstream's DynamicResources says of a pod without resource claims that fits nowhere, and of one that it was not asked about.
const (
	unclaimed = "no new claims to deallocate"
	unasked   = "not found"
)

// verdict is what was decided about a pod: a node, or why there is none.
type verdict struct {
	node    string
	message string   // why no node will do
	plugins []string // that refused; none: there is no node
	err     error    // no decision could be made, or it could not be carried out
	// nominate is the node that the pod is nominated to from now on, "" for none; nil: that stays as it is.
	nominate *string
	plan     preempt.Plan // with a Node: whom to put out there
}

// reason is that of the condition PodScheduled, and its message.
func (v verdict) reason() (reason, message string) {
	if v.err != nil {
		return corev1.PodReasonSchedulerError, v.err.Error()
	}
	return corev1.PodReasonUnschedulable, v.message
}

// decide finds a node for pod, or says why there is none.
func (s *Scheduler) decide(ctx context.Context, pod *corev1.Pod) verdict {
	profile := s.profiles[pod.Spec.SchedulerName]
	if profile == nil {
		return verdict{err: fmt.Errorf("profile not found for scheduler name %q", pod.Spec.SchedulerName)}
	}
	if lacks := missing(pod); len(lacks) > 0 {
		return verdict{message: "this release of floe cannot honour " + strings.Join(lacks, ", "), plugins: []string{unsupported}}
	}
	plan, err := s.table.Decide(pod, profile.Policy, s.cfg.Rand, s.extension(ctx, pod))
	switch {
	case err != nil:
		return verdict{err: err}
	case plan.Node != "":
		return verdict{node: plan.Node}
	case plan.Failure == nil:
		return verdict{err: errors.New("no node and no reason")}
	}
	return s.preempt(pod, profile, plan.Failure)
}

// missing names the rules of pod that this release lacks.
func missing(pod *corev1.Pod) []string {
	var lacks []string
	if len(pod.Spec.ResourceClaims) > 0 {
		lacks = append(lacks, "spec.resourceClaims")
	}
	return lacks
}

// preempt asks whom the pod may put out, and ends the message with upstream's account of that.
func (s *Scheduler) preempt(pod *corev1.Pod, profile *Profile, f *place.Failure) verdict {
	v := verdict{plugins: f.Plugins}
	var tail string
	switch {
	case f.Nodes == 0:
		v.nominate = new("")
	case f.Early():
		tail = unasked
	case !profile.Preemption:
		tail = unclaimed
	default:
		plan, err := s.preemptor.Preempt(pod, profile.Policy, f, nil)
		if err != nil {
			return verdict{err: err}
		}
		if v.plan = plan; plan.Node != "" {
			v.nominate = &plan.Node
			break
		}
		tail = preempt.Tail(unclaimed, plan.Message)
		if plan.Clear {
			v.nominate = new("")
		}
	}
	v.message = f.Message(tail)
	return v
}
