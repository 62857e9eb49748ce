package cases

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podAffinity are terms that pods require of other pods; preferredAffinity are those that they prefer. Placed pods have them too, which holds for
// pods that come.
var (
	podAffinity = trait{pod: func(w *world, p *corev1.Pod) {
		if w.once(2) {
			return
		}
		a := affinityOf(p)
		if w.once(2) {
			a.PodAffinity = &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: w.podTerms(p, w.between(1, 2))}
		} else {
			a.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: w.podTerms(p, w.between(1, 2))}
		}
	}}
	preferredAffinity = trait{pod: func(w *world, p *corev1.Pod) {
		if w.once(3) {
			return
		}
		a := affinityOf(p)
		if a.PodAffinity == nil {
			a.PodAffinity = &corev1.PodAffinity{}
		}
		if a.PodAntiAffinity == nil {
			a.PodAntiAffinity = &corev1.PodAntiAffinity{}
		}
		a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = w.weighted(p)
		a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution = w.weighted(p)
	}}
)

// affinityOf is the pod's affinity, made if there is none.
func affinityOf(p *corev1.Pod) *corev1.Affinity {
	if p.Spec.Affinity == nil {
		p.Spec.Affinity = &corev1.Affinity{}
	}
	return p.Spec.Affinity
}

func (w *world) weighted(p *corev1.Pod) []corev1.WeightedPodAffinityTerm {
	var out []corev1.WeightedPodAffinityTerm
	for _, t := range w.podTerms(p, w.between(0, 2)) {
		out = append(out, corev1.WeightedPodAffinityTerm{Weight: int32(one(w, 1, 5, 50, 100)), PodAffinityTerm: t})
	}
	return out
}

func (w *world) podTerms(p *corev1.Pod, n int) []corev1.PodAffinityTerm {
	var terms []corev1.PodAffinityTerm
	for range n {
		t := corev1.PodAffinityTerm{
			TopologyKey: one(w, corev1.LabelTopologyZone, corev1.LabelTopologyZone, corev1.LabelHostname, "rack",
				corev1.LabelTopologyRegion), LabelSelector: w.selector(p),
		}
		if w.once(3) {
			t.Namespaces = some(w, w.between(1, 2), namespaces)
			slices.Sort(t.Namespaces)
		}
		switch w.r.IntN(6) {
		case 0:
			t.NamespaceSelector = &metav1.LabelSelector{}
		case 1:
			t.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": one(w, "front", "back", "none")}}
		case 2:
			t.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "trusted",
				Operator: metav1.LabelSelectorOpExists}}}
		}
		if t.LabelSelector != nil {
			w.matchKeys(p, &t)
		}
		terms = append(terms, t)
	}
	return terms
}

// matchKeys adds label keys whose values must match, or must not, and what an API server adds to the selector for them.
func (w *world) matchKeys(p *corev1.Pod, t *corev1.PodAffinityTerm) {
	value, ok := p.Labels["version"]
	if slices.ContainsFunc(t.LabelSelector.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool { return r.Key == "version" }) {
		return
	}
	requirement := in("version", value)
	switch w.r.IntN(6) {
	case 0:
		t.MatchLabelKeys = []string{"version"}
	case 1:
		t.MismatchLabelKeys = []string{"version"}
		requirement.Operator = metav1.LabelSelectorOpNotIn
	default:
		return
	}
	if ok {
		t.LabelSelector.MatchExpressions = append(t.LabelSelector.MatchExpressions, requirement)
	}
}
