package core

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	// maxDisrupted bounds how many evictions a budget holds that its controller has not seen yet.
	maxDisrupted = 2000
	noEviction   = "Cannot evict pod as it would violate the pod's disruption budget."
)

// evictPod deletes a pod if its disruption budget allows it (the disruption design; KEP-3017 for pods that are not ready).
func evictPod(env kinds.Env, obj kinds.Object, body runtime.Object, call kinds.Call) (kinds.Effect, error) {
	pod, eviction := obj.(*corev1.Pod), body.(*policyv1.Eviction)
	opts, err := evictionOptions(eviction, call.DryRun)
	if err != nil {
		return kinds.Effect{}, err
	}
	effect := kinds.Effect{Remove: opts, DryRun: len(opts.DryRun) > 0}
	if !mayIgnoreBudget(pod) {
		budget, err := budgetOf(pod, call.See)
		if err != nil {
			return kinds.Effect{}, err
		}
		if budget != nil && !mayGoUnready(pod, budget) {
			if budget, err = spend(env, budget, pod.Name); err != nil {
				return kinds.Effect{}, err
			}
			effect.Writes = []kinds.Write{{Resource: budgets(), Namespace: budget.Namespace, Name: budget.Name, Subresource: "status", Object: budget}}
		}
	}
	if err := checkEviction(pod, opts, effect.DryRun); err != nil {
		return kinds.Effect{}, err
	}
	setCondition(pod, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting",
	}, env)
	return effect, nil
}

func budgets() schema.GroupVersionResource {
	return policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets")
}

// evictionOptions are those in the eviction, or else the request's; both may ask for a dry run.
func evictionOptions(e *policyv1.Eviction, dryRun []string) (*metav1.DeleteOptions, error) {
	if e.DeleteOptions == nil {
		return &metav1.DeleteOptions{DryRun: dryRun}, nil
	}
	opts := e.DeleteOptions.DeepCopy()
	if unsafe := opts.IgnoreStoreReadErrorWithClusterBreakingPotential; unsafe != nil && *unsafe {
		return nil, apierrors.NewInvalid(policyv1.SchemeGroupVersion.WithKind("Eviction").GroupKind(), e.Name, field.ErrorList{field.Invalid(
			field.NewPath("deleteOptions", "ignoreStoreReadErrorWithClusterBreakingPotential"), true, "can not be set for pod eviction, try after removing the option")})
	}
	switch {
	case len(opts.DryRun) == 0:
		opts.DryRun = dryRun
	case len(dryRun) > 0 && !slices.Equal(opts.DryRun, dryRun): // upstream gives it no class
		//lint:ignore ST1005 clients read upstream's words
		return nil, fmt.Errorf("Non-matching dry-run options in request and content: %v and %v", dryRun, opts.DryRun)
	}
	return opts, nil
}

// mayIgnoreBudget: a pod that does no work, or goes already, can go.
func mayIgnoreBudget(pod *corev1.Pod) bool {
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending:
		return true
	}
	return pod.DeletionTimestamp != nil
}

// checkEviction holds the pod against what the options expect of it. An empty version is any, but for a dry run: upstream checks it after its own change.
func checkEviction(pod *corev1.Pod, opts *metav1.DeleteOptions, dryRun bool) error {
	p := opts.Preconditions
	if p == nil {
		return nil
	}
	conflict := func(what, wanted, found, change string) error {
		return apierrors.NewConflict(schema.GroupResource{Resource: "Pod"}, pod.Name, fmt.Errorf(
			"the %[1]s in the precondition (%[2]s) does not match the %[1]s in record (%[3]s). The object might have been %[4]s", what, wanted, found, change))
	}
	switch uid, version := p.UID, p.ResourceVersion; {
	case uid != nil && *uid != pod.UID:
		return conflict("UID", string(*uid), string(pod.UID), "deleted and then recreated")
	case version != nil && *version != pod.ResourceVersion && (dryRun || *version != ""):
		return conflict("ResourceVersion", *version, pod.ResourceVersion, "modified")
	}
	return nil
}

