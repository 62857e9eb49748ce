// Package workloads makes large clusters on which the time of a single decision is measured, for kube-scheduler and for floe: both get the same
// snapshot.
//
// The clusters are those of upstream's scheduler_perf: nodes of 4 CPUs, 32 GiB and 110 pods in three zones, with placed pods of the kind that is to
// come. What is timed is a decision: to bring one's snapshot up to date, look at all nodes, score those that fit, and where none does, find whom to
// preempt. Between two decisions the pod is placed where it was decided to go, as a scheduler does, and the evicted are gone; what fits nowhere is
// followed by a pod that does, so that nobody is asked the same question twice about the same cluster.
//
// The same clusters, and more of scheduler_perf's, are made for a server and its scheduler (server.go): there a pod is timed from its creation to bound.
package workloads

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Workload is a cluster and the pods that come.
type Workload struct {
	Name    string           `json:"name"`
	Objects []runtime.Object `json:"objects"` // namespaces, nodes, placed pods
	Pods    []*corev1.Pod    `json:"pods"`    // to be decided, one after the other
	Between []*corev1.Pod    `json:"between"` // as many, or none: placed after each, without being timed
}

// kind makes the pods of a workload.
type kind struct {
	name   string
	placed func(*corev1.Pod, int) // what is on the nodes already; nil: what is to come
	coming func(*corev1.Pod, int)
	full   bool   // four pods on each node, that leave no room
	futile bool   // what comes fits nowhere
	server server // what is more, or otherwise, on a server
}

// Names are the workloads whose decisions are timed.
func Names() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// kinds are the workloads whose decisions are timed.
func kinds() []kind {
	zone, host := corev1.LabelTopologyZone, corev1.LabelHostname
	return []kind{
		{name: "basic", coming: plain},
		{name: "node affinity", coming: func(p *corev1.Pod, _ int) { inZones(p, "zone-1", "zone-2") }},
		{name: "pod affinity", coming: affinity(towards(term(zone)))},
		{name: "preferred pod affinity", coming: affinity(preferring(term(host)))},
		{name: "pod anti-affinity", coming: affinity(away(term(host))), placed: green},
		{name: "preferred pod anti-affinity", coming: affinity(avoiding(term(host)))},
		{name: "spread by zone", coming: spread(zone, corev1.DoNotSchedule)},
		{name: "spread by host", coming: spread(host, corev1.DoNotSchedule)},
		{name: "preferred spread", coming: spread(zone, corev1.ScheduleAnyway)},
		{name: "preemption", full: true, placed: func(p *corev1.Pod, _ int) {
			request(p, 900)
			p.Spec.TerminationGracePeriodSeconds = new(int64(0))
		}, coming: func(p *corev1.Pod, _ int) {
			request(p, 3000)
			p.Spec.PriorityClassName, p.Spec.Priority = priorityClass().Name, new(priorityClass().Value)
		}, server: server{objects: func(int, int) []runtime.Object { return []runtime.Object{priorityClass()} }}},
		{name: "unschedulable", futile: true, coming: futile, placed: plain, server: server{coming: plain, beside: func(i int) runtime.Object {
			p := pod(fmt.Sprintf("futile-%05d", i))
			futile(p, i)
			return p
		}}},
	}
}

// Styles of pods.

func plain(*corev1.Pod, int) {}

func futile(p *corev1.Pod, _ int) { request(p, 9000) }

// green makes every other pod one of the kind that affinity is about.
func green(p *corev1.Pod, i int) {
	if i%2 == 0 {
		p.Labels["color"] = "green"
	}
}

// Make makes a workload by its name, with so many nodes and pods to be decided.
func Make(name string, nodes, pods int) (Workload, error) {
	for _, k := range kinds() {
		if k.name == name {
			return k.make(nodes, pods), nil
		}
	}
	return Workload{}, fmt.Errorf("there is no workload %q", name)
}

