package pods

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/engine"
)

// Disrupted is the status of a pod of which it is said that it goes, and why; false when it is said already.
func Disrupted(p *corev1.Pod, reason, message string, now time.Time) (*corev1.PodStatus, bool) {
	c := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: message,
		ObservedGeneration: p.Generation, LastTransitionTime: metav1.NewTime(now).Rfc3339Copy()}
	next := p.Status.DeepCopy()
	i := slices.IndexFunc(next.Conditions, func(o corev1.PodCondition) bool { return o.Type == c.Type })
	if i < 0 {
		next.Conditions = append(next.Conditions, c)
		return next, true
	}
	was := next.Conditions[i]
	if was.Status == c.Status {
		c.LastTransitionTime = was.LastTransitionTime
	}
	c.LastProbeTime = was.LastProbeTime
	next.Conditions[i] = c
	return next, !equality.Semantic.DeepEqual(was, c)
}

// PatchStatus writes the phase, the generation and the conditions of next, by a patch, on condition that the pod is as it was read: for those who may not update
// pods' status.
func PatchStatus(p *corev1.Pod, next *corev1.PodStatus) engine.Write {
	status := map[string]any{"conditions": next.Conditions}
	if next.Phase != p.Status.Phase {
		status["phase"] = next.Phase
	}
	if next.ObservedGeneration != p.Status.ObservedGeneration {
		status["observedGeneration"] = next.ObservedGeneration
	}
	w := engine.NewPatch(Resource(), p, map[string]any{"metadata": map[string]any{"resourceVersion": p.ResourceVersion}, "status": status})
	w.Subresource = "status"
	return w
}
