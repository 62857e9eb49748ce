// Package nodetaint keeps the taints of nodes that follow from their conditions, so that nothing is scheduled where it would not run.
//
// # Vocabulary
//
// A condition's taint has the effect NoSchedule and a key of upstream's: node.kubernetes.io/not-ready for a node that says that it is not ready,
// node.kubernetes.io/unreachable for one of which nobody knows, and so on; node.kubernetes.io/unschedulable is that of a cordoned node.
//
// # Laws
//
//   - A node has the taints of its conditions, and no other of these keys with this effect. All other taints are left.
//   - A node that says nothing of its readiness keeps no taint for it: the admission plug-in TaintNodesByCondition, which gives new nodes that of one that is
//     not ready, covers the time until this controller has seen them.
//   - Signs of life wake nobody.
//
// # What it leaves to others
//
// Saying that a node is no longer heard of, and taints that evict (NoExecute), belong to what watches nodes' leases.
package nodetaint

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

var nodes = corev1.SchemeGroupVersion.WithResource("nodes")

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "node-taint", Component: "node-controller", User: "system:serviceaccount:kube-system:node-controller",
		Inputs:  []engine.Input{{Resource: nodes, Keys: wrong}},
		Outputs: []engine.Output{{Resource: nodes, Fields: []string{"spec.taints[node.kubernetes.io/*:NoSchedule]"}}},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			n, ok := view.Get(nodes, "", k.Name).(*corev1.Node)
			if !ok {
				return engine.Plan{}, nil
			}
			list, changed := revise(n, now)
			if !changed {
				return engine.Plan{}, nil
			}
			next := n.DeepCopy()
			next.Spec.Taints = list
			return engine.Plan{Writes: []engine.Write{engine.NewUpdate(nodes, next, "")}}, nil
		},
	}
}

// wrong is the node of a change when its taints are not those of its conditions.
func wrong(_ client.View, change client.Change) []engine.Key {
	n, ok := change.New.(*corev1.Node)
	if !ok {
		return nil
	}
	if _, changed := revise(n, time.Time{}); !changed {
		return nil
	}
	return []engine.Key{{Resource: nodes, Name: n.Name}}
}

// keyOf is the taint that follows from a condition; "": none does.
func keyOf(c corev1.NodeCondition) string {
	switch {
	case c.Type == corev1.NodeReady && c.Status == corev1.ConditionFalse:
		return corev1.TaintNodeNotReady
	case c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown:
		return corev1.TaintNodeUnreachable
	case c.Status != corev1.ConditionTrue:
		return ""
	case c.Type == corev1.NodeMemoryPressure:
		return corev1.TaintNodeMemoryPressure
	case c.Type == corev1.NodeDiskPressure:
		return corev1.TaintNodeDiskPressure
	case c.Type == corev1.NodePIDPressure:
		return corev1.TaintNodePIDPressure
	case c.Type == corev1.NodeNetworkUnavailable:
		return corev1.TaintNodeNetworkUnavailable
	}
	return ""
}

// own says that a taint is one of those that this controller writes.
func own(t corev1.Taint) bool {
	switch t.Key {
	case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeMemoryPressure, corev1.TaintNodeDiskPressure, corev1.TaintNodePIDPressure,
		corev1.TaintNodeNetworkUnavailable, corev1.TaintNodeUnschedulable:
		return t.Effect == corev1.TaintEffectNoSchedule
	}
	return false
}

// revise returns the taints that a node is to have, new ones last and since now, and whether they are others than it has.
func revise(n *corev1.Node, now time.Time) (list []corev1.Taint, changed bool) {
	var want []string
	for _, c := range n.Status.Conditions {
		if key := keyOf(c); key != "" {
			want = append(want, key)
		}
	}
	if n.Spec.Unschedulable {
		want = append(want, corev1.TaintNodeUnschedulable)
	}
	for _, t := range n.Spec.Taints {
		if i := slices.Index(want, t.Key); own(t) && i < 0 {
			changed = true
			continue
		} else if own(t) {
			want = slices.Delete(want, i, i+1)
		}
		list = append(list, t)
	}
	for _, key := range want {
		list = append(list, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule, TimeAdded: &metav1.Time{Time: now}})
	}
	return list, changed || len(want) > 0
}
