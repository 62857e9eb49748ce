package podlife

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Exit codes that have a meaning of their own.
const (
	exitKilled = 137 // by SIGKILL: out of memory, or out of grace
	exitFailed = 1
)

// Step brings a life to in.Now: all that is due happens, each at its own time. status is what is true then. next is when something happens again;
// zero: nothing does by itself. done says that a pod that is being deleted has stopped, so that it may go.
func (l *Life) Step(in Input) (status corev1.PodStatus, next time.Time, done bool) {
	l.events = l.events[:0]
	if Ended(&in.Pod.Status) && in.Pod.DeletionTimestamp == nil {
		return in.Pod.Status, time.Time{}, false
	}
	l.orders(in)
	for {
		c, at, happen := l.soonest(in)
		if c == nil {
			break
		}
		if at.After(in.Now) {
			next = at
			break
		}
		happen(at)
		l.orders(in)
	}
	if deadline, ok := l.deadline(in.Pod); ok && l.stopping.IsZero() && (next.IsZero() || deadline.Before(next)) {
		next = deadline
	}
	l.bound()
	return l.status(in), next, in.Pod.DeletionTimestamp != nil && l.stopped()
}

// Events are what the last Step has to tell, in order. They are valid until the next one.
func (l *Life) Events() []Event { return l.events }

const mostEvents = 64

// bound keeps what a step that covers a long time would tell to what a person could read.
func (l *Life) bound() {
	if len(l.events) > mostEvents {
		l.events = l.events[len(l.events)-mostEvents:]
	}
}

// orders notes what the pod as a whole is told: to stop, because it is deleted or has run too long, or sidecars alone.
func (l *Life) orders(in Input) {
	if l.stopping.IsZero() {
		deadline, ok := l.deadline(in.Pod)
		switch {
		case in.Pod.DeletionTimestamp != nil:
			l.stopping = in.Now
			l.kill(in)
		case ok && !deadline.After(in.Now):
			l.stopping, l.stopReason = deadline, reasonDeadline
			l.message = "Pod was active on the node longer than the specified deadline"
			l.kill(in)
		}
	}
	if !l.sidecars.IsZero() {
		return
	}
	var last time.Time
	for i := range l.containers {
		c := &l.containers[i]
		final := c.phase == exited && !l.again(in.Pod, c)
		switch {
		case c.init && final && !c.passed() && !c.sidecar():
			l.sidecars = c.since
			return
		case c.init:
			continue
		case !final:
			return
		}
		if c.since.After(last) {
			last = c.since
		}
	}
	l.sidecars = last
}

func (l *Life) kill(in Input) {
	for i := range l.containers {
		if c := &l.containers[i]; c.phase == runs {
			l.tell(in, c, corev1.EventTypeNormal, "Killing", "Stopping container "+c.spec.Name)
		}
	}
}

func (l *Life) tell(in Input, c *container, kind, reason, message string) {
	if !in.Events {
		return
	}
	path := "spec.containers{"
	if c.init {
		path = "spec.initContainers{"
	}
	l.events = append(l.events, Event{Type: kind, Reason: reason, Message: message, Container: path + c.spec.Name + "}"})
}

func (l *Life) deadline(pod *corev1.Pod) (time.Time, bool) {
	if pod.Spec.ActiveDeadlineSeconds == nil {
		return time.Time{}, false
	}
	return l.accepted.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second), true
}

// stopped says that no container runs.
func (l *Life) stopped() bool {
	for i := range l.containers {
		if l.containers[i].phase == runs {
			return false
		}
	}
	return true
}

// initialized says that the init containers let the others begin.
func (l *Life) initialized() bool {
	for i := range l.containers {
		if c := &l.containers[i]; c.init && !c.passed() {
			return false
		}
	}
	return true
}

// passed says that an init container lets the next one begin.
func (c *container) passed() bool {
	if c.sidecar() {
		return c.started
	}
	return c.phase == exited && c.exit == 0
}