func (k kind) make(nodes, pods int) Workload {
	w := Workload{Name: k.name, Objects: []runtime.Object{namespace()}}
	for i := range nodes {
		w.Objects = append(w.Objects, node(i))
	}
	for _, p := range k.there(nodes) {
		p.Status.Phase, p.Status.StartTime = corev1.PodRunning, &metav1.Time{Time: p.CreationTimestamp.Time}
		w.Objects = append(w.Objects, p)
	}
	for i := range pods {
		p := pod(fmt.Sprintf("coming-%05d", i))
		k.coming(p, i)
		w.Pods = append(w.Pods, p)
		if k.futile {
			p := pod(fmt.Sprintf("between-%05d", i))
			p.Spec.NodeName = nodeName(i * 7 % nodes)
			w.Between = append(w.Between, p)
		}
	}
	return w
}

// there makes the pods that are on the nodes already.
func (k kind) there(nodes int) []*corev1.Pod {
	style, n := k.placed, nodes
	if style == nil {
		style = k.coming
	}
	if k.full {
		n = 4 * nodes
	}
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = pod(fmt.Sprintf("placed-%05d", i))
		style(pods[i], i)
		pods[i].Spec.NodeName = nodeName(i % nodes)
	}
	return pods
}

func nodeName(i int) string { return fmt.Sprintf("node-%05d", i) }

func meta(name string) metav1.ObjectMeta {
	at := metav1.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: at}
}

func namespace() *corev1.Namespace {
	return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: meta("default")}
}

func node(i int) *corev1.Node {
	n := &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: meta(nodeName(i))}
	n.Labels = map[string]string{corev1.LabelHostname: n.Name, corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%3)}
	n.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("32Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	n.Status.Capacity = n.Status.Allocatable
	return n
}

func pod(name string) *corev1.Pod {
	p := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: meta(name)}
	p.Namespace, p.Labels = "default", map[string]string{"color": "blue"}
	p.Spec = corev1.PodSpec{
		SchedulerName: corev1.DefaultSchedulerName, AutomountServiceAccountToken: new(false), Priority: new(int32(0)), PreemptionPolicy: new(corev1.PreemptLowerPriority),
		Containers: []corev1.Container{{Name: "pause", Image: "registry.k8s.io/pause:3.10"}},
	}
	request(p, 100)
	return p
}

func request(p *corev1.Pod, milli int64) {
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
		corev1.ResourceCPU: *resource.NewMilliQuantity(milli, resource.DecimalSI), corev1.ResourceMemory: resource.MustParse("500Mi"),
	}
}

func inZones(p *corev1.Pod, zones ...string) {
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: zones}},
		}},
	}}}
}

// affinity makes pods with an affinity, towards or away from their own kind.
func affinity(set func(*corev1.Affinity)) func(*corev1.Pod, int) {
	return func(p *corev1.Pod, _ int) {
		p.Labels["color"] = "green"
		p.Spec.Affinity = &corev1.Affinity{}
		set(p.Spec.Affinity)
	}
}

func towards(t corev1.PodAffinityTerm) func(*corev1.Affinity) {
	return func(a *corev1.Affinity) {
		a.PodAffinity = &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{t}}
	}
}

func preferring(t corev1.PodAffinityTerm) func(*corev1.Affinity) {
	return func(a *corev1.Affinity) {
		a.PodAffinity = &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: preferred(t)}
	}
}

func away(t corev1.PodAffinityTerm) func(*corev1.Affinity) {
	return func(a *corev1.Affinity) {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{t}}
	}
}

func avoiding(t corev1.PodAffinityTerm) func(*corev1.Affinity) {
	return func(a *corev1.Affinity) {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: preferred(t)}
	}
}

func term(key string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"color": "green"}}}
}

func preferred(t corev1.PodAffinityTerm) []corev1.WeightedPodAffinityTerm {
	return []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: t}}
}

func spread(key string, otherwise corev1.UnsatisfiableConstraintAction) func(*corev1.Pod, int) {
	return func(p *corev1.Pod, _ int) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 5, TopologyKey: key, WhenUnsatisfiable: otherwise, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"color": "blue"}},
		}}
	}
}
