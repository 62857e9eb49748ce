package main

import (
	"fmt"
	"math/rand"
	"runtime"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/preempt"
	"github.com/floe-k8s/floe/test/peers/scheduling/workloads"
)

// seed chooses among equals.
const seed = 1

// floe decides the pods of a workload one after the other, as test/peers/upstream/decide makes kube-scheduler do.
func floe(w workloads.Workload) (workloads.Result, error) {
	t := place.NewTable()
	for _, o := range w.Objects {
		switch o := o.(type) {
		case *corev1.Namespace:
			t.SetNamespace(o.Name, o.Labels)
		case *corev1.Node:
			t.SetNode(o)
		case *corev1.Pod:
			t.SetPod(o, o.Spec.NodeName)
		}
	}
	policy, err := place.DefaultProfile().Compile()
	if err != nil {
		return workloads.Result{}, err
	}
	meter := workloads.Meter{Clock: clock.RealClock{}, Result: workloads.Result{Name: w.Name, Nodes: t.Nodes(), Placed: t.Pods()}}
	runtime.GC() // what making the cluster left behind is nobody's decision
	rng, preemptor := rand.New(rand.NewSource(seed)), preempt.New(t, &preempt.Budgets{})
	for i, pod := range w.Pods {
		var node string
		var evict []place.Placed
		err := meter.Time(func() (err error) {
			node, evict, err = decide(t, pod, policy, rng, preemptor)
			return err
		})
		if err != nil {
			return workloads.Result{}, fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		for _, v := range evict {
			t.RemovePod(v.UID)
		}
		if node != "" {
			t.SetPod(pod, node)
		}
		if i < len(w.Between) {
			t.SetPod(w.Between[i], w.Between[i].Spec.NodeName)
		}
	}
	return meter.Done(), nil
}

// decide is where a pod goes, and who has to go for it; no node is "".
func decide(t *place.Table, pod *corev1.Pod, policy *place.Policy, rng *rand.Rand, p *preempt.Preemptor) (string, []place.Placed, error) {
	plan, err := t.Decide(pod, policy, rng, nil)
	if err != nil || plan.Node != "" {
		return plan.Node, nil, err
	}
	room, err := p.Preempt(pod, policy, plan.Failure, nil)
	return room.Node, room.Victims, err
}