// budgetOf returns the newest state of the budget that counts the pod; nil when none does.
func budgetOf(pod *corev1.Pod, see kinds.Reader) (*policyv1.PodDisruptionBudget, error) {
	var found []*policyv1.PodDisruptionBudget
	see.Each(budgets(), pod.Namespace, func(obj kinds.Object) bool {
		b := obj.(*policyv1.PodDisruptionBudget)
		if s, err := metav1.LabelSelectorAsSelector(b.Spec.Selector); err == nil && s.Matches(labels.Set(pod.Labels)) {
			found = append(found, b)
		}
		return true
	})
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		b, ok := see.Get(budgets(), pod.Namespace, found[0].Name).(*policyv1.PodDisruptionBudget)
		if !ok {
			return nil, nil // gone since
		}
		return b, nil
	}
	return nil, &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: 500, Message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
	}}
}

// mayGoUnready: a pod that is not ready does not count as healthy, and can go when the budget says so or the healthy ones suffice.
func mayGoUnready(pod *corev1.Pod, b *policyv1.PodDisruptionBudget) bool {
	if i := conditionAt(pod.Status.Conditions, corev1.PodReady); i >= 0 && pod.Status.Conditions[i].Status == corev1.ConditionTrue {
		return false
	}
	if p := b.Spec.UnhealthyPodEvictionPolicy; p != nil && *p == policyv1.AlwaysAllow {
		return true
	}
	return b.Status.CurrentHealthy >= b.Status.DesiredHealthy && b.Status.DesiredHealthy > 0
}

// spend returns the budget after the eviction of a pod, or why it allows none.
func spend(env kinds.Env, b *policyv1.PodDisruptionBudget, pod string) (*policyv1.PodDisruptionBudget, error) {
	s := &b.Status
	refuse := func(why string) error {
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), b.Name, fmt.Errorf("%s", why))
	}
	switch {
	case s.ObservedGeneration < b.Generation:
		return nil, tooMany(10, fmt.Sprintf("The disruption budget %s is still being processed by the server.", b.Name))
	case s.DisruptionsAllowed < 0:
		return nil, refuse("pdb disruptions allowed is negative")
	case len(s.DisruptedPods) > maxDisrupted:
		return nil, refuse("DisruptedPods map too big - too many evictions not confirmed by PDB controller")
	case s.DisruptionsAllowed == 0:
		return nil, tooMany(0, whyNone(b))
	}
	b = b.DeepCopy()
	s = &b.Status
	now := metav1.NewTime(env.Now).Rfc3339Copy()
	if s.DisruptionsAllowed--; s.DisruptionsAllowed == 0 {
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{
			Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason,
			ObservedGeneration: s.ObservedGeneration, LastTransitionTime: now,
		})
	}
	s.DisruptedPods = maps.Clone(s.DisruptedPods)
	if s.DisruptedPods == nil {
		s.DisruptedPods = map[string]metav1.Time{}
	}
	s.DisruptedPods[pod] = now
	return b, nil
}

// whyNone says why a budget allows no disruption.
func whyNone(b *policyv1.PodDisruptionBudget) string {
	c := meta.FindStatusCondition(b.Status.Conditions, policyv1.DisruptionAllowedCondition)
	said := c != nil && c.Status == metav1.ConditionFalse && c.Message != ""
	switch {
	case said && c.Reason == policyv1.SyncFailedReason:
		return fmt.Sprintf("The disruption budget %s does not allow evicting pods currently because it failed sync: %s", b.Name, c.Message)
	case b.Status.CurrentHealthy <= b.Status.DesiredHealthy:
		return fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", b.Name, b.Status.DesiredHealthy, b.Status.CurrentHealthy)
	case said:
		return fmt.Sprintf("The disruption budget %s does not allow evicting pods currently (%s): %s", b.Name, c.Reason, c.Message)
	}
	return fmt.Sprintf("The disruption budget %s does not allow evicting pods currently", b.Name)
}

// tooMany asks to try again, after so many seconds if that is known.
func tooMany(seconds int, why string) error {
	err := apierrors.NewTooManyRequests(noEviction, seconds)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: why})
	return err
}

// setCondition adds a condition, or replaces the one of its type; the time is that of the last change of its status.
func setCondition(pod *corev1.Pod, c corev1.PodCondition, env kinds.Env) {
	c.LastTransitionTime = metav1.NewTime(env.Now).Rfc3339Copy()
	i := conditionAt(pod.Status.Conditions, c.Type)
	if i < 0 {
		pod.Status.Conditions = append(pod.Status.Conditions, c)
		return
	}
	was := &pod.Status.Conditions[i]
	if c.ObservedGeneration = was.ObservedGeneration; c.Status == was.Status {
		c.LastTransitionTime = was.LastTransitionTime
	}
	c.LastProbeTime = was.LastProbeTime
	*was = c
}
