package podlife

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	firstDelay = 10 * time.Second // upstream's back-off of failing containers and images
	mostDelay  = 5 * time.Minute
	forget     = 2 * mostDelay // a container that ran so long begins anew
	pullShown  = time.Second   // how long a failed pull is told as such, before the back-off is
)

// Input is what a pod's life rests on. Nothing in it is changed.
type Input struct {
	Pod       *corev1.Pod
	Behaviour Behaviour
	Seed      uint64   // the pod's own
	HostIPs   []string // the node's
	PodIPs    []string // the pod's; the node's own for a pod in its network
	// Events asks for what a kubelet would tell of it.
	Events bool
	Now    time.Time
}

// Event is something that a kubelet would tell of a pod. Container is "" when it is of the whole pod, else it is
// the field path of one, such as spec.containers{web}.
type Event struct {
	Type, Reason, Message, Container string
}

// phase is what a container does.
//
//	             pull                    exit
//	waits ──────────────► runs ───────────────────► exited ── restart policy, after a delay ──► runs
//	  │  ▲ delay           (started, then ready)
//	  └──┘ no image
type phase uint8

const (
	waits phase = iota
	runs
	exited
)

// container is one container's part of a life.
type container struct {
	spec *corev1.Container
	init bool

	phase    phase
	since    time.Time // of the phase
	restarts int32
	pulled   bool // its image is there
	trouble  string
	started  bool // its start-up probe passed
	ready    bool
	begun    time.Time // of the attempt that exited
	exit     int32
	reason   string // of the exit
	last     *corev1.ContainerStateTerminated
	delay    time.Duration // before the next attempt
	delayed  time.Time     // when delay was set
}

// sidecar says that a container restarts whatever happens, beside the others.
func (c *container) sidecar() bool {
	return c.init && c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// Life is what is remembered of a pod between two statuses. It belongs to its caller and is used by one goroutine.
type Life struct {
	containers []container // those of init first, in the pod's order
	accepted   time.Time   // when the node took the pod
	stopping   time.Time   // since when all is to stop; zero: it is not
	stopReason string      // why, when it is not because the pod is deleted
	message    string
	sidecars   time.Time // since when sidecars are to stop
	events     []Event
}

// Begin is the life of a pod that has just come to its node.
func Begin(pod *corev1.Pod, now time.Time) *Life {
	l := &Life{accepted: now}
	for i := range pod.Spec.InitContainers {
		l.containers = append(l.containers, container{spec: &pod.Spec.InitContainers[i], init: true, since: now})
	}
	for i := range pod.Spec.Containers {
		l.containers = append(l.containers, container{spec: &pod.Spec.Containers[i], since: now})
	}
	return l
}

// Ended says that a status is the last that a pod gets.
func Ended(s *corev1.PodStatus) bool {
	return s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed
}

// policy is the restart policy of a container: its own, or the pod's.
func policy(pod *corev1.Pod, c *container) corev1.RestartPolicy {
	switch {
	case c.spec.RestartPolicy != nil:
		return corev1.RestartPolicy(*c.spec.RestartPolicy)
	case c.init && pod.Spec.RestartPolicy == corev1.RestartPolicyAlways:
		return corev1.RestartPolicyOnFailure
	}
	return pod.Spec.RestartPolicy
}

// again says whether a container that has exited begins again.
func (l *Life) again(pod *corev1.Pod, c *container) bool {
	if !l.stopping.IsZero() || c.sidecar() && !l.sidecars.IsZero() {
		return false
	}
	switch policy(pod, c) {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return c.exit != 0
	}
	return true
}

// Recover makes a life from what a pod's status says, so that it goes on from there. ok is false for one that has not begun.
func Recover(pod *corev1.Pod, now time.Time) (l *Life, ok bool) {
	l = Begin(pod, now)
	if pod.Status.StartTime == nil {
		return l, false
	}
	l.accepted = pod.Status.StartTime.Time
	for i := range l.containers {
		c := &l.containers[i]
		list := pod.Status.ContainerStatuses
		if c.init {
			list = pod.Status.InitContainerStatuses
		}
		for j := range list {
			if list[j].Name == c.spec.Name {
				c.recover(&list[j], now)
			}
		}
	}
	return l, true
}

func (c *container) recover(s *corev1.ContainerStatus, now time.Time) {
	c.restarts, c.last = s.RestartCount, s.LastTerminationState.Terminated
	c.started, c.ready = s.Started != nil && *s.Started, s.Ready
	if c.restarts > 0 {
		c.delay = min(firstDelay<<min(c.restarts-1, 5), mostDelay)
		c.delayed = now
	}
	ended := s.State.Terminated
	if ended == nil && s.State.Waiting != nil && s.State.Waiting.Reason == reasonCrashLoop {
		ended, c.last = c.last, nil
	}
	switch {
	case s.State.Waiting != nil && (s.State.Waiting.Reason == reasonPullError || s.State.Waiting.Reason == reasonPullBackOff):
		c.trouble = s.State.Waiting.Reason
	case s.State.Running != nil:
		c.phase, c.since, c.pulled = runs, s.State.Running.StartedAt.Time, true
	case ended != nil:
		c.phase, c.pulled = exited, true
		c.begun, c.since, c.exit, c.reason = ended.StartedAt.Time, ended.FinishedAt.Time, ended.ExitCode, ended.Reason
	}
}

// Crash ends all containers that run, as the loss of their machine does; those that may begin again.
func (l *Life) Crash(pod *corev1.Pod, now time.Time) {
	for i := range l.containers {
		if c := &l.containers[i]; c.phase == runs {
			c.end(255, "Unknown", now)
		}
	}
	if l.stopping.IsZero() && pod.DeletionTimestamp != nil {
		l.stopping = now
	}
}

// Follow makes a life one of a newer version of its pod: what the containers are may have changed, not which there are.
func (l *Life) Follow(pod *corev1.Pod) {
	for i := range l.containers {
		c := &l.containers[i]
		if c.init {
			c.spec = &pod.Spec.InitContainers[i]
		} else {
			c.spec = &pod.Spec.Containers[i-len(pod.Spec.InitContainers)]
		}
	}
}
