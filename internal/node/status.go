package node

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// runtimeScheme begins every container's id in a status.
const runtimeScheme = "floe://"

// Reasons and messages that kubelets give, which clients read.
const (
	reasonCreating      = "ContainerCreating"
	reasonInitializing  = "PodInitializing"
	reasonCrashLoop     = "CrashLoopBackOff"
	reasonUnsupported   = "UnsupportedPodFeature"
	reasonNotReady      = "ContainersNotReady"
	reasonUninitialized = "ContainersNotInitialized"
	reasonCompleted     = "PodCompleted"
	reasonPodFailed     = "PodFailed"
)

// statusOf is the status that is true of what is there and planned. What others own of the old status (who scheduled it) stays.
func statusOf(in input, p *plan) corev1.PodStatus {
	old := &in.pod.Status
	if (ended(in.pod) || in.pod.DeletionTimestamp != nil) && len(in.obs.containers) == 0 {
		return *old.DeepCopy() // refused, cleared up, or never begun: nothing more is known than was said
	}
	s := corev1.PodStatus{
		ObservedGeneration: in.pod.Generation, Message: old.Message, Reason: old.Reason, QOSClass: old.QOSClass,
		NominatedNodeName: old.NominatedNodeName, StartTime: old.StartTime, Phase: old.Phase,
	}
	if s.QOSClass == "" {
		s.QOSClass = podspec.QOSClass(&in.pod.Spec)
	}
	if s.StartTime == nil {
		now := metav1.NewTime(in.now).Rfc3339Copy()
		s.StartTime = &now
	}
	setAddresses(in, &s)
	for i := range in.pod.Spec.InitContainers {
		s.InitContainerStatuses = append(s.InitContainerStatuses, containerStatus(in, p, &in.pod.Spec.InitContainers[i], true))
	}
	for i := range in.pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, containerStatus(in, p, &in.pod.Spec.Containers[i], false))
	}
	if !ended(in.pod) { // the last word on a pod is never taken back
		s.Phase = phaseOf(in.pod, &s)
	}
	s.Conditions = conditionsOf(in, &s)
	return s
}

