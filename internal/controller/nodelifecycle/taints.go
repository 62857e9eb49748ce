package nodelifecycle

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels that older clients know, which say what the newer ones say.
const (
	labelBetaOS   = "beta.kubernetes.io/os"
	labelBetaArch = "beta.kubernetes.io/arch"
)

// keyOf is the taint that follows from a condition; "": none does.
func keyOf(c corev1.NodeCondition) string {
	switch {
	case c.Type == corev1.NodeReady && c.Status == corev1.ConditionFalse:
		return corev1.TaintNodeNotReady
	case c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown:
		return corev1.TaintNodeUnreachable
	case c.Status != corev1.ConditionTrue:
		return ""
	case c.Type == corev1.NodeMemoryPressure:
		return corev1.TaintNodeMemoryPressure
	case c.Type == corev1.NodeDiskPressure:
		return corev1.TaintNodeDiskPressure
	case c.Type == corev1.NodePIDPressure:
		return corev1.TaintNodePIDPressure
	case c.Type == corev1.NodeNetworkUnavailable:
		return corev1.TaintNodeNetworkUnavailable
	}
	return ""
}

// ownTaint says that a taint is one of those that this controller writes.
func ownTaint(t corev1.Taint) bool {
	switch t.Key {
	case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable:
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	case corev1.TaintNodeMemoryPressure, corev1.TaintNodeDiskPressure, corev1.TaintNodePIDPressure,
		corev1.TaintNodeNetworkUnavailable, corev1.TaintNodeUnschedulable:
		return t.Effect == corev1.TaintEffectNoSchedule
	}
	return false
}

// evicting is which of the taints with NoExecute a node has that this controller writes; "": none.
func evicting(n *corev1.Node) string {
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute && ownTaint(t) {
			return t.Key
		}
	}
	return ""
}

// evictBy is the taint with NoExecute that a node's readiness asks for; "": none.
func evictBy(n *corev1.Node) string {
	if c := condition(n, corev1.NodeReady); c != nil {
		return keyOf(*c)
	}
	return ""
}

// reviseTaints returns the taints that a node is to have, new ones last and since now, and whether they are others than it has. evict is the key of
// that with NoExecute; "": none.
func reviseTaints(n *corev1.Node, evict string, now time.Time) (list []corev1.Taint, changed bool) {
	var want []corev1.Taint
	add := func(key string, effect corev1.TaintEffect) {
		want = append(want, corev1.Taint{Key: key, Effect: effect, TimeAdded: &metav1.Time{Time: now}})
	}
	for _, c := range n.Status.Conditions {
		if key := keyOf(c); key != "" {
			add(key, corev1.TaintEffectNoSchedule)
		}
	}
	if n.Spec.Unschedulable {
		add(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)
	}
	if evict != "" {
		add(evict, corev1.TaintEffectNoExecute)
	}
	for _, t := range n.Spec.Taints {
		if ownTaint(t) {
			i := slices.IndexFunc(want, func(w corev1.Taint) bool { return w.MatchTaint(&t) })
			if i < 0 {
				changed = true
				continue
			}
			want = slices.Delete(want, i, i+1)
		}
		list = append(list, t)
	}
	return append(list, want...), changed || len(want) > 0
}

// reviseLabels returns the labels that a node lacks, or has with another value.
func reviseLabels(n *corev1.Node) map[string]string {
	var set map[string]string
	for from, to := range map[string]string{corev1.LabelOSStable: labelBetaOS, corev1.LabelArchStable: labelBetaArch} {
		if value, ok := n.Labels[from]; ok {
			if had, there := n.Labels[to]; !there || had != value {
				if set == nil {
					set = map[string]string{}
				}
				set[to] = value
			}
		}
	}
	return set
}
