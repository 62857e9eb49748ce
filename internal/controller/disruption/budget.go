package disruption

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/selecting"
)

// count is what a budget's status says in numbers.
type count struct {
	expected, desired, healthy int32
}

// budget counts a budget's pods.
func (c controller) budget(view client.View, b *policyv1.PodDisruptionBudget, now time.Time) engine.Plan {
	var plan engine.Plan
	tell := func(kind, reason, format string, args ...any) {
		plan.Events = append(plan.Events, engine.Event{
			About: engine.Refer("policy/v1", "PodDisruptionBudget", b), Type: kind, Reason: reason, Message: fmt.Sprintf(format, args...),
		})
	}
	selected, err := podsOf(view, b)
	switch {
	case err != nil:
		tell(corev1.EventTypeWarning, "NoPods", "Failed to get pods: %v", err)
		plan.Writes = failed(b, err, now)
		return plan
	case len(selected) == 0:
		tell(corev1.EventTypeNormal, "NoPods", "No matching pods found")
	}
	n, unmanaged, err := c.expect(view, b, selected)
	if err != nil {
		tell(corev1.EventTypeWarning, "CalculateExpectedPodCountFailed", "Failed to calculate the number of expected pods: %v", err)
		plan.Writes, plan.Waiting = failed(b, err, now), "owners that can be scaled"
		return plan
	}
	if unmanaged {
		tell(corev1.EventTypeWarning, "UnmanagedPods", "Pods selected by this PodDisruptionBudget (selector: %v) were found "+
			"to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. "+
			"To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.", b.Spec.Selector)
	}
	disrupted, after, stayed := disrupted(selected, b.Status.DisruptedPods, now)
	for _, pod := range stayed {
		plan.Events = append(plan.Events, engine.Event{ // upstream names the namespace twice
			About: engine.Refer("v1", "Pod", pod), Type: corev1.EventTypeWarning, Reason: "NotDeleted",
			Message: fmt.Sprintf("Pod was expected by PDB %s/%s to be deleted but it wasn't", b.Namespace, b.Namespace),
		})
	}
	n.healthy = healthy(selected, disrupted)
	plan.After, plan.Writes = after, counted(b, n, disrupted, now)
	plan.OnFailure = func(err error) []engine.Write {
		if apierrors.IsConflict(err) {
			return nil // it is counted again
		}
		return failed(b, err, now)
	}
	return plan
}

func podsOf(view client.View, b *policyv1.PodDisruptionBudget) (list []*corev1.Pod, err error) {
	s, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		return nil, err
	}
	for pod := range selecting.Pods[*corev1.Pod](view, pods.Resource(), b.Namespace, s) {
		list = append(list, pod)
	}
	return list, nil
}

// expect says how many pods there are to be, and how many of them healthy; unmanaged: that some have no owner by which to say so.
func (c controller) expect(view client.View, b *policyv1.PodDisruptionBudget, selected []*corev1.Pod) (n count, unmanaged bool, err error) {
	least, most := b.Spec.MinAvailable, b.Spec.MaxUnavailable
	switch {
	case most == nil && least == nil:
		return n, false, nil
	case most == nil && least.Type == intstr.Int:
		return count{expected: int32(len(selected)), desired: least.IntVal}, false, nil
	}
	if n.expected, unmanaged, err = c.scale(view, selected); err != nil {
		return n, unmanaged, err
	}
	share := most
	if most == nil {
		share = least
	}
	part, err := intstr.GetScaledValueFromIntOrPercent(share, int(n.expected), true)
	if n.desired = int32(part); most != nil {
		n.desired = max(0, n.expected-int32(part))
	}
	return n, unmanaged, err
}

// disrupted are the pods that were let go and are still there: since when, when the first of them counts again (0: none will), and those that count again now.
func disrupted(selected []*corev1.Pod, before map[string]metav1.Time, now time.Time) (still map[string]metav1.Time, after time.Duration, stayed []*corev1.Pod) {
	still = map[string]metav1.Time{}
	for _, pod := range selected {
		since, ok := before[pod.Name]
		if !ok || pod.DeletionTimestamp != nil {
			continue
		}
		left := since.Add(patience).Sub(now)
		if left < 0 {
			stayed = append(stayed, pod)
			continue
		}
		still[pod.Name] = since
		if left++; after == 0 || left < after { // a moment later it is over
			after = left
		}
	}
	return still, after, stayed
}

func healthy(selected []*corev1.Pod, disrupted map[string]metav1.Time) (n int32) {
	for _, pod := range selected {
		if _, goes := disrupted[pod.Name]; !goes && pod.DeletionTimestamp == nil && pods.Ready(pod) {
			n++
		}
	}
	return n
}

// counted writes the status of a budget; nothing when it says so already. While no pod is expected none may go: the first may come before it is counted.
func counted(b *policyv1.PodDisruptionBudget, n count, disrupted map[string]metav1.Time, now time.Time) []engine.Write {
	next := b.DeepCopy()
	st := policyv1.PodDisruptionBudgetStatus{
		CurrentHealthy: n.healthy, DesiredHealthy: n.desired, ExpectedPods: n.expected, DisruptedPods: disrupted, ObservedGeneration: b.Generation,
		Conditions: next.Status.Conditions,
	}
	if n.expected > 0 {
		st.DisruptionsAllowed = max(0, n.healthy-n.desired)
	}
	c := metav1.Condition{Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason}
	if st.DisruptionsAllowed > 0 {
		c = metav1.Condition{Status: metav1.ConditionTrue, Reason: policyv1.SufficientPodsReason}
	}
	return say(b, next, st, c, now)
}

// failed writes that a budget allows nothing, since it could not be counted.
func failed(b *policyv1.PodDisruptionBudget, err error, now time.Time) []engine.Write {
	next := b.DeepCopy()
	st := next.Status
	st.DisruptionsAllowed = 0
	return say(b, next, st, metav1.Condition{Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason, Message: err.Error()}, now)
}

// say gives next, a copy of b, a status with a condition.
func say(b, next *policyv1.PodDisruptionBudget, st policyv1.PodDisruptionBudgetStatus, c metav1.Condition, now time.Time) []engine.Write {
	c.Type, c.ObservedGeneration, c.LastTransitionTime = policyv1.DisruptionAllowedCondition, st.ObservedGeneration, metav1.NewTime(now).Rfc3339Copy()
	meta.SetStatusCondition(&st.Conditions, c)
	if equality.Semantic.DeepEqual(b.Status, st) {
		return nil
	}
	next.Status = st
	return []engine.Write{engine.NewUpdate(budgets(), next, "status")}
}
