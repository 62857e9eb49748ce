package replicaset

import (
	"reflect"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/controller/pods"
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
		if pods.Active(p) {
			live = append(live, p)
		}
		if at := pods.AvailableAt(p, set.Spec.MinReadySeconds); !at.IsZero() && at.After(now) && (d.After == 0 || at.Sub(now) < d.After) {
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
		d.Delete = pods.Rank(live, peers, now)[:min(d.Diff, burst)]
	}
	return d
}

func wanted(set *appsv1.ReplicaSet) int32 {
	if set.Spec.Replicas == nil {
		return 1
	}
	return *set.Spec.Replicas
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
		if pods.Ready(p) {
			st.ReadyReplicas++
			if pods.Available(p, set.Spec.MinReadySeconds, now) {
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
