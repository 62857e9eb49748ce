package deployment

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/floe-k8s/floe/internal/controller/engine"
)

// Annotations that carry a rollout's state.
const (
	revisionKey = "deployment.kubernetes.io/revision"
	historyKey  = "deployment.kubernetes.io/revision-history"
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
	Return   *appsv1.Deployment // to a former template; then nothing of the status is written
	Events   []engine.Event     // About is left to the shell
	Revision string             // for the deployment's annotation; "" leaves it
	Status   *appsv1.DeploymentStatus
	After    time.Duration // look again then; 0: on a change only
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
	in      Input
	d       *appsv1.Deployment // a private copy, whose conditions say already what was noted
	sets    []*appsv1.ReplicaSet
	was     map[string]*appsv1.ReplicaSet
	fresh   *appsv1.ReplicaSet
	dec     Decision
	rolling bool // the decision is about a rollout: its progress is told
}

// Decide is the core.
func Decide(in Input, now time.Time) Decision {
	r := &rollout{in: in, d: in.Deployment.DeepCopy(), was: map[string]*appsv1.ReplicaSet{}}
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
	r.decide()
	r.collect()
	if r.dec.Return == nil {
		r.status()
	}
	return r.dec
}

func (r *rollout) decide() {
	if r.d.DeletionTimestamp != nil {
		r.syncRevision(false)
		return
	}
	r.pausing()
	to, back := rollbackTo(r.d)
	switch {
	case !r.d.Spec.Paused && back:
		r.syncRevision(true)
		r.rollBack(to)
	case r.d.Spec.Paused, r.resized():
		r.syncRevision(false)
		r.scale()
		if r.d.Spec.Paused && !back {
			r.cleanUp()
		}
	case r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		r.recreate()
	default:
		r.roll()
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

// limits returns surge and unavailable: surge rounds up, unavailable down, and of a deployment with pods never both are 0.
func limits(d *appsv1.Deployment) (surge, unavailable int32) {
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return 0, 0
	}
	quarter := intstr.FromString("25%")
	s, u := &quarter, &quarter
	if ru := d.Spec.Strategy.RollingUpdate; ru != nil {
		s, u = intstr.ValueOrDefault(ru.MaxSurge, quarter), intstr.ValueOrDefault(ru.MaxUnavailable, quarter)
	}
	n := int(replicas(d))
	sv, serr := intstr.GetScaledValueFromIntOrPercent(s, n, true)
	uv, uerr := intstr.GetScaledValueFromIntOrPercent(u, n, false)
	if serr != nil || uerr != nil {
		sv, uv = 0, 0 // nothing that validation lets in
	}
	if sv == 0 && uv == 0 {
		uv = 1
	}
	return int32(sv), min(int32(uv), replicas(d))
}

func maxReplicas(d *appsv1.Deployment) int32 {
	surge, _ := limits(d)
	return replicas(d) + surge
}

// number reads an annotation that is a number of replicas or a revision.
func number(rs *appsv1.ReplicaSet, key string) (int64, bool) {
	n, err := strconv.ParseInt(rs.Annotations[key], 10, 64)
	return n, err == nil
}

func (r *rollout) old() []*appsv1.ReplicaSet {
	return slices.DeleteFunc(slices.Clone(r.sets), func(rs *appsv1.ReplicaSet) bool { return rs == r.fresh })
}

// active are the sets that are to have pods, oldest first.
func (r *rollout) active() []*appsv1.ReplicaSet {
	return slices.DeleteFunc(slices.Clone(r.sets), func(rs *appsv1.ReplicaSet) bool { return size(rs) == 0 })
}

func (r *rollout) total() (asked, available int32) {
	for _, rs := range r.sets {
		asked += size(rs)
		available += rs.Status.AvailableReplicas
	}
	return asked, available
}

// collect compares the working copies with what was and fills the decision.
func (r *rollout) collect() {
	for _, rs := range r.sets {
		was := r.was[rs.Name]
		if size(was) != size(rs) {
			r.tell(corev1.EventTypeNormal, "ScalingReplicaSet", Scaling{rs.Name, size(was), size(rs)}.String())
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

func (r *rollout) tell(kind, reason, message string) {
	r.dec.Events = append(r.dec.Events, engine.Event{Type: kind, Reason: reason, Message: message})
}
