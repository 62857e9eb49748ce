package podlife

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// conditions say how far the pod is. A condition's time changes with its status only; those of others stay.
func (l *Life) conditions(in Input, s *corev1.PodStatus) []corev1.PodCondition {
	box := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: truth(len(s.PodIPs) > 0 && !Ended(s))}
	containers := l.containersReady(s)
	ready := containers
	ready.Type = corev1.PodReady
	if ready.Status == corev1.ConditionTrue {
		if missing := gates(in.Pod); len(missing) > 0 {
			ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, reasonGates, strings.Join(missing, ", ")
		}
	}
	list := []corev1.PodCondition{box, l.initializedCondition(s), ready, containers}
	for i := range list {
		c := &list[i]
		c.ObservedGeneration = in.Pod.Generation
		c.LastTransitionTime = second(in.Now)
		if old := find(in.Pod.Status.Conditions, c.Type); old != nil && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	for _, c := range in.Pod.Status.Conditions {
		if find(list, c.Type) == nil {
			list = append(list, c)
		}
	}
	return list
}

func truth(holds bool) corev1.ConditionStatus {
	if holds {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

func (l *Life) containersReady(s *corev1.PodStatus) corev1.PodCondition {
	out := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse}
	switch s.Phase {
	case corev1.PodSucceeded:
		out.Reason = reasonCompleted
		return out
	case corev1.PodFailed:
		out.Reason = reasonFailed
		return out
	}
	var unready []string
	for i := range l.containers {
		if c := &l.containers[i]; (!c.init || c.sidecar()) && (c.phase != runs || !c.ready) {
			unready = append(unready, c.spec.Name)
		}
	}
	if len(unready) > 0 {
		out.Reason, out.Message = reasonNotReady, fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
		return out
	}
	out.Status = corev1.ConditionTrue
	return out
}

func (l *Life) initializedCondition(s *corev1.PodStatus) corev1.PodCondition {
	out := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	var incomplete []string
	for i := range l.containers {
		c := &l.containers[i]
		if !c.init && (c.phase != waits || c.restarts > 0) {
			incomplete = nil // it has begun, so the others were done
			break
		}
		if c.init && !c.passed() {
			incomplete = append(incomplete, c.spec.Name)
		}
	}
	switch {
	case s.Phase == corev1.PodSucceeded:
		out.Reason = reasonCompleted
	case len(incomplete) > 0:
		out.Status, out.Reason = corev1.ConditionFalse, reasonUninitialized
		out.Message = fmt.Sprintf("containers with incomplete status: [%s]", strings.Join(incomplete, " "))
	}
	return out
}

// gates are what the pod's readiness gates still lack.
func gates(pod *corev1.Pod) (missing []string) {
	for _, g := range pod.Spec.ReadinessGates {
		switch c := find(pod.Status.Conditions, g.ConditionType); {
		case c == nil:
			missing = append(missing, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", string(g.ConditionType)))
		case c.Status != corev1.ConditionTrue:
			missing = append(missing, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", string(g.ConditionType), c.Status))
		}
	}
	return missing
}

func find(list []corev1.PodCondition, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range list {
		if list[i].Type == t {
			return &list[i]
		}
	}
	return nil
}
