package podspec

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DropDisabled takes out of s what upstream's gates leave switched off: signals to stop with (ContainerStopSignals), bundles of trust and certificates in
// projected volumes (ClusterTrustBundleProjection, PodCertificateRequest), groups of pods (GenericWorkload). What old, which s replaces, has of it stays;
// old is nil for a new specification.
func DropDisabled(s, old *corev1.PodSpec) {
	if old == nil {
		old = &corev1.PodSpec{}
	}
	if old.SchedulingGroup == nil {
		s.SchedulingGroup = nil
	}
	if !hasSignals(old) {
		dropSignals(s)
	}
	bundles, certificates := false, false
	projections(old, func(p *corev1.VolumeProjection) {
		bundles, certificates = bundles || p.ClusterTrustBundle != nil, certificates || p.PodCertificate != nil
	})
	projections(s, func(p *corev1.VolumeProjection) {
		if !bundles {
			p.ClusterTrustBundle = nil
		}
		if !certificates {
			p.PodCertificate = nil
		}
	})
}

func projections(s *corev1.PodSpec, f func(*corev1.VolumeProjection)) {
	for i := range s.Volumes {
		if p := s.Volumes[i].Projected; p != nil {
			for j := range p.Sources {
				f(&p.Sources[j])
			}
		}
	}
}

func hasSignals(s *corev1.PodSpec) (found bool) {
	containers(s, place{}, func(c *corev1.Container, _ place) {
		found = found || c.Lifecycle != nil && c.Lifecycle.StopSignal != nil
	})
	return found
}

func dropSignals(s *corev1.PodSpec) {
	containers(s, place{}, func(c *corev1.Container, _ place) {
		if c.Lifecycle == nil || c.Lifecycle.StopSignal == nil {
			return
		}
		c.Lifecycle.StopSignal = nil
		if *c.Lifecycle == (corev1.Lifecycle{}) {
			c.Lifecycle = nil
		}
	})
}

// MergeLabelKeys adds to the selectors of a new pod's affinity and spreading what its labels say under the keys that they name (KEP-3243, KEP-3633). A
// selector that is not there chooses nothing, and stays so.
func MergeLabelKeys(pod *corev1.Pod) {
	podTerms(pod.Spec.Affinity, func(t *corev1.PodAffinityTerm) {
		merge(t.LabelSelector, t.MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
		merge(t.LabelSelector, t.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, pod.Labels)
	})
	for i := range pod.Spec.TopologySpreadConstraints {
		c := &pod.Spec.TopologySpreadConstraints[i]
		merge(c.LabelSelector, c.MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
	}
}

func merge(s *metav1.LabelSelector, keys []string, op metav1.LabelSelectorOperator, labels map[string]string) {
	if s == nil {
		return
	}
	for _, key := range keys {
		if value, ok := labels[key]; ok {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: []string{value}})
		}
	}
}
