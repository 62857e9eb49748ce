package daemonset

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// limits are how many nodes may have a pod too many, and how many none that is available, of so many that are wanted. One of them is above 0 when any
// node is wanted.
func limits(set *appsv1.DaemonSet, desired int) (surge, down int, err error) {
	ru := set.Spec.UpdateStrategy.RollingUpdate
	if set.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || ru == nil {
		return 0, 1, nil
	}
	if ru.MaxUnavailable != nil {
		if down, err = intstr.GetScaledValueFromIntOrPercent(ru.MaxUnavailable, desired, true); err != nil {
			return 0, 0, fmt.Errorf("invalid value for MaxUnavailable: %w", err)
		}
	}
	if ru.MaxSurge != nil {
		if surge, err = intstr.GetScaledValueFromIntOrPercent(ru.MaxSurge, desired, true); err != nil {
			return 0, 0, fmt.Errorf("invalid value for MaxSurge: %w", err)
		}
	}
	if desired > 0 && surge == 0 && down == 0 {
		down = 1
	}
	return surge, down, nil
}

// surges says that a node may have two pods.
func surges(set *appsv1.DaemonSet) bool {
	ru := set.Spec.UpdateStrategy.RollingUpdate
	if set.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || ru == nil || ru.MaxSurge == nil {
		return false
	}
	surge, err := intstr.GetScaledValueFromIntOrPercent(ru.MaxSurge, 1, true)
	return err == nil && surge > 0
}

// pair are the new and the old pod of a node, those left out that are being deleted; false when there are several of either, which manage is to thin out.
func (r *round) pair(node string) (fresh, old *corev1.Pod, ok bool) {
	for _, p := range r.on[node] {
		switch updated := r.updated(p); {
		case p.DeletionTimestamp != nil:
		case updated && fresh == nil:
			fresh = p
		case !updated && old == nil:
			old = p
		default:
			return nil, nil, false
		}
	}
	return fresh, old, true
}

// replace rolls without a surge: it deletes old pods, those that are not available and of the others as many as down lets, and manage makes new ones.
func (r *round) replace(down int) {
	var missing int // nodes without an available pod
	var candidates []*corev1.Pod
	for _, node := range r.names {
		if len(r.on[node]) == 0 && !r.verdicts[node].wanted {
			continue
		}
		fresh, old, ok := r.pair(node)
		switch {
		case !ok || (fresh == nil) == (old == nil):
			missing++
		case fresh != nil:
			if !r.available(fresh) {
				missing++
			}
		case !r.available(old):
			r.delete(old)
			missing++
		default:
			candidates = append(candidates, old)
		}
	}
	for _, p := range candidates[:max(0, min(down-missing, len(candidates)))] {
		r.delete(p)
	}
}

// surge rolls with up to most nodes that have a new pod which is not available beside an old one that is. Old pods that are not available get
// their new one besides. Available pods on nodes that are no longer wanted go only when more are available than nodes are wanted.
func (r *round) surge(most int) {
	var surging, available int
	var candidates []string
	var unwanted []*corev1.Pod
	for _, node := range r.names {
		if len(r.on[node]) == 0 {
			continue
		}
		fresh, old, ok := r.pair(node)
		if !ok {
			surging++
			continue
		}
		if p := first(old, fresh); p != nil && r.available(p) {
			available++
		}
		v, there := r.verdicts[node]
		switch {
		case old == nil || !there: // what is on a node that is gone is podgc's
		case fresh != nil && !r.available(fresh):
			surging++
		case fresh != nil:
			r.delete(old)
		case !r.available(old) && !v.wanted:
			r.delete(old)
		case !r.available(old):
			r.dec.Create = append(r.dec.Create, node)
		case !v.wanted:
			unwanted = append(unwanted, old)
		default:
			candidates = append(candidates, node)
		}
	}
	for _, p := range unwanted[:max(0, min(available-r.desired, len(unwanted)))] {
		r.delete(p)
	}
	r.dec.Create = append(r.dec.Create, candidates[:max(0, min(most-surging, len(candidates)))]...)
}

// first is the first pod that there is.
func first(list ...*corev1.Pod) *corev1.Pod {
	for _, p := range list {
		if p != nil {
			return p
		}
	}
	return nil
}
