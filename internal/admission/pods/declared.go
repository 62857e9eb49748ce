package pods

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/component-helpers/nodedeclaredfeatures"

	"github.com/floe-k8s/floe/internal/admission"
)

// upstream is the version whose features nodes declare.
const upstream = "1.36.3"

// servedByNode refuses to change a bound pod in a way for which its node does not declare the feature (KEP-5328).
func servedByNode(_ context.Context, a *admission.Attributes) error {
	if a.Operation != admission.Update || !a.Is("", "pods", "") && !a.Is("", "pods", "resize") {
		return nil
	}
	pod, isPod := a.Object.(*corev1.Pod)
	old, hadPod := a.Old.(*corev1.Pod)
	if !isPod || !hadPod || pod.Spec.NodeName == "" || old.Generation == pod.Generation {
		return nil
	}
	features := nodedeclaredfeatures.DefaultFramework
	was, is := &nodedeclaredfeatures.PodInfo{Spec: &old.Spec, Status: &old.Status}, &nodedeclaredfeatures.PodInfo{Spec: &pod.Spec, Status: &pod.Status}
	needs, err := features.InferForPodUpdate(was, is, version.MustParse(upstream))
	if err != nil {
		return a.Forbidf("failed to infer pod capability requirements: %w", err)
	}
	if needs.IsEmpty() {
		return nil
	}
	n := nodeOf(a, pod.Spec.NodeName)
	if n == nil {
		return a.Forbidf("node %q not found", pod.Spec.NodeName)
	}
	result, err := features.MatchNode(needs, n)
	switch {
	case err != nil:
		return a.Forbidf("failed to match pod requirements against node %q: %w", n.Name, err)
	case !result.IsMatch:
		return a.Forbidf("pod update requires features %s which are not available on node %q", strings.Join(result.UnsatisfiedRequirements, ", "), n.Name)
	}
	return nil
}
