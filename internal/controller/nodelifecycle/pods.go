package nodelifecycle

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// podKeys is a pod that has come to a node that is not ready.
func podKeys(view client.View, change client.Change) []engine.Key {
	p, ok := change.New.(*corev1.Pod)
	if !ok || p.Spec.NodeName == "" || !pods.Ready(p) {
		return nil
	}
	if was, ok := change.Old.(*corev1.Pod); ok && was.Spec.NodeName == p.Spec.NodeName {
		return nil
	}
	if !away(view, p.Spec.NodeName) {
		return nil
	}
	return []engine.Key{{Resource: pods.Resource(), Namespace: p.Namespace, Name: p.Name}}
}

// away says that a node is there, and says or is said not to be ready.
func away(view client.View, name string) bool {
	n, ok := view.Get(nodes(), "", name).(*corev1.Node)
	return ok && readiness(n) != "" && readiness(n) != corev1.ConditionTrue
}

func reconcilePod(view client.View, key engine.Key, now time.Time) engine.Plan {
	p, ok := view.Get(pods.Resource(), key.Namespace, key.Name).(*corev1.Pod)
	if !ok || p.Spec.NodeName == "" || !pods.Ready(p) || !away(view, p.Spec.NodeName) {
		return engine.Plan{}
	}
	return engine.Plan{Writes: []engine.Write{markPod(p, now)}}
}

// markPods says of all pods of a node that say that they are ready that they are not.
func markPods(view client.View, node string, now time.Time) (writes []engine.Write) {
	for obj := range view.Lookup(pods.Resource(), "spec.nodeName", node) {
		if p := obj.(*corev1.Pod); pods.Ready(p) {
			w := markPod(p, now)
			w.Batch = 1
			writes = append(writes, w)
		}
	}
	return writes
}

func markPod(p *corev1.Pod, now time.Time) engine.Write {
	next := p.DeepCopy()
	i := slices.IndexFunc(next.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
	next.Status.Conditions[i].Status, next.Status.Conditions[i].LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(now)
	w := engine.NewUpdate(pods.Resource(), next, "status")
	w.Event = func(_ kinds.Object, err error) *engine.Event {
		if err != nil {
			return nil
		}
		return &engine.Event{About: engine.Refer("v1", "Pod", p), Type: corev1.EventTypeWarning, Reason: "NodeNotReady", Message: "Node is not ready"}
	}
	return w
}
