package daemonset

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// verdict is what a node is to a set. What is wanted is bearable too.
type verdict struct{ wanted, bearable bool }

// place is where a set's pods go: the part of its template that says so, parsed once for all nodes.
type place struct {
	name        string // of the only node; "": any
	required    nodeaffinity.RequiredNodeAffinity
	tolerations []corev1.Toleration
}

func placeOf(set *appsv1.DaemonSet) place {
	spec := set.Spec.Template.Spec
	return place{spec.NodeName, nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: spec}), tolerations(&spec)}
}

// on asks about a node; nil is one that is not there. Affinity that cannot be parsed fits nowhere.
func (p place) on(n *corev1.Node) verdict {
	if n == nil || p.name != "" && p.name != n.Name {
		return verdict{}
	}
	if fits, _ := p.required.Match(n); !fits {
		return verdict{}
	}
	evicted := p.bars(n, corev1.TaintEffectNoExecute)
	return verdict{wanted: !evicted && !p.bars(n, corev1.TaintEffectNoSchedule), bearable: !evicted}
}

// bars says that a node has a taint of an effect that the pods do not tolerate.
func (p place) bars(n *corev1.Node, effect corev1.TaintEffect) bool {
	_, found := schedulinghelpers.FindMatchingUntoleratedTaint(klog.Logger{}, n.Spec.Taints, p.tolerations, func(t *corev1.Taint) bool { return t.Effect == effect },
		false) // as the scheduler: the gate of comparing tolerations is off
	return found
}

// tolerations are a template's and those that daemons have of themselves: they outlast a node that is not ready, out of reach, closed or under pressure.
func tolerations(spec *corev1.PodSpec) []corev1.Toleration {
	list := slices.Clone(spec.Tolerations)
	add := func(effect corev1.TaintEffect, keys ...string) {
		for _, key := range keys {
			t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
			if i := slices.IndexFunc(list, func(o corev1.Toleration) bool { return o.MatchToleration(&t) }); i >= 0 {
				list[i] = t
			} else {
				list = append(list, t)
			}
		}
	}
	add(corev1.TaintEffectNoExecute, corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable)
	add(corev1.TaintEffectNoSchedule, corev1.TaintNodeDiskPressure, corev1.TaintNodeMemoryPressure, corev1.TaintNodePIDPressure, corev1.TaintNodeUnschedulable)
	if spec.HostNetwork {
		add(corev1.TaintEffectNoSchedule, corev1.TaintNodeNetworkUnavailable)
	}
	return list
}

// aimed is a template's affinity, the required part of its node affinity replaced: to one node. What is given is not changed.
func aimed(at *corev1.Affinity, node string) *corev1.Affinity {
	if at = at.DeepCopy(); at == nil {
		at = &corev1.Affinity{}
	}
	if at.NodeAffinity == nil {
		at.NodeAffinity = &corev1.NodeAffinity{}
	}
	at.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
	}}}
	return at
}

// target is the node that a pod is on, or for; "" when it does not say.
func target(p *corev1.Pod) string {
	if p.Spec.NodeName != "" {
		return p.Spec.NodeName
	}
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, r := range term.MatchFields {
			if r.Key != metav1.ObjectNameField || r.Operator != corev1.NodeSelectorOpIn {
				continue
			}
			if len(r.Values) != 1 {
				return ""
			}
			return r.Values[0]
		}
	}
	return ""
}
