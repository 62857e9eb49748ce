package deployment

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/floe-k8s/floe/internal/controller/revision"
)

// Annotations that carry a rollout's state.
const (
	revisionKey = "deployment.kubernetes.io/revision"
	desiredKey  = "deployment.kubernetes.io/desired-replicas"
	maxKey      = "deployment.kubernetes.io/max-replicas"
)

// Input is what a decision rests on. Running counts the pods that have not ended, by set name.
type Input struct {
	Deployment *appsv1.Deployment
	Sets       []*appsv1.ReplicaSet
	Running    map[string]int
}

// Decision is what to write. All objects in it are new copies.
type Decision struct {
	Create   *appsv1.ReplicaSet
	Update   []*appsv1.ReplicaSet
	Delete   []*appsv1.ReplicaSet
	Scaled   []Scaling
	Revision string                   // for the deployment's annotation; "" leaves it
	Status   *appsv1.DeploymentStatus // nil: unchanged
	After    time.Duration            // look again then; 0: on a change only
	Waiting  string
	now      time.Time
}

// Scaling tells of one set that got another size.
type Scaling struct {
	Set      string
	From, To int32
}

// String is the event's message.
func (s Scaling) String() string {
	way := "up"
	if s.To < s.From {
		way = "down"
	}
	return fmt.Sprintf("Scaled %s replica set %s from %d to %d", way, s.Set, s.From, s.To)
}

// rollout is one decision in the making. sets are private copies, oldest first; fresh is one of them, or nil.
type rollout struct {
	in    Input
	d     *appsv1.Deployment
	sets  []*appsv1.ReplicaSet
	was   map[string]*appsv1.ReplicaSet
	fresh *appsv1.ReplicaSet
	dec   Decision
	note  *appsv1.DeploymentCondition // Progressing, as finding or making the new set changed it
}

// Decide is the core.
func Decide(in Input, now time.Time) Decision {
	r := &rollout{in: in, d: in.Deployment, was: map[string]*appsv1.ReplicaSet{}}
	r.dec.now = now
	for _, rs := range in.Sets {
		r.sets = append(r.sets, rs.DeepCopy())
		r.was[rs.Name] = rs
	}
	slices.SortStableFunc(r.sets, byAge)
	for _, rs := range r.sets {
		if sameTemplate(&rs.Spec.Template, &r.d.Spec.Template) {
			r.fresh = rs
			break
		}
	}
	if r.d.DeletionTimestamp == nil {
		r.decide()
		r.collect()
	}
	r.status()
	return r.dec
}

func (r *rollout) decide() {
	switch {
	case r.d.Spec.Paused, r.resized():
		r.syncRevision(false)
		r.scale()
		if r.d.Spec.Paused {
			r.cleanUp()
		}
	case r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		r.syncRevision(false)
		if r.shrinkAll() || r.oldRunning() {
			r.dec.Waiting = "pods of old replica sets to end"
			return
		}
		r.syncRevision(true)
		r.resize(r.fresh, replicas(r.d))
	default:
		r.syncRevision(true)
		if !r.growNew() {
			r.shrinkOld()
		}
	}
	if r.complete(&r.d.Status) {
		r.cleanUp()
	}
}

func byAge(a, b *appsv1.ReplicaSet) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	return cmp.Compare(a.Name, b.Name)
}

func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(a, b)
}

func replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

func size(rs *appsv1.ReplicaSet) int32 {
	if rs == nil {
		return 0
	}
	if rs.Spec.Replicas == nil {
		return 1
	}
	return *rs.Spec.Replicas
}

// limits returns surge and unavailable: surge rounds up, unavailable down, and never both are 0.
func limits(d *appsv1.Deployment) (surge, unavailable int32) {
	ru := d.Spec.Strategy.RollingUpdate
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || replicas(d) == 0 {
		return 0, 0
	}
	quarter := intstr.FromString("25%")
	s, u := &quarter, &quarter
	if ru != nil && ru.MaxSurge != nil {
		s = ru.MaxSurge
	}
	if ru != nil && ru.MaxUnavailable != nil {
		u = ru.MaxUnavailable
	}
	n := int(replicas(d))
	sv, serr := intstr.GetScaledValueFromIntOrPercent(s, n, true)
	uv, uerr := intstr.GetScaledValueFromIntOrPercent(u, n, false)
	if serr != nil || uerr != nil || (sv == 0 && uv == 0) {
		uv = 1
	}
	return int32(sv), min(int32(uv), replicas(d))
}

