// Package pods is what controllers that stand over pods have in common: how far a pod has come, which is missed least, and how pods are made and deleted with
// the events that tell of it.
//
// # Vocabulary and laws
//
// A pod is active until it has ended or is being deleted; ready when its condition says so; available when it has been ready for long enough. Creations go in
// batches of 1, 2, 4, … so that a cluster that refuses them is asked little. All here is pure.
package pods

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
)

// Resource is pods.
func Resource() client.Resource { return corev1.SchemeGroupVersion.WithResource("pods") }

// Ended says that all of a pod's containers have ended for good.
func Ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// Stopped says that nothing of a pod runs and nothing will: it has ended, or is being deleted and none of its containers runs.
func Stopped(p *corev1.Pod) bool {
	s := &p.Status
	return Ended(p) || p.DeletionTimestamp != nil && !runs(s.InitContainerStatuses) && !runs(s.ContainerStatuses) && !runs(s.EphemeralContainerStatuses)
}

// runs says that a container may run: nothing says that it waits or has ended.
func runs(list []corev1.ContainerStatus) bool {
	return slices.ContainsFunc(list, func(c corev1.ContainerStatus) bool { return c.State.Terminated == nil && c.State.Waiting == nil })
}

// Active says that a pod has not ended and is not being deleted.
func Active(p *corev1.Pod) bool { return !Ended(p) && p.DeletionTimestamp == nil }

// Condition is a pod's condition of a type; nil when it has none.
func Condition(p *corev1.Pod, of corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == of })
	if i < 0 {
		return nil
	}
	return &p.Status.Conditions[i]
}

// ClaimOf is the name of the claim, of the pod's namespace, that a volume stands for; "": none.
func ClaimOf(p *corev1.Pod, v *corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return p.Name + "-" + v.Name
	}
	return ""
}

// Claims are the names of the claims that a pod's volumes stand for.
func Claims(p *corev1.Pod) (names []string) {
	for i := range p.Spec.Volumes {
		if name := ClaimOf(p, &p.Spec.Volumes[i]); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Ready says that a pod's condition Ready is true.
func Ready(p *corev1.Pod) bool { return readySince(p) != nil }

func readySince(p *corev1.Pod) *metav1.Time {
	c := Condition(p, corev1.PodReady)
	if c == nil || c.Status != corev1.ConditionTrue {
		return nil
	}
	return &c.LastTransitionTime
}

// AvailableAt is when a ready pod is, or became, available, that has to be ready for so many seconds; zero when it is not ready.
func AvailableAt(p *corev1.Pod, minReady int32) time.Time {
	since := readySince(p)
	switch {
	case since == nil || minReady > 0 && since.IsZero():
		return time.Time{}
	case minReady == 0:
		return time.Unix(1, 0)
	}
	return since.Add(time.Duration(minReady) * time.Second)
}

// Available says that a pod is available now.
func Available(p *corev1.Pod, minReady int32, now time.Time) bool {
	at := AvailableAt(p, minReady)
	return !at.IsZero() && !at.After(now)
}

// Rank sorts a copy of active pods, those to delete first: unassigned, pending, unknown, not ready, of lower deletion cost, on nodes with many peers, ready
// more shortly, restarted more, younger. Ages compare by their binary order of magnitude in nanoseconds, so that pods of nearly the same age are alike
// and chance (the UID) decides. peers are, by node, the active pods that count as such; nil: none.
func Rank(live []*corev1.Pod, peers map[string]int, now time.Time) []*corev1.Pod {
	sorted := slices.Clone(live)
	slices.SortStableFunc(sorted, func(a, b *corev1.Pod) int {
		if c := cmp.Or(
			cmp.Compare(stage(a), stage(b)),
			cmp.Compare(cost(a), cost(b)),
			cmp.Compare(peers[b.Spec.NodeName], peers[a.Spec.NodeName]),
		); c != 0 {
			return c
		}
		if ra, rb := readySince(a), readySince(b); ra != nil && rb != nil {
			if c := cmp.Compare(magnitude(*ra, now), magnitude(*rb, now)); c != 0 {
				return c
			}
		}
		return cmp.Or(
			cmp.Compare(restarts(b), restarts(a)),
			cmp.Compare(magnitude(a.CreationTimestamp, now), magnitude(b.CreationTimestamp, now)),
			cmp.Compare(a.UID, b.UID),
		)
	})
	return sorted
}

// Progress sorts a copy of active pods by how far they have come, those that have come least far first: unassigned, pending, unknown, not ready, ready more
// shortly, restarted more, younger. Times that are not known are the shortest. Unlike Rank it asks neither for deletion costs nor for peers.
func Progress(live []*corev1.Pod) []*corev1.Pod {
	sorted := slices.Clone(live)
	later := func(a, b metav1.Time) int {
		if a.IsZero() != b.IsZero() {
			if a.IsZero() {
				return -1
			}
			return 1
		}
		return b.Compare(a.Time)
	}
	slices.SortStableFunc(sorted, func(a, b *corev1.Pod) int {
		if c := cmp.Compare(stage(a), stage(b)); c != 0 {
			return c
		}
		if ra, rb := readySince(a), readySince(b); ra != nil && rb != nil {
			if c := later(*ra, *rb); c != 0 {
				return c
			}
		}
		return cmp.Or(cmp.Compare(restarts(b), restarts(a)), later(a.CreationTimestamp, b.CreationTimestamp), cmp.Compare(a.UID, b.UID))
	})
	return sorted
}

// stage orders pods by how far they have come.
func stage(p *corev1.Pod) int {
	switch {
	case p.Spec.NodeName == "":
		return 0
	case p.Status.Phase == corev1.PodPending || p.Status.Phase == "":
		return 1
	case p.Status.Phase == corev1.PodUnknown:
		return 2
	case !Ready(p):
		return 3
	}
	return 4
}

func cost(p *corev1.Pod) int64 {
	n, err := strconv.ParseInt(p.Annotations[corev1.PodDeletionCost], 10, 32)
	if err != nil {
		return 0 // absent, or invalid: as upstream treats both
	}
	return n
}

func restarts(p *corev1.Pod) int32 {
	var most int32
	for _, s := range p.Status.ContainerStatuses {
		most = max(most, s.RestartCount)
	}
	return most
}

func magnitude(t metav1.Time, now time.Time) int {
	if t.IsZero() {
		return -1
	}
	if age := now.Sub(t.Time); age > 0 {
		return int(math.Log2(float64(age)))
	}
	return 0
}