func setAddresses(in input, s *corev1.PodStatus) {
	for i, ip := range in.hostIPs {
		if i == 0 {
			s.HostIP = ip
		}
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
	}
	var own []string
	switch {
	case in.pod.Spec.HostNetwork:
		own = in.hostIPs
	case len(in.obs.sandboxes) > 0 && in.obs.sandboxes[0].ready:
		own = in.obs.sandboxes[0].addresses
	}
	for i, ip := range own {
		if i == 0 {
			s.PodIP = ip
		}
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
}

func containerStatus(in input, p *plan, spec *corev1.Container, init bool) corev1.ContainerStatus {
	last, before := in.obs.newest(spec.Name)
	no := false
	out := corev1.ContainerStatus{Name: spec.Name, Image: spec.Image, Started: &no}
	t := in.tries[spec.Name]
	if last == nil || last.state == created {
		out.State.Waiting = waiting(in, t, init)
		if last == nil {
			keepKnown(in, &out, init)
			return out
		}
	}
	out.ContainerID, out.ImageID, out.RestartCount = runtimeScheme+last.id, last.imageID, int32(last.attempt)
	switch last.state {
	case running:
		yes := true
		out.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(last.started).Rfc3339Copy()}
		out.Started, out.Ready = &yes, !init
	case exited:
		again := in.pod.DeletionTimestamp == nil && !ended(in.pod) && (restarts(in.pod.Spec.RestartPolicy, last) || init && last.exitCode != 0 && in.pod.Spec.RestartPolicy != corev1.RestartPolicyNever)
		out.Ready = init && last.exitCode == 0
		switch {
		case again && last.hash == hashOf(spec) && waits(in.now, last, t) && p.tries[spec.Name] == (try{}):
			out.State.Waiting = &corev1.ContainerStateWaiting{Reason: reasonCrashLoop, Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", t.delay, spec.Name, fullName(in.pod))}
			out.LastTerminationState.Terminated = terminated(last)
			return out
		case again && t.reason != "":
			out.State.Waiting = waiting(in, t, init)
			out.LastTerminationState.Terminated = terminated(last)
			return out
		}
		out.State.Terminated = terminated(last)
	}
	if before != nil && before.state == exited {
		out.LastTerminationState.Terminated = terminated(before)
	}
	return out
}

// keepKnown keeps what was said of a container that the runtime no longer has, such as an init container long done.
func keepKnown(in input, out *corev1.ContainerStatus, init bool) {
	known := in.pod.Status.ContainerStatuses
	if init {
		known = in.pod.Status.InitContainerStatuses
	}
	for _, k := range known {
		if k.Name == out.Name && k.State.Terminated != nil {
			*out = k
		}
	}
}

func fullName(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}

func waiting(in input, t try, init bool) *corev1.ContainerStateWaiting {
	switch {
	case t.reason != "":
		return &corev1.ContainerStateWaiting{Reason: t.reason, Message: t.message}
	case len(in.pod.Spec.InitContainers) > 0:
		return &corev1.ContainerStateWaiting{Reason: reasonInitializing}
	}
	return &corev1.ContainerStateWaiting{Reason: reasonCreating}
}

func terminated(c *container) *corev1.ContainerStateTerminated {
	out := &corev1.ContainerStateTerminated{
		ExitCode: c.exitCode, Reason: c.reason, Message: c.message, ContainerID: runtimeScheme + c.id,
		StartedAt: metav1.NewTime(c.started).Rfc3339Copy(), FinishedAt: metav1.NewTime(c.finished).Rfc3339Copy(),
	}
	if out.Reason == "" {
		if out.Reason = "Error"; c.exitCode == 0 {
			out.Reason = "Completed"
		}
	}
	return out
}

// phaseOf sums the containers up, as kubelets do.
func phaseOf(pod *corev1.Pod, s *corev1.PodStatus) corev1.PodPhase {
	policy := pod.Spec.RestartPolicy
	for _, c := range s.InitContainerStatuses {
		t := c.State.Terminated
		switch {
		case t != nil && t.ExitCode == 0:
		case t != nil && policy == corev1.RestartPolicyNever:
			return corev1.PodFailed
		default:
			return corev1.PodPending
		}
	}
	var waits, runs, stopped, well int
	final := pod.DeletionTimestamp != nil // nothing begins again, whatever the policy
	for _, c := range s.ContainerStatuses {
		last := c.LastTerminationState.Terminated
		switch {
		case c.State.Running != nil:
			runs++
		case c.State.Terminated != nil:
			stopped++
			if c.State.Terminated.ExitCode == 0 {
				well++
			}
		case last != nil:
			stopped++
		default:
			waits++
		}
	}
	switch {
	case waits > 0:
		return corev1.PodPending
	case runs > 0, policy == corev1.RestartPolicyAlways && !final:
		return corev1.PodRunning
	case stopped == well:
		return corev1.PodSucceeded
	case policy == corev1.RestartPolicyNever, final:
		return corev1.PodFailed
	}
	return corev1.PodRunning
}

// conditionsOf says how far the pod is. A condition's time changes with its status only; those of others stay.
func conditionsOf(in input, s *corev1.PodStatus) []corev1.PodCondition {
	var unready, uninitialized []string
	for _, c := range s.InitContainerStatuses {
		if c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 {
			uninitialized = append(uninitialized, c.Name)
		}
	}
	for _, c := range s.ContainerStatuses {
		if !c.Ready {
			unready = append(unready, c.Name)
		}
	}
	box := len(in.obs.sandboxes) > 0 && in.obs.sandboxes[0].ready
	reason, message := "", ""
	switch {
	case s.Phase == corev1.PodSucceeded:
		reason = reasonCompleted
	case s.Phase == corev1.PodFailed:
		reason = reasonPodFailed
	case len(unready) > 0:
		reason, message = reasonNotReady, fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	}
	init, incomplete := "", ""
	switch {
	case s.Phase == corev1.PodSucceeded:
		init = reasonCompleted
		uninitialized = nil
	case len(uninitialized) > 0:
		init, incomplete = reasonUninitialized, fmt.Sprintf("containers with incomplete status: [%s]", strings.Join(uninitialized, " "))
	}
	list := []corev1.PodCondition{
		condition(corev1.PodReadyToStartContainers, box, "", ""),
		condition(corev1.PodInitialized, len(uninitialized) == 0, init, incomplete),
		condition(corev1.PodReady, reason == "", reason, message),
		condition(corev1.ContainersReady, reason == "", reason, message),
	}
	for i := range list {
		list[i].ObservedGeneration = in.pod.Generation
		stamp(&list[i], in)
	}
	for _, c := range in.pod.Status.Conditions {
		if find(list, c.Type) == nil {
			list = append(list, c)
		}
	}
	return list
}

func condition(t corev1.PodConditionType, holds bool, reason, message string) corev1.PodCondition {
	c := corev1.PodCondition{Type: t, Status: corev1.ConditionFalse, Reason: reason, Message: message}
	if holds {
		c.Status = corev1.ConditionTrue
	}
	return c
}

func find(list []corev1.PodCondition, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range list {
		if list[i].Type == t {
			return &list[i]
		}
	}
	return nil
}

func stamp(c *corev1.PodCondition, in input) {
	if old := find(in.pod.Status.Conditions, c.Type); old != nil && old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
		return
	}
	c.LastTransitionTime = metav1.NewTime(in.now).Rfc3339Copy()
}

// rejected begins the message of a pod that is refused.
const rejected = "Pod was rejected: "

// refusedStatus is the end of a pod that asks for what is not to be had here.
func refusedStatus(in input, reason, why string) corev1.PodStatus {
	s := *in.pod.Status.DeepCopy()
	now := metav1.NewTime(in.now).Rfc3339Copy()
	s.Phase, s.Reason, s.StartTime, s.ObservedGeneration = corev1.PodFailed, reason, &now, in.pod.Generation
	s.Message = rejected + why
	return s
}