func maxReplicas(d *appsv1.Deployment) int32 {
	surge, _ := limits(d)
	return replicas(d) + surge
}

func number(rs *appsv1.ReplicaSet, key string) (int64, bool) {
	n, err := strconv.ParseInt(rs.Annotations[key], 10, 64)
	return n, err == nil
}

// syncRevision gives the new set, made if need be and create allows, the highest revision and the deployment's annotations.
func (r *rollout) syncRevision(create bool) {
	var last int64
	for _, rs := range r.old() {
		n, _ := number(rs, revisionKey)
		last = max(last, n)
	}
	revision := strconv.FormatInt(last+1, 10)
	if r.fresh == nil {
		if !create {
			return
		}
		r.make(revision)
	}
	have, ok := number(r.fresh, revisionKey)
	if ok && have >= last+1 {
		revision = strconv.FormatInt(have, 10)
	}
	r.annotate(r.fresh, revision)
	r.fresh.Spec.MinReadySeconds = r.d.Spec.MinReadySeconds
	r.dec.Revision = revision
	if r.note == nil && hasDeadline(r.d) && findCondition(&r.d.Status, appsv1.DeploymentProgressing) == nil {
		c := condition(appsv1.DeploymentProgressing, corev1.ConditionTrue, "FoundNewReplicaSet", fmt.Sprintf("Found new replica set %q", r.fresh.Name), metav1.NewTime(r.dec.now))
		r.note = &c
	}
}

func (r *rollout) annotate(rs *appsv1.ReplicaSet, revision string) {
	if rs.Annotations == nil {
		rs.Annotations = map[string]string{}
	}
	maps.Copy(rs.Annotations, inherited(r.d))
	rs.Annotations[revisionKey] = revision
}

// make plans the new set, already at the size that the strategy allows at first.
func (r *rollout) make(number string) {
	t := r.d.Spec.Template.DeepCopy()
	hash := revision.TemplateHash(&r.d.Spec.Template, r.d.Status.CollisionCount)
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	t.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	sel := r.d.Spec.Selector.DeepCopy()
	if sel.MatchLabels == nil {
		sel.MatchLabels = map[string]string{}
	}
	sel.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	n := int32(0)
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.d.Namespace, Name: r.d.Name + "-" + hash, Labels: maps.Clone(t.Labels),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(r.d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}},
		Spec: appsv1.ReplicaSetSpec{Replicas: &n, MinReadySeconds: r.d.Spec.MinReadySeconds, Selector: sel, Template: *t},
	}
	r.annotate(rs, number)
	r.sets = append(r.sets, rs)
	r.fresh = rs
	r.resize(rs, r.newSize())
	if hasDeadline(r.d) {
		c := condition(appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetCreated", fmt.Sprintf("Created new replica set %q", rs.Name), metav1.NewTime(r.dec.now))
		r.note = &c
	}
}

func (r *rollout) old() []*appsv1.ReplicaSet {
	return slices.DeleteFunc(slices.Clone(r.sets), func(rs *appsv1.ReplicaSet) bool { return rs == r.fresh })
}

// resize sets rs's size and what it is a share of.
func (r *rollout) resize(rs *appsv1.ReplicaSet, n int32) {
	rs.Spec.Replicas = &n
	if rs.Annotations == nil {
		rs.Annotations = map[string]string{}
	}
	rs.Annotations[desiredKey] = strconv.Itoa(int(replicas(r.d)))
	rs.Annotations[maxKey] = strconv.Itoa(int(maxReplicas(r.d)))
}

