package deployment

import (
	"fmt"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of the condition Progressing that later decisions look at.
const (
	reasonDone     = "NewReplicaSetAvailable"
	reasonTimedOut = "ProgressDeadlineExceeded"
	reasonPaused   = "DeploymentPaused"
	reasonNotMade  = "ReplicaSetCreateError"
)

func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

func condition(t appsv1.DeploymentConditionType, st corev1.ConditionStatus, reason, message string, now metav1.Time) appsv1.DeploymentCondition {
	return appsv1.DeploymentCondition{Type: t, Status: st, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now}
}

func findCondition(st *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range st.Conditions {
		if st.Conditions[i].Type == t {
			return &st.Conditions[i]
		}
	}
	return nil
}

// setCondition replaces the condition of c's type. The same status and reason are no change; the same status
// keeps its transition time.
func setCondition(st *appsv1.DeploymentStatus, c appsv1.DeploymentCondition) {
	if have := findCondition(st, c.Type); have != nil {
		if have.Status == c.Status && have.Reason == c.Reason {
			return
		}
		if have.Status == c.Status {
			c.LastTransitionTime = have.LastTransitionTime
		}
	}
	st.Conditions = slices.DeleteFunc(st.Conditions, func(o appsv1.DeploymentCondition) bool { return o.Type == c.Type })
	st.Conditions = append(st.Conditions, c)
}

// complete says whether every pod is new and available, by the status st.
func (r *rollout) complete(st *appsv1.DeploymentStatus) bool {
	n := replicas(r.d)
	return st.UpdatedReplicas == n && st.Replicas == n && st.AvailableReplicas == n && st.ObservedGeneration >= r.d.Generation
}

// note sets a condition of the deployment that the rest of the decision sees.
func (r *rollout) note(t appsv1.DeploymentConditionType, st corev1.ConditionStatus, reason, message string) {
	setCondition(&r.d.Status, condition(t, st, reason, message, metav1.NewTime(r.dec.now)))
}

// status counts the sets and sets the conditions; dec.Status stays nil when nothing changed.
func (r *rollout) status() {
	now := metav1.NewTime(r.dec.now)
	st := r.counts()
	_, unavailable := limits(r.d)
	if st.AvailableReplicas >= replicas(r.d)-unavailable {
		setCondition(st, condition(appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.", now))
	} else {
		setCondition(st, condition(appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now))
	}
	if r.rolling {
		r.progress(st, now)
		r.failure(st)
	}
	if !equality.Semantic.DeepEqual(&r.in.Deployment.Status, st) {
		r.dec.Status = st
	}
}

// counts is a status with the conditions as they were. Sizes are those before the decision, but of a set that it makes.
func (r *rollout) counts() *appsv1.DeploymentStatus {
	st := &appsv1.DeploymentStatus{ObservedGeneration: r.d.Generation, CollisionCount: r.d.Status.CollisionCount, Conditions: slices.Clone(r.d.Status.Conditions)}
	var asked, terminating int32
	st.TerminatingReplicas = &terminating
	for _, rs := range r.sets {
		if was := r.was[rs.Name]; was != nil {
			asked += size(was)
		} else {
			asked += size(rs)
		}
		st.Replicas += rs.Status.Replicas
		st.ReadyReplicas += rs.Status.ReadyReplicas
		st.AvailableReplicas += rs.Status.AvailableReplicas
		switch n := rs.Status.TerminatingReplicas; {
		case n != nil:
			terminating += *n
		case rs.Status.ObservedGeneration > 0:
			st.TerminatingReplicas = nil // a set that does not say how many
		}
	}
	if r.fresh != nil {
		st.UpdatedReplicas = r.fresh.Status.Replicas
	}
	st.UnavailableReplicas = max(0, asked-st.AvailableReplicas)
	return st
}

// progress keeps the condition Progressing:
//
//	NewReplicaSetCreated / FoundNewReplicaSet → ReplicaSetUpdated → NewReplicaSetAvailable
//	           ↕ DeploymentPaused, DeploymentResumed     └→ ProgressDeadlineExceeded
func (r *rollout) progress(st *appsv1.DeploymentStatus, now metav1.Time) {
	if !hasDeadline(r.d) {
		st.Conditions = slices.DeleteFunc(st.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == appsv1.DeploymentProgressing })
		return
	}
	have := findCondition(&r.d.Status, appsv1.DeploymentProgressing)
	if have == nil || have.Reason != reasonDone || st.Replicas != st.UpdatedReplicas {
		r.advance(st, have, now)
	}
	if c := findCondition(st, appsv1.DeploymentProgressing); c != nil && c.Reason != reasonTimedOut && !r.complete(st) {
		r.dec.After = max(r.deadline(c).Sub(now.Time), 0) + time.Second
	}
}

// advance tells that the rollout is over, goes on or does not.
func (r *rollout) advance(st *appsv1.DeploymentStatus, have *appsv1.DeploymentCondition, now metav1.Time) {
	name := fmt.Sprintf("Deployment %q", r.d.Name)
	if r.fresh != nil {
		name = fmt.Sprintf("ReplicaSet %q", r.fresh.Name)
	}
	was := &r.d.Status
	switch {
	case r.complete(st):
		setCondition(st, condition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonDone, name+" has successfully progressed.", now))
	case st.UpdatedReplicas > was.UpdatedReplicas || st.Replicas-st.UpdatedReplicas < was.Replicas-was.UpdatedReplicas ||
		st.ReadyReplicas > was.ReadyReplicas || st.AvailableReplicas > was.AvailableReplicas:
		c := condition(appsv1.DeploymentProgressing, corev1.ConditionTrue, "ReplicaSetUpdated", name+" is progressing.", now)
		if have != nil && have.Status == corev1.ConditionTrue {
			c.LastTransitionTime = have.LastTransitionTime
		}
		st.Conditions = slices.DeleteFunc(st.Conditions, func(o appsv1.DeploymentCondition) bool { return o.Type == c.Type })
		st.Conditions = append(st.Conditions, c)
	case have != nil && have.Reason != reasonDone && r.deadline(have).Before(now.Time):
		setCondition(st, condition(appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonTimedOut, name+" has timed out progressing.", now))
	}
}

func (r *rollout) deadline(c *appsv1.DeploymentCondition) time.Time {
	return c.LastUpdateTime.Add(time.Duration(*r.d.Spec.ProgressDeadlineSeconds) * time.Second)
}

// pausing notes a pause or its end, so that the deadline counts from there; not over a deadline that has passed.
func (r *rollout) pausing() {
	have := findCondition(&r.d.Status, appsv1.DeploymentProgressing)
	if !hasDeadline(r.d) || have != nil && have.Reason == reasonTimedOut {
		return
	}
	paused := have != nil && have.Reason == reasonPaused
	switch {
	case r.d.Spec.Paused && !paused:
		r.note(appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonPaused, "Deployment is paused")
	case !r.d.Spec.Paused && paused:
		r.note(appsv1.DeploymentProgressing, corev1.ConditionUnknown, "DeploymentResumed", "Deployment is resumed")
	}
}

// failure shows a set's failure to make pods as the deployment's: the new set's, or else the oldest's.
func (r *rollout) failure(st *appsv1.DeploymentStatus) {
	sets := r.sets
	if r.fresh != nil {
		sets = append([]*appsv1.ReplicaSet{r.fresh}, sets...)
	}
	for _, rs := range sets {
		for _, c := range rs.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure {
				setCondition(st, appsv1.DeploymentCondition{Type: appsv1.DeploymentReplicaFailure, Status: c.Status,
					Reason: c.Reason, Message: c.Message, LastUpdateTime: c.LastTransitionTime, LastTransitionTime: c.LastTransitionTime})
				return
			}
		}
	}
	st.Conditions = slices.DeleteFunc(st.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == appsv1.DeploymentReplicaFailure })
}
