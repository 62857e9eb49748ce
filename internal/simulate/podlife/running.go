package podlife

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// running is what happens next to a container that runs: its start-up, its readiness, its end.
func (l *Life) running(in Input, c *container) (time.Time, func(time.Time)) {
	at, happen := l.natural(in, c)
	if told, ok := l.told(c); ok {
		stop, exit := stopping(in, c, told)
		if happen == nil || stop.Before(at) {
			return stop, func(at time.Time) {
				c.end(exit, "", at)
				l.release(c, at)
			}
		}
	}
	return at, happen
}

// told is since when a container is told to stop.
func (l *Life) told(c *container) (time.Time, bool) {
	switch {
	case !l.stopping.IsZero():
		return l.stopping, true
	case c.sidecar() && !l.sidecars.IsZero():
		return l.sidecars, true
	}
	return time.Time{}, false
}

// stopping is when a container that was told to stop has, and with what: by itself, or killed when the grace period is over.
func stopping(in Input, c *container, told time.Time) (time.Time, int32) {
	seconds := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if g := in.Pod.Spec.TerminationGracePeriodSeconds; g != nil {
		seconds = *g
	}
	if g := in.Pod.DeletionGracePeriodSeconds; g != nil {
		seconds = *g
	}
	grace := time.Duration(max(seconds, 0)) * time.Second
	takes := draw(in.Behaviour.Stop, in.Seed, c.spec.Name, c.restarts, "stop")
	if takes > grace {
		return told.Add(grace), exitKilled
	}
	return told.Add(takes), 0
}

// natural is what a container comes to by itself; nil: it stays as it is.
func (l *Life) natural(in Input, c *container) (at time.Time, happen func(time.Time)) {
	sooner := func(t time.Time, do func(time.Time)) {
		if happen == nil || t.Before(at) {
			at, happen = t, do
		}
	}
	if !c.started {
		sooner(c.since.Add(probed(c.spec.StartupProbe)), func(at time.Time) {
			c.started = true
			l.release(c, at)
		})
	} else if !c.ready && (!c.init || c.sidecar()) && (in.Behaviour.Outcome != NeverReady || c.init) {
		wait := max(draw(in.Behaviour.Ready, in.Seed, c.spec.Name, c.restarts, "ready"), probed(c.spec.ReadinessProbe), probed(c.spec.StartupProbe))
		sooner(c.since.Add(wait), func(time.Time) { c.ready = true })
	}
	if runs, exit, reason, ends := fate(in, c); ends {
		sooner(c.since.Add(runs), func(at time.Time) {
			if in.Behaviour.Outcome == Unhealthy && !c.init {
				l.tell(in, c, corev1.EventTypeNormal, "Killing", fmt.Sprintf("Container %s failed liveness probe, will be restarted", c.spec.Name))
			}
			c.end(exit, reason, at)
			l.release(c, at)
		})
	}
	return at, happen
}

// release lets what stands behind an init container wait from now on, not from the pod's begin.
func (l *Life) release(c *container, at time.Time) {
	if !c.init {
		return
	}
	for i := range l.containers {
		if next := &l.containers[i]; next.phase == waits && next.trouble == "" {
			next.since = at
		}
	}
}

// probed is how long a probe that always passes takes to do so.
func probed(p *corev1.Probe) time.Duration {
	if p == nil {
		return 0
	}
	return time.Duration(p.InitialDelaySeconds+p.PeriodSeconds*(max(p.SuccessThreshold, 1)-1)) * time.Second
}

// fate is how long an attempt runs and how it ends, if it does.
func fate(in Input, c *container) (takes time.Duration, exit int32, reason string, ends bool) {
	b := &in.Behaviour
	if c.sidecar() {
		return 0, 0, "", false
	}
	failed := max(b.ExitCode, exitFailed)
	if c.init {
		takes = draw(b.Init, in.Seed, c.spec.Name, c.restarts, "init")
		if b.Outcome == InitFails && c.spec == firstInit(in.Pod) && !b.enough(c.restarts) {
			return takes, failed, "", true
		}
		return takes, 0, "", true
	}
	if b.Run != nil {
		takes = draw(*b.Run, in.Seed, c.spec.Name, c.restarts, "run")
	}
	switch {
	case b.Outcome == Crashes && !b.enough(c.restarts):
		return takes, failed, "", true
	case b.Outcome == OutOfMemory && !b.enough(c.restarts):
		return takes, exitKilled, "OOMKilled", true
	case b.Outcome == Unhealthy && c.spec.LivenessProbe != nil && !b.enough(c.restarts):
		p := c.spec.LivenessProbe
		return max(takes, time.Duration(p.InitialDelaySeconds+p.PeriodSeconds*max(p.FailureThreshold, 1))*time.Second), exitKilled, "", true
	case b.Outcome == Crashes, b.Outcome == OutOfMemory, b.Outcome == Unhealthy:
		return 0, 0, "", ofJob(in.Pod)
	case b.Run != nil:
		return takes, b.ExitCode, "", true
	case ofJob(in.Pod):
		return 0, b.ExitCode, "", true
	}
	return 0, 0, "", false
}

// enough says that the attempts that fail are over.
func (b *Behaviour) enough(restarts int32) bool { return b.Failures > 0 && restarts >= b.Failures }

func firstInit(pod *corev1.Pod) *corev1.Container {
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			return c
		}
	}
	return nil
}

// ofJob says that a pod does one thing and ends.
func ofJob(pod *corev1.Pod) bool {
	for _, o := range pod.OwnerReferences {
		if o.Kind == "Job" {
			return true
		}
	}
	return false
}
