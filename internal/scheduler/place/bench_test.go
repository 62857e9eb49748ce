package place

import (
	"fmt"
	"math/rand"
	"runtime"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// cluster is scheduler_perf's: nodes of 4 cpus, 32 GiB and 110 pods, in ten zones.
func cluster(nodes int) *Table {
	t := NewTable()
	for i := range nodes {
		name := fmt.Sprintf("node-%06d", i)
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name,
			corev1.LabelTopologyZone: fmt.Sprint("zone-", i%10)}}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: milli(4000), corev1.ResourceMemory: units(32 << 30), corev1.ResourcePods: units(110)}
		t.SetNode(n)
	}
	for _, ns := range []string{"sched-0", "sched-1"} {
		t.SetNamespace(ns, map[string]string{"team": "devops"})
	}
	return t
}

// perfPod is scheduler_perf's default pod: 100m and 500Mi.
func perfPod(change ...func(*corev1.Pod)) func(i int) *corev1.Pod {
	base := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "sched-1"}}
	base.Spec.Containers = []corev1.Container{{Name: "pause", Image: "registry.k8s.io/pause:3.10", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: milli(100), corev1.ResourceMemory: units(500 << 20)}}, Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}
	base.Labels = map[string]string{"color": "blue"}
	for _, f := range change {
		f(base)
	}
	return func(i int) *corev1.Pod {
		p := base.DeepCopy()
		p.Name = fmt.Sprint("pod-", i)
		p.UID = types.UID(p.Name)
		return p
	}
}

func blue(key string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"color": "blue"}}, TopologyKey: key,
		Namespaces: []string{"sched-0", "sched-1"}}
}

func spreading(key string, when corev1.UnsatisfiableConstraintAction, skew int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, corev1.TopologySpreadConstraint{MaxSkew: skew, TopologyKey: key,
			WhenUnsatisfiable: when, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"color": "blue"}}})
	}
}

func workloads() map[string]func(int) *corev1.Pod {
	return map[string]func(int) *corev1.Pod{
		"SchedulingBasic": perfPod(),
		"SchedulingNodeAffinity": perfPod(func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone,
					Operator: corev1.NodeSelectorOpIn, Values: []string{"zone-1", "zone-2"}}}}}}}}
		}),
		"SchedulingPodAffinity": perfPod(func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{blue(corev1.LabelTopologyZone)}}}
		}),
		"SchedulingPodAntiAffinity": perfPod(func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{blue(corev1.LabelHostname)}}}
		}),
		"SchedulingPreferredPodAffinity": perfPod(func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
				{Weight: 1, PodAffinityTerm: blue(corev1.LabelHostname)}}}}
		}),
		"SchedulingPreferredPodAntiAffinity": perfPod(func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
				{Weight: 1, PodAffinityTerm: blue(corev1.LabelHostname)}}}}
		}),
		"SchedulingRequiredPodAntiAffinityWithNSSelector": perfPod(func(p *corev1.Pod) {
			t := blue(corev1.LabelHostname)
			t.Namespaces, t.NamespaceSelector = nil, &metav1.LabelSelector{MatchLabels: map[string]string{"team": "devops"}}
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{t}}}
		}),
		"TopologySpreading":          perfPod(spreading(corev1.LabelTopologyZone, corev1.DoNotSchedule, 5)),
		"TopologySpreadingHostname":  perfPod(spreading(corev1.LabelHostname, corev1.DoNotSchedule, 5)),
		"PreferredTopologySpreading": perfPod(spreading(corev1.LabelTopologyZone, corev1.ScheduleAnyway, 5), spreading(corev1.LabelHostname, corev1.ScheduleAnyway, 3)),
		"DefaultTopologySpreading":   perfPod(func(p *corev1.Pod) { p.Labels["app"] = "served" }),
		"OwnLabels":                  perfPod(func(p *corev1.Pod) { p.Labels["own"] = "yes" }),
	}
}

// BenchmarkDecide places pods one after the other, up to half of what the cluster holds; then they all go and it begins
// again. What placing costs is in the figure.
func BenchmarkDecide(b *testing.B) {
	for _, nodes := range []int{5000, 100000} {
		t, p := cluster(nodes), policy(b)
		t.SetService("sched-1", "served", map[string]string{"app": "served"})
		for name, pod := range workloads() {
			b.Run(fmt.Sprintf("%s/%d", name, nodes), func(b *testing.B) { place(b, t, p, pod) })
		}
	}
}

