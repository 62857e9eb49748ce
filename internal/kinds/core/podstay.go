package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Stay is how many seconds pods that do not say so themselves stay on a node that is not ready, or that nobody reaches; 0 or below: not at all.
type Stay struct{ NotReady, Unreachable int64 }

// DefaultStay is upstream's.
func DefaultStay() Stay { return Stay{NotReady: 300, Unreachable: 300} }

// tolerate is the plug-in DefaultTolerationSeconds.
func (s Stay) tolerate(_ kinds.Env, obj, _ kinds.Object, _ kinds.Reader) error {
	spec := &obj.(*corev1.Pod).Spec
	given := spec.Tolerations
	for _, d := range [...]struct {
		taint   string
		seconds int64
	}{{corev1.TaintNodeNotReady, s.NotReady}, {corev1.TaintNodeUnreachable, s.Unreachable}} {
		if slices.ContainsFunc(given, func(t corev1.Toleration) bool {
			return (t.Key == d.taint || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
		}) {
			continue
		}
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{
			Key: d.taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &d.seconds,
		})
	}
	return nil
}
