package main

import (
	"errors"
	"fmt"
	"math/rand"
	"runtime"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/test/peers/scheduling/workloads"
)

// errLacks says that floe has no rule that a workload is about.
var errLacks = errors.New("floe does not have this yet")

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
	rng := rand.New(rand.NewSource(seed))
	for i, pod := range w.Pods {
		var plan place.Plan
		err := meter.Time(func() (err error) {
			plan, err = t.Decide(pod, policy, rng, nil)
			return err
		})
		if err != nil {
			return workloads.Result{}, fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		if plan.Node == "" && len(w.Between) == 0 {
			return workloads.Result{}, errLacks // preemption
		}
		if plan.Node != "" {
			t.SetPod(pod, plan.Node)
		}
		if i < len(w.Between) {
			t.SetPod(w.Between[i], w.Between[i].Spec.NodeName)
		}
	}
	return meter.Done(), nil
}
