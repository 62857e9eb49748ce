package cases

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// spread are constraints that must hold; softSpread are those that may be broken. Both use every field.
var (
	spread = trait{node: someTaints, pod: func(w *world, p *corev1.Pod) {
		for range w.between(0, 2) {
			c := w.constraint(p)
			c.WhenUnsatisfiable = corev1.DoNotSchedule
			if w.once(4) {
				c.MinDomains = new(int32(w.between(1, 5)))
			}
			p.Spec.TopologySpreadConstraints = addConstraint(p.Spec.TopologySpreadConstraints, c)
		}
	}}
	softSpread = trait{node: someTaints, pod: func(w *world, p *corev1.Pod) {
		for range w.between(0, 3) {
			c := w.constraint(p)
			c.WhenUnsatisfiable = corev1.ScheduleAnyway
			p.Spec.TopologySpreadConstraints = addConstraint(p.Spec.TopologySpreadConstraints, c)
		}
	}}
)

// addConstraint adds a constraint unless there is one with its key and effect: an API server refuses a second one.
func addConstraint(list []corev1.TopologySpreadConstraint, c corev1.TopologySpreadConstraint) []corev1.TopologySpreadConstraint {
	for _, have := range list {
		if have.TopologyKey == c.TopologyKey && have.WhenUnsatisfiable == c.WhenUnsatisfiable {
			return list
		}
	}
	return append(list, c)
}

// someTaints are for the policies of constraints that look at taints.
func someTaints(w *world, n *corev1.Node) {
	if w.once(6) && len(n.Spec.Taints) == 0 {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "dedicated", Value: "a", Effect: corev1.TaintEffectNoSchedule})
	}
}

func (w *world) constraint(p *corev1.Pod) corev1.TopologySpreadConstraint {
	c := corev1.TopologySpreadConstraint{
		MaxSkew: int32(one(w, 1, 1, 2, 3)), TopologyKey: one(w, corev1.LabelTopologyZone, corev1.LabelTopologyZone, corev1.LabelHostname, "rack"),
		LabelSelector: w.selector(p),
	}
	if w.once(3) {
		c.NodeAffinityPolicy = new(one(w, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore))
	}
	if w.once(3) {
		c.NodeTaintsPolicy = new(one(w, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore))
	}
	if w.once(4) && c.LabelSelector != nil {
		c.MatchLabelKeys = []string{one(w, "version", "absent")}
		if value, ok := p.Labels[c.MatchLabelKeys[0]]; ok && w.once(2) { // the API server adds it to the selector, older ones did not
			c.LabelSelector.MatchExpressions = append(c.LabelSelector.MatchExpressions, in(c.MatchLabelKeys[0], value))
		}
	}
	if w.once(4) && p.Spec.NodeSelector == nil {
		p.Spec.NodeSelector = map[string]string{"disk": one(w, "ssd", "hdd")}
	}
	return c
}

func in(key string, values ...string) metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: values}
}

// selector is a selector of pods, mostly one that matches the pod itself; perhaps nil or empty.
func (w *world) selector(p *corev1.Pod) *metav1.LabelSelector {
	switch w.r.IntN(12) {
	case 0:
		return nil
	case 1:
		return &metav1.LabelSelector{}
	case 2:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{in("app", some(w, 2, apps)...)}}
	case 3:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "version",
			Operator: one(w, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}}}
	case 4:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpNotIn,
			Values: some(w, 1, apps)}}}
	case 5:
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": one(w, apps...)}}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": p.Labels["app"]}}
}

// services are services and workloads whose pods are spread by default.
var services = trait{
	before: func(w *world) {
		for _, namespace := range namespaces {
			for _, app := range apps {
				if !w.once(3) {
					w.add(&corev1.Service{
						ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: namespace, UID: w.uid()},
						Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": app}, Type: corev1.ServiceTypeClusterIP},
					})
				}
				w.workload(namespace, app)
			}
		}
	},
	pod: func(w *world, p *corev1.Pod) {
		if w.once(4) {
			return
		}
		app := p.Labels["app"]
		owner := metav1.OwnerReference{Name: app, Controller: new(true), UID: "00000000-0000-4000-9000-000000000001"}
		owner.APIVersion, owner.Kind = "apps/v1", one(w, "ReplicaSet", "ReplicaSet", "StatefulSet")
		if w.once(5) {
			owner.APIVersion, owner.Kind = "v1", "ReplicationController"
		}
		p.OwnerReferences = []metav1.OwnerReference{owner}
	},
}

// workload adds a replica set, a stateful set and a replication controller of a name, or some of them.
func (w *world) workload(namespace, app string) {
	meta := metav1.ObjectMeta{Name: app, Namespace: namespace, UID: w.uid()}
	labels := map[string]string{"app": app}
	if w.once(3) {
		labels["version"] = "v1"
	}
	if w.once(2) {
		w.add(&appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: labels}}})
	}
	if w.once(2) {
		w.add(&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: labels}}})
	}
	if w.once(3) {
		w.add(&corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Replicas: new(int32(1)), Selector: labels}})
	}
}