func place(b *testing.B, t *Table, p *Policy, pod func(int) *corev1.Pod) {
	const most = 1000
	pods := make([]*corev1.Pod, most)
	for i := range pods {
		pods[i] = pod(i)
		if pods[i].Labels["own"] != "" {
			pods[i].Labels["own"] = pods[i].Name
		}
	}
	clear := func() {
		for _, o := range pods {
			t.RemovePod(o.UID)
		}
	}
	rng := rand.New(rand.NewSource(1))
	if _, err := t.Decide(pods[0], p, rng, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n, spent, at := 0, time.Duration(0), cpuTime()
	for b.Loop() {
		o := pods[n%most]
		if n > 0 && n%most == 0 {
			b.StopTimer()
			spent += cpuTime() - at
			clear()
			if _, err := t.Decide(o, p, rng, nil); err != nil { // looks at all that went
				b.Fatal(err)
			}
			at = cpuTime()
			b.StartTimer()
		}
		plan, err := t.Decide(o, p, rng, nil)
		if err != nil || plan.Node == "" {
			b.Fatalf("pod %s: %+v, %v", o.Name, plan.Failure, err)
		}
		t.SetPod(o, plan.Node)
		n++
	}
	b.ReportMetric(float64(spent+cpuTime()-at)/float64(n), "cpu-ns/op")
	clear()
}

// cpuTime is what the process has used. The figure to trust where a machine is shared.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRefuse asks for a pod that fits nowhere.
func BenchmarkRefuse(b *testing.B) {
	for _, nodes := range []int{5000, 100000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			t, p, rng := cluster(nodes), policy(b), rand.New(rand.NewSource(1))
			pod := perfPod(func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = milli(9000) })(0)
			small := perfPod()(1)
			b.ReportAllocs()
			for b.Loop() {
				plan, err := t.Decide(pod, p, rng, nil)
				if err != nil || plan.Failure.Reasons[0].Nodes != nodes {
					b.Fatal(plan, err)
				}
				t.SetPod(small, fmt.Sprintf("node-%06d", rng.Intn(nodes)))
			}
		})
	}
}

// BenchmarkClass makes the class of a pod unlike any other.
func BenchmarkClass(b *testing.B) {
	for _, nodes := range []int{5000, 100000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			t, p, rng := cluster(nodes), policy(b), rand.New(rand.NewSource(1))
			i := 0
			for b.Loop() {
				i++
				pod := perfPod(func(p *corev1.Pod) { p.Spec.Containers[0].Image = fmt.Sprint("image-", i) })(0)
				if plan, err := t.Decide(pod, p, rng, nil); err != nil || plan.Node == "" {
					b.Fatal(plan, err)
				}
			}
		})
	}
}

// BenchmarkMillion places 1,000,000 pods on 100,000 nodes. Run it with -benchtime 1x.
func BenchmarkMillion(b *testing.B) {
	const nodes, pods = 100000, 1000000
	for b.Loop() {
		before, at := heap(), cpuTime()
		t, p, rng, pod := cluster(nodes), policy(b), rand.New(rand.NewSource(1)), perfPod()
		for i := range pods {
			o := pod(i)
			plan, err := t.Decide(o, p, rng, nil)
			if err != nil || plan.Node == "" {
				b.Fatal(plan, err)
			}
			t.SetPod(o, plan.Node)
		}
		b.ReportMetric(float64(cpuTime()-at)/pods, "cpu-ns/pod")
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		runtime.KeepAlive(t)
	}
}

// TestMemory fills a table: a tenth of the acceptance's size, and what a pod may cost.
func TestMemory(t *testing.T) {
	const nodes, pods = 10000, 100000
	before := heap()
	table, p, rng, pod := cluster(nodes), policy(t), rand.New(rand.NewSource(1)), perfPod()
	empty := heap()
	for i := range pods {
		o := pod(i)
		plan, err := table.Decide(o, p, rng, nil)
		if err != nil || plan.Node == "" {
			t.Fatal(plan, err)
		}
		table.SetPod(o, plan.Node)
	}
	full := heap()
	perNode, perPod := (empty-before)/nodes, (full-empty)/pods
	t.Logf("%d bytes a node, %d bytes a pod; %+v", perNode, perPod, table.Stats())
	if perNode > 4096 || perPod > 512 {
		t.Errorf("%d bytes a node, %d a pod: at most 4096 and 512", perNode, perPod)
	}
	runtime.KeepAlive(table)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