func (r *rollout) total() (asked, available int32) {
	for _, rs := range r.sets {
		asked += size(rs)
		available += rs.Status.AvailableReplicas
	}
	return asked, available
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

// growNew moves the new set towards its size and says whether it changed.
func (r *rollout) growNew() bool {
	n := replicas(r.d)
	if size(r.fresh) <= n {
		n = r.newSize()
	}
	before, existed := r.was[r.fresh.Name]
	r.resize(r.fresh, n)
	return !existed || size(before) != n
}

// shrinkOld takes replicas from old sets: first those that are not available anyway, then available ones as far
// as enough remain.
func (r *rollout) shrinkOld() {
	asked, _ := r.total()
	_, unavailable := limits(r.d)
	least := replicas(r.d) - unavailable
	room := asked - least - (size(r.fresh) - r.fresh.Status.AvailableReplicas)
	if room <= 0 {
		return
	}
	for _, rs := range r.old() {
		n := min(room, size(rs)-rs.Status.AvailableReplicas)
		if n > 0 {
			r.resize(rs, size(rs)-n)
			room -= n
		}
	}
	_, available := r.total()
	room = available - least
	for _, rs := range r.old() {
		if n := min(room, size(rs)); n > 0 {
			r.resize(rs, size(rs)-n)
			room -= n
		}
	}
}

// shrinkAll empties the old sets at once and says whether any had replicas.
func (r *rollout) shrinkAll() bool {
	any := false
	for _, rs := range r.old() {
		if size(rs) > 0 {
			r.resize(rs, 0)
			any = true
		}
	}
	return any
}

func (r *rollout) oldRunning() bool {
	for _, rs := range r.old() {
		if r.in.Running[rs.Name] > 0 {
			return true
		}
	}
	return false
}

// resized says whether the deployment's size changed since the sets got theirs.
func (r *rollout) resized() bool {
	for _, rs := range r.sets {
		if n, ok := number(rs, desiredKey); ok && size(rs) > 0 && n != int64(replicas(r.d)) {
			return true
		}
	}
	return false
}

// scale spreads a new size: over the one active set, or over all in proportion.
func (r *rollout) scale() {
	var active []*appsv1.ReplicaSet
	for _, rs := range r.sets {
		if size(rs) > 0 {
			active = append(active, rs)
		}
	}
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
	if f := r.fresh; f != nil && size(f) == replicas(r.d) && f.Status.AvailableReplicas == size(f) {
		r.shrinkAll()
		return
	}
	if r.d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		r.proportion(active)
	}
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
	var added int32
	for i, rs := range active {
		sizes[i] = size(rs)
		if add != 0 {
			share := r.share(rs, add, added, allowed)
			sizes[i] += share
			added += share
		}
	}
	sizes[0] = max(0, sizes[0]+add-added)
	for i, rs := range active {
		r.resize(rs, sizes[i])
	}
}

func (r *rollout) share(rs *appsv1.ReplicaSet, add, added, allowed int32) int32 {
	base, ok := number(rs, maxKey)
	if !ok || base == 0 {
		base = int64(r.d.Status.Replicas)
	}
	share := -size(rs)
	if replicas(r.d) > 0 && base > 0 {
		share = int32(math.Round(float64(size(rs))*float64(allowed)/float64(base))) - size(rs)
	}
	if add > 0 {
		return min(share, add-added)
	}
	return max(share, add-added)
}

// cleanUp plans to delete the oldest empty sets above the history limit.
func (r *rollout) cleanUp() {
	limit := r.d.Spec.RevisionHistoryLimit
	if limit == nil || *limit == math.MaxInt32 {
		return
	}
	old := slices.DeleteFunc(r.old(), func(rs *appsv1.ReplicaSet) bool { return rs.DeletionTimestamp != nil })
	slices.SortStableFunc(old, func(a, b *appsv1.ReplicaSet) int {
		x, _ := number(a, revisionKey)
		y, _ := number(b, revisionKey)
		return cmp.Compare(x, y)
	})
	for _, rs := range old[:max(0, len(old)-int(*limit))] {
		if rs.Status.Replicas == 0 && size(rs) == 0 && rs.Generation <= rs.Status.ObservedGeneration {
			r.dec.Delete = append(r.dec.Delete, rs)
		}
	}
}

// collect compares the working copies with what was and fills the decision.
func (r *rollout) collect() {
	for _, rs := range r.sets {
		was := r.was[rs.Name]
		if size(was) != size(rs) {
			r.dec.Scaled = append(r.dec.Scaled, Scaling{rs.Name, size(was), size(rs)})
		}
		switch {
		case was == nil:
			r.dec.Create = rs
		case slices.Contains(r.dec.Delete, rs):
		case !equality.Semantic.DeepEqual(was, rs):
			r.dec.Update = append(r.dec.Update, rs)
		}
	}
}
