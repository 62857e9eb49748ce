// Package disruption says in the status of each PodDisruptionBudget how many of its pods may be evicted.
//
// # Vocabulary
//
// A budget selects pods. Those expected are what the owners of these pods scale to, or, when the budget wants a number of healthy pods, as many as there are. A
// pod is healthy while it is ready, is not being deleted and is not disrupted. Disrupted is one that the eviction API has let go: it says so in the budget's
// status, together with taking one from what is allowed.
//
// # Laws
//
//   - A status is written on condition that the budget is as the view shows it, and all it says comes from that view. So an eviction is either seen, in the budget and in
//     the pod, or makes the write fail.
//   - A disrupted pod that is not being deleted after two minutes counts again.
//   - What cannot be counted allows no disruption, and the condition says why.
//   - The condition DisruptionTarget of a pod that nobody deletes becomes false after two minutes; what the node says of a pod that it ends stays.
//
// # What it leaves to others
//
// Evicting belongs to the pod's subresource eviction (kinds/core).
package disruption

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/selecting"
	"github.com/floe-k8s/floe/internal/kinds"
)

// patience is how long a pod may be said to go without being deleted.
const patience = 2 * time.Minute

func budgets() client.Resource {
	return policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets")
}
func replicaSets() client.Resource { return appsv1.SchemeGroupVersion.WithResource("replicasets") }

// New returns the controller. The owners of pods may be of any kind that catalog names and that can be scaled.
func New(catalog engine.Catalog) engine.Controller {
	c := controller{catalog}
	return engine.Controller{
		Name: "disruption", Component: "controllermanager",
		User: "system:serviceaccount:kube-system:disruption-controller",
		Every: func(k *kinds.Kind) func(client.View, client.Change) []engine.Key {
			switch k.GVR() {
			case budgets():
				return func(_ client.View, ch client.Change) []engine.Key { return []engine.Key{keyOf(budgets(), ch.Newest())} }
			case pods.Resource():
				return podKeys
			}
			return nil
		},
		Outputs: []engine.Output{
			{Resource: budgets(), Fields: []string{"status"}},
			{Resource: pods.Resource(), Fields: []string{"status.conditions[DisruptionTarget]"}},
		},
		Reconcile: c.reconcile,
	}
}

type controller struct{ catalog engine.Catalog }

func keyOf(res client.Resource, obj kinds.Object) engine.Key {
	return engine.Key{Resource: res, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// podKeys are the budgets that select a pod or did, and the pod itself when there is something to say or to clear of it.
func podKeys(view client.View, ch client.Change) []engine.Key {
	keys := selecting.Keys(view, budgets(), ch, selectorOf)
	pod, ok := ch.New.(*corev1.Pod)
	if !ok {
		return keys
	}
	if len(keys) > 1 || stale(pod) != nil {
		keys = append(keys, keyOf(pods.Resource(), pod))
	}
	return keys
}

// selectorOf is what a budget selects by: an empty selector is all, none nothing.
func selectorOf(obj kinds.Object) labels.Selector {
	s, err := metav1.LabelSelectorAsSelector(obj.(*policyv1.PodDisruptionBudget).Spec.Selector)
	if err != nil {
		return nil
	}
	return s
}

func (c controller) reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	switch obj := view.Get(key.Resource, key.Namespace, key.Name).(type) {
	case *policyv1.PodDisruptionBudget:
		return c.budget(view, obj, now), nil
	case *corev1.Pod:
		plan := settle(obj, now)
		plan.Events = append(plan.Events, many(view, obj)...)
		return plan, nil
	}
	return engine.Plan{}, nil
}

// many tells of a pod that several budgets select, which the eviction API does not support.
func many(view client.View, pod *corev1.Pod) []engine.Event {
	var names []string
	for b := range selecting.Of(view, budgets(), pod, selectorOf) {
		names = append(names, b.GetName())
	}
	if len(names) < 2 {
		return nil
	}
	return []engine.Event{{
		About: engine.Refer("v1", "Pod", pod), Type: corev1.EventTypeWarning, Reason: "MultiplePodDisruptionBudgets",
		Message: fmt.Sprintf("Pod %q/%q matches multiple PodDisruptionBudgets.  Chose %q arbitrarily.", pod.Namespace, pod.Name, slices.Min(names)),
	}}
}

// stale is the condition that says that a pod goes, when nobody deletes it; nil: there is none.
func stale(pod *corev1.Pod) *corev1.PodCondition {
	c := pods.Condition(pod, corev1.DisruptionTarget)
	if c == nil || c.Status != corev1.ConditionTrue || c.Reason == corev1.PodReasonTerminationByKubelet || pod.DeletionTimestamp != nil || pods.Ended(pod) {
		return nil
	}
	return c
}

// settle says of a pod that was said to go for long enough that it does not.
func settle(pod *corev1.Pod, now time.Time) engine.Plan {
	c := stale(pod)
	if c == nil {
		return engine.Plan{}
	}
	if wait := patience - now.Sub(c.LastTransitionTime.Time); wait > 0 {
		return engine.Plan{After: wait}
	}
	next := pod.DeepCopy()
	*pods.Condition(next, corev1.DisruptionTarget) = corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionFalse, ObservedGeneration: pod.Generation, LastTransitionTime: metav1.NewTime(now).Rfc3339Copy(),
	}
	return engine.Plan{Writes: []engine.Write{engine.NewUpdate(pods.Resource(), next, "status")}}
}
