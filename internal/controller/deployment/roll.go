package deployment

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
)

// resize sets a set's size and what it is a share of. One that has the size stays as it is.
func (r *rollout) resize(rs *appsv1.ReplicaSet, n int32) bool {
	if size(rs) == n {
		return false
	}
	r.share(rs, n)
	return true
}

// share is resize, but that it also says anew what an unchanged size is a share of.
func (r *rollout) share(rs *appsv1.ReplicaSet, n int32) {
	rs.Spec.Replicas = &n
	if rs.Annotations == nil {
		rs.Annotations = map[string]string{}
	}
	rs.Annotations[desiredKey] = strconv.Itoa(int(replicas(r.d)))
	rs.Annotations[maxKey] = strconv.Itoa(int(maxReplicas(r.d)))
}

// roll is a step of a rolling update: the new set grows, or the old ones shrink, or nothing is left to do.
func (r *rollout) roll() {
	r.rolling = true
	r.syncRevision(true)
	if !r.growNew() && !r.shrinkOld() && r.complete(&r.d.Status) {
		r.cleanUp()
	}
}

// recreate is a step of a rollout that has no two sets' pods at once.
func (r *rollout) recreate() {
	r.rolling = true
	r.syncRevision(false)
	if r.shrinkAll() || r.oldRunning() {
		r.dec.Waiting = "pods of old replica sets to end"
		return
	}
	if r.fresh == nil {
		r.syncRevision(true)
	}
	r.resize(r.fresh, replicas(r.d))
	if r.complete(&r.d.Status) {
		r.cleanUp()
	}
}

// newSize is how many replicas the new set may have now.
func (r *rollout) newSize() int32 {
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return replicas(r.d)
	}
	asked, _ := r.total()
	room := maxReplicas(r.d) - asked
	if room <= 0 {
		return size(r.fresh)
	}
	return size(r.fresh) + min(room, replicas(r.d)-size(r.fresh))
}

// growNew moves the new set towards its size and says whether it changed or was made with pods.
func (r *rollout) growNew() bool {
	n := replicas(r.d)
	if size(r.fresh) < n {
		n = r.newSize()
	}
	made := r.was[r.fresh.Name] == nil && size(r.fresh) > 0
	return r.resize(r.fresh, n) || made
}

// shrinkOld takes replicas from old sets: first those that are not available anyway, then available ones as far as enough remain. It says whether it took any.
// An old set whose status still counts pods that it was told to delete ends the round.
func (r *rollout) shrinkOld() (some bool) {
	asked, _ := r.total()
	_, unavailable := limits(r.d)
	least := replicas(r.d) - unavailable
	room := asked - least - (size(r.fresh) - staying(r.fresh))
	if room <= 0 {
		return false
	}
	old := slices.DeleteFunc(r.old(), func(rs *appsv1.ReplicaSet) bool { return size(rs) == 0 })
	for _, rs := range old {
		if room == 0 {
			break
		}
		n := min(room, size(rs)-rs.Status.AvailableReplicas)
		if n < 0 {
			return false
		}
		some = r.resize(rs, size(rs)-n) || some
		room -= n
	}
	room = -least
	for _, rs := range r.sets {
		room += staying(rs)
	}
	for _, rs := range old {
		if n := min(room, size(rs)); n > 0 {
			some = r.resize(rs, size(rs)-n) || some
			room -= n
		}
	}
	return some
}

// staying is how many of a set's available pods it does not have to delete. Upstream counts those that are about to go too, and takes too many from a
// set that becomes the new one again.
func staying(rs *appsv1.ReplicaSet) int32 { return min(size(rs), rs.Status.AvailableReplicas) }

// shrinkAll empties the old sets at once and says whether any had replicas.
func (r *rollout) shrinkAll() (some bool) {
	for _, rs := range r.old() {
		some = r.resize(rs, 0) || some
	}
	return some
}

// oldRunning says that pods of old sets have not ended, by what the sets or the pods say.
func (r *rollout) oldRunning() bool {
	return slices.ContainsFunc(r.old(), func(rs *appsv1.ReplicaSet) bool { return rs.Status.Replicas > 0 || r.in.Running[rs.Name] > 0 })
}

// resized says whether the deployment's size changed since the sets got theirs.
func (r *rollout) resized() bool {
	return slices.ContainsFunc(r.active(), func(rs *appsv1.ReplicaSet) bool {
		n, ok := number(rs, desiredKey)
		return ok && n >= 0 && n != int64(replicas(r.d))
	})
}

// scale spreads a new size: over the one active set, or over all in proportion.
func (r *rollout) scale() {
	active := r.active()
	if len(active) <= 1 {
		one := r.fresh
		if len(active) == 1 {
			one = active[0]
		} else if one == nil && len(r.sets) > 0 {
			one = r.sets[len(r.sets)-1]
		}
		if one != nil {
			r.resize(one, replicas(r.d))
		}
		return
	}
	switch {
	case r.saturated():
		r.shrinkAll()
	case r.d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType:
		r.proportion(active)
	}
}

// saturated says that the new set is all that the deployment wants.
func (r *rollout) saturated() bool {
	if r.fresh == nil {
		return false
	}
	desired, ok := number(r.fresh, desiredKey)
	n := replicas(r.d)
	return ok && desired == int64(n) && size(r.fresh) == n && r.fresh.Status.AvailableReplicas == n
}

// proportion adds or takes the difference to the allowed total, larger sets first, newer first when growing.
// What rounding leaves goes to the first.
func (r *rollout) proportion(active []*appsv1.ReplicaSet) {
	asked, _ := r.total()
	allowed := int32(0)
	if replicas(r.d) > 0 {
		allowed = maxReplicas(r.d)
	}
	add := allowed - asked
	slices.SortStableFunc(active, func(a, b *appsv1.ReplicaSet) int {
		if c := cmp.Compare(size(b), size(a)); c != 0 {
			return c
		}
		if add > 0 {
			return byAge(b, a)
		}
		return byAge(a, b)
	})
	sizes := make([]int32, len(active))
	left := add
	for i, rs := range active {
		more := r.part(rs, left)
		sizes[i] = size(rs) + more
		left -= more
	}
	sizes[0] = max(0, sizes[0]+left)
	for i, rs := range active {
		r.share(rs, sizes[i])
	}
}

// part is how many of those that are left to add, or to take when there are fewer than none, are a set's, by its share of what was allowed before.
func (r *rollout) part(rs *appsv1.ReplicaSet, left int32) int32 {
	if left == 0 {
		return 0
	}
	wish := -size(rs)
	if replicas(r.d) > 0 {
		base, ok := number(rs, maxKey)
		if !ok || base <= 0 {
			base = int64(r.d.Status.Replicas)
		}
		if base == 0 {
			return 0
		}
		wish += int32(math.Round(float64(size(rs)) * float64(maxReplicas(r.d)) / float64(base)))
	}
	if left > 0 {
		return min(wish, left)
	}
	return max(wish, left)
}
