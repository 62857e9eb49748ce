package preempt

import (
	"fmt"
	"math/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/test/peers/scheduling/workloads"
)

// BenchmarkPreempt is the decision of test/peers/scheduling's workload preemption: Decide finds no node among 5,000, four pods
// on each, and Preempt three victims; they go, and the pod comes. kube-scheduler takes 30 ms of CPU here
// (test/peers/recorded/upstream/decisions.json), and looks at a tenth of the candidates only.
func BenchmarkPreempt(b *testing.B) {
	labels := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "coming"}}
	for _, k := range []struct {
		name   string
		change func(*corev1.Pod, int)
	}{
		{"plain", func(*corev1.Pod, int) {}},
		{"unlike", func(p *corev1.Pod, i int) {
			p.Spec.NodeSelector = map[string]string{corev1.LabelTopologyZone: fmt.Sprint("zone-", i%3)}
			p.Spec.Priority = new(int32(10 + i))
		}},
		{"antiaffinity", func(p *corev1.Pod, _ int) {
			p.Labels = map[string]string{"app": "coming"}
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
				{TopologyKey: corev1.LabelHostname, LabelSelector: labels}}}}
		}},
		{"spread", func(p *corev1.Pod, _ int) {
			p.Labels = map[string]string{"app": "coming"}
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone,
				WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: labels}}
		}},
	} {
		b.Run(k.name, func(b *testing.B) { benchmark(b, k.change) })
	}
}

func benchmark(b *testing.B, change func(*corev1.Pod, int)) {
	const most = 3000 // so that the cluster stays as it was, mostly
	w, err := workloads.Make("preemption", 5000, min(b.N, most))
	if err != nil {
		b.Fatal(err)
	}
	table := place.NewTable()
	fill := func() {
		for _, o := range w.Objects {
			switch o := o.(type) {
			case *corev1.Node:
				table.SetNode(o)
			case *corev1.Pod:
				table.SetPod(o, o.Spec.NodeName)
			}
		}
	}
	fill()
	policy, err := place.DefaultProfile().Compile()
	if err != nil {
		b.Fatal(err)
	}
	p, rng := New(table, &Budgets{}), rand.New(rand.NewSource(1))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i > 0 && i%most == 0 {
			b.StopTimer()
			for _, pod := range w.Pods {
				table.RemovePod(pod.UID)
			}
			fill()
			b.StartTimer()
		}
		pod := w.Pods[i%most]
		change(pod, i)
		decision, err := table.Decide(pod, policy, rng, nil)
		if err != nil || decision.Node != "" {
			b.Fatalf("%d: %+v, %v", i, decision, err)
		}
		plan, err := p.Preempt(pod, policy, decision.Failure, nil)
		if err != nil || len(plan.Victims) != 3 {
			b.Fatalf("%d: %+v, %v", i, plan, err)
		}
		for _, v := range plan.Victims {
			table.RemovePod(v.UID)
		}
		table.SetPod(pod, plan.Node)
	}
}
