package scheduler

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/scheduler/claims"
	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/preempt"
)

// verdict is what was decided about a pod: a node, or why there is none.
type verdict struct {
	node    string
	message string   // why no node will do
	plugins []string // that refused; none: there is no node
	err     error    // no decision could be made, or it could not be carried out
	// nominate is the node that the pod is nominated to from now on, "" for none; nil: that stays as it is.
	nominate *string
	plan     preempt.Plan   // with a Node: whom to put out there
	release  claims.Release // which claim is to give its devices back before the pod waits
	failure  *place.Failure // why no node will do
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
	plan, err := s.table.Decide(pod, profile.Policy, s.cfg.Rand, s.extension(ctx, pod))
	switch {
	case err != nil:
		return verdict{err: err}
	case plan.Node != "":
		return verdict{node: plan.Node}
	case plan.Failure == nil:
		return verdict{err: errors.New("no node and no reason")}
	}
	return s.preempt(ctx, pod, profile, plan.Failure)
}

// preempt asks what may help the pod: devices that a claim gives back, and whom it may put out. The message ends with upstream's account of that.
func (s *Scheduler) preempt(ctx context.Context, pod *corev1.Pod, profile *Profile, f *place.Failure) verdict {
	v := verdict{plugins: f.Plugins, failure: f}
	if f.Nodes == 0 {
		v.nominate, v.message = new(""), f.Message("")
		return v
	}
	if profile.Releases {
		var err error
		if v.release, err = profile.Devices.Release(pod, profile.Policy, f); err != nil {
			return verdict{err: err}
		}
	}
	tail := v.release.Message
	if profile.Preemption && !v.release.Final {
		s.metrics.preemptions.Inc()
		plan, err := s.preemptor.Preempt(pod, profile.Policy, f, s.preemption(ctx, pod))
		if err != nil {
			return verdict{err: err}
		}
		if plan.Failed { // then that is all that is said
			tail = ""
		}
		tail = preempt.Tail(tail, plan.Message)
		if v.plan = plan; plan.Node != "" {
			v.nominate, tail = &plan.Node, ""
		} else if plan.Clear {
			v.nominate = new("")
		}
	}
	v.message = f.Message(tail)
	return v
}
