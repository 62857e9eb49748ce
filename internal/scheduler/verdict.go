package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// decide finds a node for pod, or the condition that says why there is none.
func (s *Scheduler) decide(pod *corev1.Pod) (string, corev1.PodCondition) {
	unschedulable := func(message string) (string, corev1.PodCondition) {
		return "", corev1.PodCondition{Reason: corev1.PodReasonUnschedulable, Message: message}
	}
	if lacks := missing(pod); len(lacks) > 0 {
		return unschedulable("this release of floe cannot honour " + strings.Join(lacks, ", "))
	}
	plan, err := s.table.Decide(pod, s.policy, s.cfg.Rand, nil)
	switch {
	case err != nil:
		return "", corev1.PodCondition{Reason: corev1.PodReasonSchedulerError, Message: err.Error()}
	case plan.Node == "":
		return unschedulable(plan.Failure.Message("no new claims to deallocate, preemption: " + s.preemption(pod, plan.Failure)))
	}
	return plan.Node, corev1.PodCondition{}
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
func (s *Scheduler) preemption(pod *corev1.Pod, f *place.Failure) string {
	if p := pod.Spec.PreemptionPolicy; p != nil && *p == corev1.PreemptNever {
		return "not eligible due to preemptionPolicy=Never."
	}
	counts := map[string]int{"Preemption is not helpful for scheduling": f.Nodes - f.Mendable}
	if trial, _, err := s.table.Try(pod, s.policy); f.Mendable > 0 && err == nil && trial != nil {
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
