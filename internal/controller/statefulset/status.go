package statefulset

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/floe-k8s/floe/internal/controller/pods"
)

// status tells what there was before the round, but that rolled pods of the current revision are going. It is nil when the set says so already. A new status
// has no conditions, as upstream's.
func (r *round) status(rolled int32) *appsv1.StatefulSetStatus {
	collisions := r.rev.collisions
	st := &appsv1.StatefulSetStatus{ObservedGeneration: r.Set.Generation, CurrentRevision: r.rev.current.Name, UpdateRevision: r.rev.update.Name, CollisionCount: &collisions}
	for _, p := range r.Pods {
		if _, ordinal := parent(p.Name); ordinal < 0 && r.Set.DeletionTimestamp == nil {
			continue
		}
		st.Replicas++
		if runs(p) {
			st.ReadyReplicas++
			if pods.Available(p, r.Set.Spec.MinReadySeconds, r.now) {
				st.AvailableReplicas++
			}
		}
		if p.DeletionTimestamp != nil {
			continue
		}
		if revisionOf(p) == r.rev.current.Name {
			st.CurrentReplicas++
		}
		if revisionOf(p) == r.rev.update.Name {
			st.UpdatedReplicas++
		}
	}
	st.CurrentReplicas -= rolled
	r.complete(st)
	if consistent(&r.Set.Status, st) {
		return nil
	}
	return st
}

// complete makes the update revision the current one when all replicas have it and are ready.
func (r *round) complete(st *appsv1.StatefulSetStatus) {
	n := wanted(r.Set)
	if r.Set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType && st.UpdatedReplicas == n && st.ReadyReplicas == n && st.Replicas == n {
		st.CurrentReplicas, st.CurrentRevision = st.UpdatedReplicas, st.UpdateRevision
	}
}

// consistent says that nothing is to be written: collisions are told with the next change.
func consistent(have, want *appsv1.StatefulSetStatus) bool {
	return want.ObservedGeneration <= have.ObservedGeneration && want.Replicas == have.Replicas && want.CurrentReplicas == have.CurrentReplicas &&
		want.ReadyReplicas == have.ReadyReplicas && want.UpdatedReplicas == have.UpdatedReplicas && want.CurrentRevision == have.CurrentRevision &&
		want.AvailableReplicas == have.AvailableReplicas && want.UpdateRevision == have.UpdateRevision
}

// nextAvailable is how long it takes until the next ready pod is available; 0: time alone makes none so.
func (r *round) nextAvailable() (least time.Duration) {
	for _, p := range r.Pods {
		at := pods.AvailableAt(p, r.Set.Spec.MinReadySeconds)
		if wait := at.Sub(r.now); !at.IsZero() && wait > 0 && (least == 0 || wait < least) {
			least = wait
		}
	}
	return least
}
