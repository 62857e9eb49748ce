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

// status counts the sets and sets the conditions; dec.Status stays nil when nothing changed.
func (r *rollout) status() {
	st := r.d.Status.DeepCopy()
	now := metav1.NewTime(r.dec.now)
	st.Replicas, st.UpdatedReplicas, st.ReadyReplicas, st.AvailableReplicas = 0, 0, 0, 0
	var terminating int32
	for _, rs := range r.sets {
		st.Replicas += rs.Status.Replicas
		st.ReadyReplicas += rs.Status.ReadyReplicas
		st.AvailableReplicas += rs.Status.AvailableReplicas
		if rs.Status.TerminatingReplicas != nil {
			terminating += *rs.Status.TerminatingReplicas
		}
	}
	st.TerminatingReplicas = &terminating
	if r.fresh != nil {
		st.UpdatedReplicas = r.fresh.Status.Replicas
	}
	asked, _ := r.total()
	st.UnavailableReplicas = max(0, asked-st.AvailableReplicas)
	st.ObservedGeneration = r.d.Generation

	_, unavailable := limits(r.d)
	if st.AvailableReplicas >= replicas(r.d)-unavailable {
		setCondition(st, condition(appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.", now))
	} else {
		setCondition(st, condition(appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now))
	}
	if r.note != nil {
		setCondition(st, *r.note)
	}
	if r.d.DeletionTimestamp == nil {
		r.progress(st, now)
	}
	r.failure(st)
	if !equality.Semantic.DeepEqual(&r.d.Status, st) {
		r.dec.Status = st
	}
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
	have := findCondition(st, appsv1.DeploymentProgressing)
	if r.pausing(st, have, now) {
		return
	}
	if have != nil && have.Reason == reasonDone && st.Replicas == st.UpdatedReplicas {
		return
	}
	name := fmt.Sprintf("Deployment %q", r.d.Name)
	if r.fresh != nil {
		name = fmt.Sprintf("ReplicaSet %q", r.fresh.Name)
	}
	was := &r.d.Status
	switch {
	case r.complete(st):
		setCondition(st, condition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonDone, name+" has successfully progressed.", now))
		return
	case st.UpdatedReplicas > was.UpdatedReplicas || st.Replicas-st.UpdatedReplicas < was.Replicas-was.UpdatedReplicas ||
		st.ReadyReplicas > was.ReadyReplicas || st.AvailableReplicas > was.AvailableReplicas:
		c := condition(appsv1.DeploymentProgressing, corev1.ConditionTrue, "ReplicaSetUpdated", name+" is progressing.", now)
		if have != nil && have.Status == corev1.ConditionTrue {
			c.LastTransitionTime = have.LastTransitionTime
		}
		st.Conditions = slices.DeleteFunc(st.Conditions, func(o appsv1.DeploymentCondition) bool { return o.Type == c.Type })
		st.Conditions = append(st.Conditions, c)
	case have != nil && have.Reason != reasonTimedOut && have.Reason != reasonDone && !r.deadline(have).After(now.Time):
		setCondition(st, condition(appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonTimedOut, name+" has timed out progressing.", now))
	}
	if have = findCondition(st, appsv1.DeploymentProgressing); have != nil && have.Status == corev1.ConditionTrue && have.Reason != reasonDone {
		r.dec.After = max(r.deadline(have).Sub(now.Time), 0) + time.Second
	}
}

func (r *rollout) deadline(c *appsv1.DeploymentCondition) time.Time {
	return c.LastUpdateTime.Add(time.Duration(*r.d.Spec.ProgressDeadlineSeconds) * time.Second)
}

// pausing notes a pause or its end, and says whether nothing else may be noted now.
func (r *rollout) pausing(st *appsv1.DeploymentStatus, have *appsv1.DeploymentCondition, now metav1.Time) bool {
	paused := have != nil && have.Reason == reasonPaused
	switch {
	case have != nil && have.Reason == reasonTimedOut && r.d.Spec.Paused:
		return true
	case r.d.Spec.Paused && !paused:
		setCondition(st, condition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonPaused, "Deployment is paused", now))
	case !r.d.Spec.Paused && paused:
		setCondition(st, condition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, "DeploymentResumed", "Deployment is resumed", now))
		return true
	}
	return r.d.Spec.Paused
}

// failure shows a set's failure to make pods as the deployment's.
func (r *rollout) failure(st *appsv1.DeploymentStatus) {
	st.Conditions = slices.DeleteFunc(st.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == appsv1.DeploymentReplicaFailure })
	for _, rs := range slices.Backward(r.sets) {
		for _, c := range rs.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure {
				st.Conditions = append(st.Conditions, appsv1.DeploymentCondition{Type: appsv1.DeploymentReplicaFailure, Status: c.Status,
					Reason: c.Reason, Message: c.Message, LastUpdateTime: c.LastTransitionTime, LastTransitionTime: c.LastTransitionTime})
				return
			}
		}
	}
}
