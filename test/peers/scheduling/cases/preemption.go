package cases

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// levels are priority classes and their values.
var levels = []struct {
	name  string
	value int32
}{{"", 0}, {"low", -5}, {"mid", 100}, {"high", 1000}, {"top", 1000000}}

// crowd are full nodes, and pods of several priorities, some of which preempt nobody.
var crowd = trait{
	before: func(w *world) {
		w.full = true
		for _, l := range levels[1:] {
			w.add(&schedulingv1.PriorityClass{
				ObjectMeta: metav1.ObjectMeta{Name: l.name, UID: w.uid()}, Value: l.value, PreemptionPolicy: new(corev1.PreemptLowerPriority),
			})
		}
	},
	pod: func(w *world, p *corev1.Pod) {
		l := one(w, levels...)
		p.Spec.PriorityClassName, p.Spec.Priority = l.name, new(l.value)
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU: amount(int64(one(w, 250, 500, 1000, 1500))), corev1.ResourceMemory: bytesOf(int64(one(w, 256, 512, 1024)) * mebi),
		}
	},
	asked: func(w *world, p *corev1.Pod) {
		l := one(w, levels[2:]...)
		p.Spec.PriorityClassName, p.Spec.Priority = l.name, new(l.value)
		p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = amount(int64(one(w, 1500, 2000, 3000, 4000, 9000)))
		if w.once(10) {
			p.Spec.PreemptionPolicy = new(corev1.PreemptNever)
		}
	},
}

// budgets are disruption budgets that allow no more disruptions, or a few; some pods are under two.
var budgets = trait{before: func(w *world) {
	for i := range w.between(2, 8) {
		pdb := &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("budget-%d", i), Namespace: one(w, namespaces...), UID: w.uid()},
			Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.FromInt32(1)),
				Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": one(w, apps...)}}},
			Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: int32(one(w, 0, 0, 1, 2)), ObservedGeneration: 1},
		}
		switch w.r.IntN(8) {
		case 0:
			pdb.Spec.Selector = &metav1.LabelSelector{}
		case 1:
			pdb.Spec.Selector = nil
		case 2:
			pdb.Status.DisruptedPods = map[string]metav1.Time{fmt.Sprintf("run-%03d", w.between(0, 40)): metav1.NewTime(epoch)}
		}
		w.add(pdb)
	}
}}

// nominated are pods that have been promised a node, whose room others must leave if their priority is not higher; pods that are asked for may be
// such themselves.
var nominated = trait{
	after: func(w *world) {
		for i := range w.between(1, 6) {
			p := w.pod(fmt.Sprintf("promised-%d", i))
			l := one(w, levels...)
			p.Spec.Priority = new(l.value)
			p.Status.Phase, p.CreationTimestamp = corev1.PodPending, metav1.NewTime(epoch)
			p.Status.NominatedNodeName = one(w, w.nodes...).Name
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: amount(int64(one(w, 1000, 2000, 3000)))}
			if w.once(3) {
				affinityOf(p).PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
					TopologyKey: one(w, corev1.LabelTopologyZone, corev1.LabelHostname), LabelSelector: w.selector(p),
				}}}
			}
			if w.once(3) {
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080, Protocol: corev1.ProtocolTCP}}
			}
			w.pods = append(w.pods, p)
		}
	},
	asked: func(w *world, p *corev1.Pod) {
		p.Spec.Priority = new(one(w, levels...).value)
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: amount(int64(one(w, 500, 1000, 2000, 3000)))}
		if w.once(3) {
			affinityOf(p).PodAffinity = &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: corev1.LabelTopologyZone, LabelSelector: w.selector(p),
			}}}
		}
		if w.once(3) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080, Protocol: corev1.ProtocolTCP}}
		}
		if w.once(3) {
			p.Status.NominatedNodeName = one(w, w.nodes...).Name
		}
	},
}
