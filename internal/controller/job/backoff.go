package job

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/controller/pods"
)

// How long a pod is not made again after one failure, doubled with each more, and at most; and the least that is waited.
const (
	backoffFirst = 10 * time.Second
	backoffMost  = 10 * time.Minute
	backoffLeast = time.Second
)

// backoff is how long it still takes until a pod may follow so many failures, the last of which was then.
func backoff(failures int, last, now time.Time) time.Duration {
	if failures == 0 {
		return 0
	}
	wait := backoffFirst
	for i := 1; i < failures && wait < backoffMost; i++ {
		wait = min(2*wait, backoffMost)
	}
	return max(0, wait-now.Sub(last))
}

// failuresInARow counts the failed pods since one succeeded last, and says when the last of them failed. Those that were freed and are being deleted may
// be ones that were not needed any more, and are passed over.
func (r *round) failuresInARow() (failures int, last time.Time) {
	var succeeded time.Time
	for _, p := range r.pods {
		if p.Status.Phase == corev1.PodSucceeded && r.inRange(p) {
			if at := finished(p); at.After(succeeded) {
				succeeded = at
			}
		}
	}
	for _, p := range r.pods {
		if !failed(r.job, p) || !r.inRange(p) || p.DeletionTimestamp != nil && !tracked(p) {
			continue
		}
		if at := finished(p); at.After(succeeded) {
			failures++
			if at.After(last) {
				last = at
			}
		}
	}
	return failures, last
}

// finished is when a pod ended: its last container, or else when it ceased to be ready, or else when its deletion was asked for, or else when it was made.
func finished(p *corev1.Pod) time.Time {
	if at := containersEnded(p); !at.IsZero() {
		return at
	}
	if c := pods.Condition(p, corev1.PodReady); c != nil && c.Status == corev1.ConditionFalse && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	if p.DeletionTimestamp == nil {
		return p.CreationTimestamp.Time
	}
	var grace int64
	if p.DeletionGracePeriodSeconds != nil {
		grace = *p.DeletionGracePeriodSeconds
	}
	return p.DeletionTimestamp.Add(-time.Duration(grace) * time.Second)
}

// containersEnded is when the last of the containers and sidecars ended; zero when one has not, or does not say when.
func containersEnded(p *corev1.Pod) (last time.Time) {
	sidecar := func(name string) bool {
		return slices.ContainsFunc(p.Spec.InitContainers, func(c corev1.Container) bool {
			return c.Name == name && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		})
	}
	all := slices.Clone(p.Status.ContainerStatuses)
	for _, c := range p.Status.InitContainerStatuses {
		if sidecar(c.Name) {
			all = append(all, c)
		}
	}
	for _, c := range all {
		if c.State.Terminated == nil || c.State.Terminated.FinishedAt.IsZero() {
			return time.Time{}
		}
		if at := c.State.Terminated.FinishedAt.Time; at.After(last) {
			last = at
		}
	}
	return last
}