// soonest is the container to which something happens next, and what.
func (l *Life) soonest(in Input) (found *container, at time.Time, happen func(time.Time)) {
	open := true // what stands before lets this one begin
	for i := range l.containers {
		c := &l.containers[i]
		if !c.init && c.phase != runs && !l.initialized() {
			continue
		}
		if due, do := l.due(in, c, open); do != nil && (found == nil || due.Before(at)) {
			found, at, happen = c, due, do
		}
		if c.init && !c.passed() {
			open = false
		}
	}
	return found, at, happen
}

// due is when something happens to a container, and what; nil: nothing does. open says that it may begin.
func (l *Life) due(in Input, c *container, open bool) (time.Time, func(time.Time)) {
	if c.phase == runs {
		return l.running(in, c)
	}
	if !l.stopping.IsZero() || !open || c.sidecar() && !l.sidecars.IsZero() {
		return time.Time{}, nil
	}
	if c.phase == exited {
		if !l.again(in.Pod, c) {
			return time.Time{}, nil
		}
		at := c.since.Add(c.wait(c.since) + draw(in.Behaviour.Start, in.Seed, c.spec.Name, c.restarts+1, "start"))
		return at, func(at time.Time) { l.restart(in, c, at) }
	}
	return l.waiting(in, c)
}

// waiting is what comes of a container that has not begun.
func (l *Life) waiting(in Input, c *container) (time.Time, func(time.Time)) {
	pull := draw(in.Behaviour.Pull, in.Seed, c.spec.Name, 0, "pull")
	switch {
	case in.Behaviour.Outcome == NoImage && !c.init && c.trouble == "":
		return c.since.Add(pull), func(at time.Time) {
			c.trouble, c.since = reasonPullError, at
			l.tell(in, c, corev1.EventTypeWarning, "Failed", "Failed to pull image "+quoted(c.spec.Image)+": "+noImage(c.spec.Image))
		}
	case c.trouble == reasonPullError:
		return c.since.Add(pullShown), func(at time.Time) {
			c.trouble, c.since = reasonPullBackOff, at
			l.tell(in, c, corev1.EventTypeNormal, "BackOff", "Back-off pulling image "+quoted(c.spec.Image))
		}
	case c.trouble == reasonPullBackOff && in.Behaviour.Outcome == NoImage:
		return time.Time{}, nil // every further pull fails, and shows nothing new
	}
	at := c.since.Add(pull + draw(in.Behaviour.Start, in.Seed, c.spec.Name, 0, "start"))
	return at, func(at time.Time) {
		l.tell(in, c, corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Successfully pulled image %s in %v (%v including waiting).", quoted(c.spec.Image), pull, pull))
		l.begin(in, c, at)
	}
}

func (l *Life) begin(in Input, c *container, at time.Time) {
	c.phase, c.since, c.pulled, c.trouble, c.started, c.ready = runs, at, true, "", false, false
	l.tell(in, c, corev1.EventTypeNormal, "Created", "Container created")
	l.tell(in, c, corev1.EventTypeNormal, "Started", "Container started")
}

// restart begins the next attempt, and says how long the one after it will wait.
func (l *Life) restart(in Input, c *container, at time.Time) {
	delay := firstDelay
	if c.delay > 0 && at.Sub(c.delayed) <= forget {
		delay = min(2*c.delay, mostDelay)
	}
	c.last, c.delay, c.delayed = c.ended(in.Pod), delay, at
	c.restarts++
	l.begin(in, c, at)
}

// wait is how long a container that ended at a time waits for its next attempt.
func (c *container) wait(ended time.Time) time.Duration {
	if c.delay == 0 || ended.Sub(c.delayed) > forget {
		return 0
	}
	return c.delay
}

func (c *container) end(exit int32, reason string, at time.Time) {
	c.begun, c.phase, c.since, c.exit, c.reason, c.ready = c.since, exited, at, exit, reason, false
	if !c.sidecar() {
		c.started = false
	}
	if c.reason == "" {
		if c.reason = "Error"; exit == 0 {
			c.reason = "Completed"
		}
	}
}
