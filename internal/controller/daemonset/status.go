package daemonset

import (
	"reflect"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/floe-k8s/floe/internal/controller/pods"
)

// status tells what there was before the round, of each node its eldest pod. It is nil when the set says so already.
func (r *round) status() *appsv1.DaemonSetStatus {
	have := &r.Set.Status
	st := &appsv1.DaemonSetStatus{ObservedGeneration: r.Set.Generation, CollisionCount: r.history.collisions, Conditions: have.Conditions,
		DesiredNumberScheduled: int32(r.desired)}
	for node, v := range r.verdicts {
		list := r.on[node]
		switch {
		case len(list) == 0:
			continue
		case !v.wanted:
			st.NumberMisscheduled++
			continue
		}
		st.CurrentNumberScheduled++
		p := list[0]
		if pods.Ready(p) {
			st.NumberReady++
			if r.available(p) {
				st.NumberAvailable++
			}
		}
		if r.updated(p) {
			st.UpdatedNumberScheduled++
		}
	}
	st.NumberUnavailable = st.DesiredNumberScheduled - st.NumberAvailable
	if reflect.DeepEqual(st, have) {
		return nil
	}
	return st
}
