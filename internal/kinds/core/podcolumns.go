package core

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/kinds"
)

func podColumns() []kinds.Column {
	cell := func(name, doc string, priority int32, f func(kinds.Env, *corev1.Pod) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Priority: priority, Cell: func(env kinds.Env, obj kinds.Object) any { return f(env, obj.(*corev1.Pod)) }}
	}
	status, spec := corev1.PodStatus{}.SwaggerDoc(), corev1.PodSpec{}.SwaggerDoc()
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Ready", "The aggregate readiness state of this pod for accepting traffic.", 0, func(_ kinds.Env, p *corev1.Pod) string { return podReady(p) }),
		cell("Status", "The aggregate status of the containers in this pod.", 0, func(_ kinds.Env, p *corev1.Pod) string { return podReason(p) }),
		cell("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.", 0, podRestarts),
		kinds.AgeColumn(),
		cell("IP", status["podIP"], 1, func(_ kinds.Env, p *corev1.Pod) string {
			if len(p.Status.PodIPs) > 0 {
				return p.Status.PodIPs[0].IP
			}
			return orNone(p.Status.PodIP)
		}),
		cell("Node", spec["nodeName"], 1, func(_ kinds.Env, p *corev1.Pod) string { return orNone(p.Spec.NodeName) }),
		cell("Nominated Node", status["nominatedNodeName"], 1, func(_ kinds.Env, p *corev1.Pod) string { return orNone(p.Status.NominatedNodeName) }),
		cell("Readiness Gates", spec["readinessGates"], 1, podGates),
	}
}

func orNone(s string) string {
	if s == "" {
		return noneShown
	}
	return s
}

func podGates(_ kinds.Env, p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return noneShown
	}
	held := 0
	for _, g := range p.Spec.ReadinessGates {
		if i := conditionAt(p.Status.Conditions, g.ConditionType); i >= 0 && p.Status.Conditions[i].Status == corev1.ConditionTrue {
			held++
		}
	}
	return fmt.Sprintf("%d/%d", held, len(p.Spec.ReadinessGates))
}

// podReason is the one word that says how a pod is, computed as upstream's printer does.
func podReason(p *corev1.Pod) string {
	reason := string(p.Status.Phase)
	if p.Status.Reason != "" {
		reason = p.Status.Reason
	}
	if i := conditionAt(p.Status.Conditions, corev1.PodScheduled); i >= 0 && p.Status.Conditions[i].Reason == corev1.PodReasonSchedulingGated {
		reason = corev1.PodReasonSchedulingGated
	}
	initReason, initializing := initReason(p)
	if initializing {
		reason = initReason
	}
	if !initializing || initialized(p) {
		reason = containerReason(p, reason)
	}
	if p.DeletionTimestamp != nil {
		switch {
		case p.Status.Reason == "NodeLost":
			return "Unknown"
		case p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed:
			return "Terminating"
		}
	}
	return reason
}

func initialized(p *corev1.Pod) bool {
	i := conditionAt(p.Status.Conditions, corev1.PodInitialized)
	return i >= 0 && p.Status.Conditions[i].Status == corev1.ConditionTrue
}

// initReason finds the first init container that is not done; false when all are.
func initReason(p *corev1.Pod) (string, bool) {
	sidecars := sidecarNames(p)
	for i, s := range p.Status.InitContainerStatuses {
		t, w := s.State.Terminated, s.State.Waiting
		switch {
		case t != nil && t.ExitCode == 0, sidecars[s.Name] && s.Started != nil && *s.Started:
			continue
		case t != nil:
			return "Init:" + terminatedReason(t), true
		case w != nil && w.Reason != "" && w.Reason != "PodInitializing":
			return "Init:" + w.Reason, true
		}
		return fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers)), true
	}
	return "", false
}

func terminatedReason(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

// containerReason lets the first container that has something to say speak for the pod.
func containerReason(p *corev1.Pod, reason string) string {
	running := false
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		s := p.Status.ContainerStatuses[i]
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "":
			reason = s.State.Waiting.Reason
		case s.State.Terminated != nil:
			reason = terminatedReason(s.State.Terminated)
		case s.Ready && s.State.Running != nil:
			running = true
		}
	}
	if reason == "Completed" && running {
		if i := conditionAt(p.Status.Conditions, corev1.PodReady); i >= 0 && p.Status.Conditions[i].Status == corev1.ConditionTrue {
			return "Running"
		}
		return "NotReady"
	}
	return reason
}

// podRestarts counts restarts, and says when the last was. While init containers are not done only theirs count.
func podRestarts(env kinds.Env, p *corev1.Pod) string {
	_, initializing := initReason(p)
	sidecars := sidecarNames(p)
	n, last := 0, time.Time{}
	count := func(s corev1.ContainerStatus) {
		n += int(s.RestartCount)
		if t := s.LastTerminationState.Terminated; t != nil && last.Before(t.FinishedAt.Time) {
			last = t.FinishedAt.Time
		}
	}
	for _, s := range p.Status.InitContainerStatuses {
		if initializing || sidecars[s.Name] {
			count(s)
		}
	}
	if !initializing || initialized(p) {
		for _, s := range p.Status.ContainerStatuses {
			count(s)
		}
	}
	if n == 0 || last.IsZero() {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d (%s ago)", n, kinds.Age(env, last))
}
