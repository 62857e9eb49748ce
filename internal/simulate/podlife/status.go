package podlife

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// runtimeScheme begins every container's id in a status.
const runtimeScheme = "simulated://"

// Reasons that kubelets give, which clients read.
const (
	reasonCreating      = "ContainerCreating"
	reasonInitializing  = "PodInitializing"
	reasonCrashLoop     = "CrashLoopBackOff"
	reasonPullError     = "ErrImagePull"
	reasonPullBackOff   = "ImagePullBackOff"
	reasonNotReady      = "ContainersNotReady"
	reasonUninitialized = "ContainersNotInitialized"
	reasonGates         = "ReadinessGatesNotReady"
	reasonCompleted     = "PodCompleted"
	reasonFailed        = "PodFailed"
	reasonDeadline      = "DeadlineExceeded"
	reasonUnknown       = "ContainerStatusUnknown"
)

func quoted(s string) string { return strconv.Quote(s) }

func noImage(image string) string {
	return fmt.Sprintf("failed to pull and unpack image %s: the simulation has no such image", quoted(image))
}

// status is what is true of a life. What others own of the old status, such as who scheduled the pod, stays.
func (l *Life) status(in Input) corev1.PodStatus {
	old := &in.Pod.Status
	s := corev1.PodStatus{
		ObservedGeneration: in.Pod.Generation, Message: old.Message, Reason: old.Reason, QOSClass: old.QOSClass, NominatedNodeName: old.NominatedNodeName,
		StartTime: old.StartTime, Phase: old.Phase, ResourceClaimStatuses: old.ResourceClaimStatuses, ExtendedResourceClaimStatus: old.ExtendedResourceClaimStatus,
		EphemeralContainerStatuses: old.EphemeralContainerStatuses, AllocatedResources: old.AllocatedResources, Resources: old.Resources,
	}
	if s.QOSClass == "" {
		s.QOSClass = podspec.QOSClass(&in.Pod.Spec)
	}
	if s.StartTime == nil {
		at := second(l.accepted)
		s.StartTime = &at
	}
	if l.stopReason != "" {
		s.Reason, s.Message = l.stopReason, l.message
	}
	addresses(in, &s)
	final := (!l.stopping.IsZero() || Ended(old)) && l.stopped()
	for i := range l.containers {
		c := &l.containers[i]
		if c.init {
			s.InitContainerStatuses = append(s.InitContainerStatuses, l.containerStatus(in, c, final))
		} else {
			s.ContainerStatuses = append(s.ContainerStatuses, l.containerStatus(in, c, final))
		}
	}
	if !Ended(old) { // the last word on a pod is never taken back
		s.Phase = l.phase(in.Pod, final)
	}
	s.Conditions = l.conditions(in, &s)
	return s
}

// second is a time as statuses hold it.
func second(t time.Time) metav1.Time { return metav1.NewTime(t).Rfc3339Copy() }

func addresses(in Input, s *corev1.PodStatus) {
	for i, ip := range in.HostIPs {
		if i == 0 {
			s.HostIP = ip
		}
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
	}
	for i, ip := range in.PodIPs {
		if i == 0 {
			s.PodIP = ip
		}
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
}

// containerStatus is one container's. final says that nothing of the pod runs any more nor ever will.
func (l *Life) containerStatus(in Input, c *container, final bool) corev1.ContainerStatus {
	started := c.started && c.phase == runs
	s := corev1.ContainerStatus{Name: c.spec.Name, Image: c.spec.Image, RestartCount: c.restarts, Ready: c.ready && c.phase == runs, Started: &started}
	s.LastTerminationState.Terminated = c.last
	if c.pulled {
		s.ImageID, s.ContainerID = imageID(c.spec.Image), containerID(in.Pod, c)
	}
	switch c.phase {
	case waits:
		l.waitingState(in, c, &s, final)
	case runs:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: second(c.since)}
		if len(c.spec.Resources.Requests)+len(c.spec.Resources.Limits) > 0 {
			s.Resources, s.AllocatedResources = c.spec.Resources.DeepCopy(), c.spec.Resources.Requests
		}
	case exited:
		if c.init && !c.sidecar() {
			s.Ready = c.exit == 0
		}
		if delay := c.wait(c.since); delay > 0 && !final && l.again(in.Pod, c) {
			s.State.Waiting = &corev1.ContainerStateWaiting{Reason: reasonCrashLoop, Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
				delay, c.spec.Name, in.Pod.Name, in.Pod.Namespace, in.Pod.UID)}
			s.LastTerminationState.Terminated = c.ended(in.Pod)
			break
		}
		s.State.Terminated = c.ended(in.Pod)
	}
	return s
}

// waitingState is that of a container that has not begun, and what is said of it when it never will.
func (l *Life) waitingState(in Input, c *container, s *corev1.ContainerStatus, final bool) {
	switch {
	case final && !c.init && l.initialized():
		s.State.Terminated = &corev1.ContainerStateTerminated{Reason: reasonUnknown, ExitCode: exitKilled, Message: "The container could not be located when the pod was terminated"}
	case c.trouble == reasonPullError:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: c.trouble, Message: noImage(c.spec.Image)}
	case c.trouble == reasonPullBackOff:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: c.trouble, Message: "Back-off pulling image " + quoted(c.spec.Image) + ": ErrImagePull: " + noImage(c.spec.Image)}
	case len(in.Pod.Spec.InitContainers) > 0:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: reasonInitializing}
	default:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: reasonCreating}
	}
}

func (c *container) ended(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ExitCode: c.exit, Reason: c.reason, StartedAt: second(c.begun), FinishedAt: second(c.since), ContainerID: containerID(pod, c)}
}

// containerID is made of what tells one attempt from another, so that it is the same whoever asks.
func containerID(pod *corev1.Pod, c *container) string {
	sum := sha256.Sum256([]byte(string(pod.UID) + "/" + c.spec.Name + "/" + strconv.Itoa(int(c.restarts))))
	return runtimeScheme + hex.EncodeToString(sum[:])
}

// imageID names the image by a digest: the one it is asked by, or one made of its name.
func imageID(image string) string {
	if strings.Contains(image, "@sha256:") {
		return image
	}
	name := image
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		name = image[:i]
	}
	sum := sha256.Sum256([]byte(image))
	return name + "@sha256:" + hex.EncodeToString(sum[:])
}

// phase sums the containers up, as kubelets do. Sidecars hold a pod in Running until they have stopped.
func (l *Life) phase(pod *corev1.Pod, final bool) corev1.PodPhase {
	var waiting, running, well, ended, open int
	for i := range l.containers {
		c := &l.containers[i]
		switch {
		case c.sidecar():
			if c.phase == runs {
				running++
			}
		case c.init && (c.passed() || final):
		case c.init:
			if c.phase != exited || l.again(pod, c) {
				return corev1.PodPending
			}
			if l.stopped() {
				return corev1.PodFailed
			}
			return corev1.PodPending
		case c.phase == runs:
			running++
		case c.phase == waits:
			waiting++
		default:
			ended++
			if c.exit == 0 {
				well++
			}
			if l.again(pod, c) {
				open++
			}
		}
	}
	switch {
	case final && waiting == 0 && well == ended && l.stopReason == "":
		return corev1.PodSucceeded
	case final:
		return corev1.PodFailed
	case waiting > 0:
		return corev1.PodPending
	case running > 0, open > 0:
		return corev1.PodRunning
	case well == ended:
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}
