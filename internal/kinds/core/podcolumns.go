package core

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// podRowConditions lets readers pass over pods that have ended.
func podRowConditions(obj kinds.Object) []metav1.TableRowCondition {
	ended := func(reason corev1.PodPhase, message string) []metav1.TableRowCondition {
		return []metav1.TableRowCondition{{Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: string(reason), Message: message}}
	}
	switch phase := obj.(*corev1.Pod).Status.Phase; phase {
	case corev1.PodSucceeded:
		return ended(phase, "The pod has completed successfully.")
	case corev1.PodFailed:
		return ended(phase, "The pod failed.")
	}
	return nil
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
	if initReason, _ := initReason(p); initReason != "" {
		reason = initReason
	}
	if started(p) {
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

// initReason finds the first init container that is not done, and says which; without one the word is empty and the place their number.
func initReason(p *corev1.Pod) (string, int) {
	sidecars := sidecarNames(p)
	for i, s := range p.Status.InitContainerStatuses {
		t, w := s.State.Terminated, s.State.Waiting
		switch {
		case t != nil && t.ExitCode == 0, sidecars[s.Name] && s.Started != nil && *s.Started:
			continue
		case t != nil:
			return "Init:" + terminatedReason(t), i
		case w != nil && w.Reason != "" && w.Reason != "PodInitializing":
			return "Init:" + w.Reason, i
		}
		return fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers)), i
	}
	return "", len(p.Status.InitContainerStatuses)
}

// started says whether the containers of a pod count: its init containers are done, or were once.
func started(p *corev1.Pod) bool {
	reason, _ := initReason(p)
	return reason == "" || initialized(p)
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

// containerReason lets the first container that has something to say speak for the pod; of those that ended, one that failed.
func containerReason(p *corev1.Pod, reason string) string {
	running, failure := false, ""
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		s := p.Status.ContainerStatuses[i]
		switch t := s.State.Terminated; {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "":
			reason = s.State.Waiting.Reason
		case t != nil:
			reason = terminatedReason(t)
			if t.ExitCode != 0 {
				failure = reason
			}
		case s.Ready && s.State.Running != nil:
			running = true
		}
	}
	if reason != "Completed" {
		return reason
	}
	ready := conditionAt(p.Status.Conditions, corev1.PodReady)
	switch {
	case running && ready >= 0 && p.Status.Conditions[ready].Status == corev1.ConditionTrue:
		return "Running"
	case failure != "":
		return failure
	case running:
		return "NotReady"
	}
	return reason
}

// podReady counts what is ready, of containers and sidecars.
func podReady(p *corev1.Pod) string {
	sidecars := sidecarNames(p)
	ready, total := 0, len(p.Spec.Containers)+len(sidecars)
	_, reached := initReason(p)
	for _, s := range p.Status.InitContainerStatuses[:reached] {
		ended := s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
		if sidecars[s.Name] && !ended && s.Ready {
			ready++
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if started(p) && s.Ready && s.State.Running != nil {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, total)
}

// podRestarts counts restarts, and says when the last was. Init containers count until the containers do, sidecars always.
func podRestarts(env kinds.Env, p *corev1.Pod) string {
	sidecars, containers := sidecarNames(p), started(p)
	n, last := 0, time.Time{}
	count := func(s corev1.ContainerStatus) {
		n += int(s.RestartCount)
		if t := s.LastTerminationState.Terminated; t != nil && last.Before(t.FinishedAt.Time) {
			last = t.FinishedAt.Time
		}
	}
	_, reached := initReason(p)
	for i, s := range p.Status.InitContainerStatuses {
		if i <= reached && (!containers || sidecars[s.Name]) {
			count(s)
		}
	}
	if containers {
		for _, s := range p.Status.ContainerStatuses {
			count(s)
		}
	}
	if n == 0 || last.IsZero() {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d (%s ago)", n, kinds.Age(env, last))
}

func sidecarNames(pod *corev1.Pod) map[string]bool {
	out := map[string]bool{}
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			out[c.Name] = true
		}
	}
	return out
}
