package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// unsupported is the plug-in that refuses pods whose rules this release lacks; nothing that happens makes it change its mind, but the pod's own update.
const unsupported = "floe.dev/Unsupported"

// verdict is what was decided about a pod: a node, or why there is none.
type verdict struct {
	node    string
	message string   // why no node will do
	plugins []string // that refused; none: there is no node
	err     error    // no decision could be made
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
	message := plan.Failure.Message("no new claims to deallocate, preemption: " + s.preemption(pod, profile.Policy, plan.Failure))
	return verdict{message: message, plugins: plan.Failure.Plugins}
}

// missing names the rules of pod that this release lacks.
func missing(pod *corev1.Pod) []string {
	var lacks []string
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			lacks = append(lacks, fmt.Sprintf("the volume claim of volume %q", v.Name))
		}
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		lacks = append(lacks, "spec.resourceClaims")
	}
	return lacks
}

// preemption is upstream's account of why it would not help.
func (s *Scheduler) preemption(pod *corev1.Pod, policy *place.Policy, f *place.Failure) string {
	if p := pod.Spec.PreemptionPolicy; p != nil && *p == corev1.PreemptNever {
		return "not eligible due to preemptionPolicy=Never."
	}
	counts := map[string]int{"Preemption is not helpful for scheduling": f.Nodes - f.Mendable}
	if trial, _, err := s.table.Try(pod, policy); f.Mendable > 0 && err == nil && trial != nil {
		for node := range trial.Candidates {
			if s.victims(node, schedulinghelpers.PodPriority(pod)) {
				counts["Preemption is missing in this release"]++
			} else {
				counts["No preemption victims found for incoming pod"]++
			}
		}
	}
	var parts []string
	for _, reason := range slices.Collect(maps.Keys(counts)) {
		if n := counts[reason]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, reason))
		}
	}
	slices.Sort(parts)
	return fmt.Sprintf("0/%d nodes are available: %s.", f.Nodes, strings.Join(parts, ", "))
}

// victims says whether a node has pods of less than priority.
func (s *Scheduler) victims(node string, priority int32) bool {
	for p := range s.table.PodsOn(node) {
		if p.Priority < priority {
			return true
		}
	}
	return false
}
