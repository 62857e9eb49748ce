package replicaset

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/controller/engine"
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
		if !pods.Active(p) {
			continue
		}
		live = append(live, p)
		if at := pods.AvailableAt(p, set.Spec.MinReadySeconds); at.After(now) && (d.After == 0 || at.Sub(now) < d.After) {
			d.After = at.Sub(now)
		}
	}
	d.Diff = len(live) - int(wanted(set))
	switch {
	case set.DeletionTimestamp != nil:
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

// status returns the set's new status, and whether it is another one. failure is why pods could not be made or deleted; terminating says whether pods that go
// are counted.
func status(set *appsv1.ReplicaSet, claimed []*corev1.Pod, failure error, diff int, now time.Time, terminating bool) (appsv1.ReplicaSetStatus, bool) {
	st := *set.Status.DeepCopy()
	st.Replicas, st.FullyLabeledReplicas, st.ReadyReplicas, st.AvailableReplicas = 0, 0, 0, 0
	var going int32
	tmpl := labels.Set(set.Spec.Template.Labels).AsSelectorPreValidated()
	for _, p := range claimed {
		if p.DeletionTimestamp != nil {
			going++
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
	if st.TerminatingReplicas = nil; terminating {
		st.TerminatingReplicas = &going
	}
	st.ObservedGeneration = set.Generation
	st.Conditions = failureCondition(st.Conditions, failure, diff, now)
	return st, !reflect.DeepEqual(set.Status, st)
}

// failureCondition keeps the first failure as it was told until there is none.
func failureCondition(have []appsv1.ReplicaSetCondition, failure error, diff int, now time.Time) []appsv1.ReplicaSetCondition {
	i := slices.IndexFunc(have, func(c appsv1.ReplicaSetCondition) bool { return c.Type == appsv1.ReplicaSetReplicaFailure })
	switch {
	case failure == nil && i >= 0 && len(have) == 1:
		return nil
	case failure == nil && i >= 0:
		return slices.Delete(have, i, i+1)
	case failure == nil || i >= 0:
		return have
	}
	reason := "FailedCreate"
	if diff > 0 {
		reason = "FailedDelete"
	}
	return append(have, appsv1.ReplicaSetCondition{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: reason,
		Message: failure.Error(), LastTransitionTime: metav1.NewTime(now)})
}

// podFailure finds in the error of a plan's writes what upstream tells of: the API's first refusal to make or delete a pod. It is nil when the refused pods were
// to be made in a namespace that goes, and told is false when something else failed, of which a status says nothing.
func podFailure(err error) (failure error, told bool) {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // what errors.Join makes, which the engine says that it is
		list = joined.Unwrap()
	}
	for _, one := range list {
		var write *engine.WriteError
		switch {
		case !errors.As(one, &write) || write.Resource != pods.Resource() || write.Verb == "patch":
			return nil, false
		case apierrors.HasStatusCause(write.Err, corev1.NamespaceTerminatingCause):
		case write.Verb == "delete":
			return fmt.Errorf("unable to delete pods: %w", write.Err), true
		default:
			return write.Err, true
		}
	}
	return nil, true
}
