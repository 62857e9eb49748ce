package replicaset

import (
	"cmp"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// burst bounds how many pods one round makes or deletes, as upstream's.
const burst = 500

// Decision is what to do about a set's pods now.
type Decision struct {
	Create int           // pods to make
	Delete []*corev1.Pod // pods to delete, the least missed first
	Diff   int           // active pods minus wanted ones, before
	After  time.Duration // when the next pod becomes available, 0: none will by time alone
}

// Decide is the core: claimed are the set's pods, peers the active pods per node that count for the ranking.
func Decide(set *appsv1.ReplicaSet, claimed []*corev1.Pod, peers map[string]int, now time.Time) Decision {
	var d Decision
	var live []*corev1.Pod
	for _, p := range claimed {
		if active(p) {
			live = append(live, p)
		}
		if at := availableAt(p, set.Spec.MinReadySeconds); !at.IsZero() && at.After(now) && (d.After == 0 || at.Sub(now) < d.After) {
			d.After = at.Sub(now)
		}
	}
	if set.DeletionTimestamp != nil {
		return d
	}
	d.Diff = len(live) - int(wanted(set))
	switch {
	case d.Diff < 0:
		d.Create = min(-d.Diff, burst)
	case d.Diff > 0:
		d.Delete = rank(live, peers, now)[:min(d.Diff, burst)]
	}
	return d
}

func wanted(set *appsv1.ReplicaSet) int32 {
	if set.Spec.Replicas == nil {
		return 1
	}
	return *set.Spec.Replicas
}

func active(p *corev1.Pod) bool {
	return p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed && p.DeletionTimestamp == nil
}

func readyCondition(p *corev1.Pod) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// availableAt is when p is or was available; zero when it is not ready.
func availableAt(p *corev1.Pod, minReady int32) time.Time {
	c := readyCondition(p)
	if c == nil || (minReady > 0 && c.LastTransitionTime.IsZero()) {
		return time.Time{}
	}
	if minReady == 0 {
		return time.Unix(1, 0)
	}
	return c.LastTransitionTime.Add(time.Duration(minReady) * time.Second)
}

// rank sorts pods, those to delete first: unassigned, pending, unknown, not ready, of lower deletion cost, on
// crowded nodes, ready more shortly, restarted more, younger. Ages compare by their binary order of magnitude in
// nanoseconds, so that pods of nearly the same age are alike and chance (the UID) decides.
func rank(live []*corev1.Pod, peers map[string]int, now time.Time) []*corev1.Pod {
	sorted := slices.Clone(live)
	slices.SortStableFunc(sorted, func(a, b *corev1.Pod) int {
		if c := cmp.Compare(stage(a), stage(b)); c != 0 {
			return c
		}
		if c := cmp.Compare(cost(a), cost(b)); c != 0 {
			return c
		}
		if c := cmp.Compare(peers[b.Spec.NodeName], peers[a.Spec.NodeName]); c != 0 {
			return c
		}
		if ra, rb := readyCondition(a), readyCondition(b); ra != nil && rb != nil {
			if c := cmp.Compare(magnitude(ra.LastTransitionTime, now), magnitude(rb.LastTransitionTime, now)); c != 0 {
				return c
			}
		}
		if c := cmp.Compare(restarts(b), restarts(a)); c != 0 {
			return c
		}
		if c := cmp.Compare(magnitude(a.CreationTimestamp, now), magnitude(b.CreationTimestamp, now)); c != 0 {
			return c
		}
		return cmp.Compare(a.UID, b.UID)
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
	case readyCondition(p) == nil:
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

// status returns a copy of set with its new status, or nil when nothing changed. failure is why pods could not be made
// or deleted.
func status(set *appsv1.ReplicaSet, claimed []*corev1.Pod, failure error, diff int, now time.Time) *appsv1.ReplicaSet {
	next := set.DeepCopy()
	st := &next.Status
	st.Replicas, st.FullyLabeledReplicas, st.ReadyReplicas, st.AvailableReplicas = 0, 0, 0, 0
	var terminating int32
	tmpl := labels.Set(set.Spec.Template.Labels).AsSelectorPreValidated()
	for _, p := range claimed {
		if p.DeletionTimestamp != nil {
			terminating++
			continue
		}
		st.Replicas++
		if tmpl.Matches(labels.Set(p.Labels)) {
			st.FullyLabeledReplicas++
		}
		if at := availableAt(p, set.Spec.MinReadySeconds); readyCondition(p) != nil {
			st.ReadyReplicas++
			if !at.IsZero() && !at.After(now) {
				st.AvailableReplicas++
			}
		}
	}
	st.TerminatingReplicas = &terminating
	st.ObservedGeneration = set.Generation
	st.Conditions = failureCondition(st.Conditions, failure, diff, now)
	if reflect.DeepEqual(set.Status, *st) {
		return nil
	}
	next.ResourceVersion = "" // the status has one writer: no conflict to find
	return next
}

func failureCondition(have []appsv1.ReplicaSetCondition, failure error, diff int, now time.Time) []appsv1.ReplicaSetCondition {
	i := slices.IndexFunc(have, func(c appsv1.ReplicaSetCondition) bool { return c.Type == appsv1.ReplicaSetReplicaFailure })
	if failure == nil {
		if i < 0 {
			return have
		}
		return slices.Delete(have, i, i+1)
	}
	if i >= 0 {
		return have
	}
	reason := "FailedCreate"
	if diff > 0 {
		reason = "FailedDelete"
	}
	return append(have, appsv1.ReplicaSetCondition{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: reason,
		Message: failure.Error(), LastTransitionTime: metav1.NewTime(now)})
}
