// Package podgc removes pods that nobody else would: whose node is gone, that were never on one, whose node is out of service, and those that have ended when there are
// too many.
//
// # Vocabulary
//
// A pod is orphaned when the node that it is bound to is not there. It is forced away by saying that it failed, unless it has ended, and deleting it without grace.
//
// # Laws
//
//   - An orphaned pod is left for 40 s in case its node comes (back); it says why it goes: the condition DisruptionTarget, reason DeletionByPodGC.
//   - A pod that is being deleted goes at once when it has no node, or when its node is not ready and has the taint node.kubernetes.io/out-of-service.
//   - Of the pods that have ended so many are kept as the threshold says. Those that were evicted go first, then the oldest, once in 20 s at most.
//   - A pod costs something when it ends, is deleted or loses its node. Only pods that have ended are ever gone through, and only when there are too many.
//
// What is remembered of pods is found again after a start. Lock: controller.mu is a leaf; under it is no I/O.
package podgc

import (
	"cmp"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// DefaultThreshold is how many pods that have ended are kept.
const DefaultThreshold = 12500

// quarantine is how long an orphaned pod is left, and period how often pods that have ended go.
const (
	quarantine = 40 * time.Second
	period     = 20 * time.Second
)

func nodes() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }

// New returns the controller, which keeps threshold pods that have ended; 0: all. It is run once.
func New(threshold int, m *Metrics) engine.Controller {
	c := &controller{threshold: threshold, metrics: m, ended: map[types.NamespacedName]bool{}, orphaned: map[types.NamespacedName]time.Time{}}
	return engine.Controller{
		Name: "podgc", Component: "pod-garbage-collector", User: "system:serviceaccount:kube-system:pod-garbage-collector",
		Inputs: []engine.Input{{Resource: nodes(), Keys: nodeKeys}, {Resource: pods.Resource(), Keys: podKeys}},
		Outputs: []engine.Output{
			{Resource: pods.Resource(), Fields: []string{"status.conditions[DisruptionTarget:DeletionByPodGC]", "status.phase[Failed:orphaned]"}},
		},
		Queue: "orphaned_pods_nodes", Reconcile: c.reconcile,
	}
}

// terminated says that a pod has ended, as upstream does: it neither waits nor runs, nor is it unknown what it does.
func terminated(p *corev1.Pod) bool {
	return p.Status.Phase != corev1.PodPending && p.Status.Phase != corev1.PodRunning && p.Status.Phase != corev1.PodUnknown
}

// outOfService says that a node's pods have ended for sure.
func outOfService(obj kinds.Object) bool {
	n, ok := obj.(*corev1.Node)
	return ok && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService }) &&
		!slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
}

func podKey(p kinds.Object) engine.Key {
	return engine.Key{Resource: pods.Resource(), Namespace: p.GetNamespace(), Name: p.GetName()}
}

// nodeKeys are the pods of a node that is gone or back, and those that are being deleted of one that has gone out of service.
func nodeKeys(view client.View, change client.Change) (keys []engine.Key) {
	out := outOfService(change.New) && !outOfService(change.Old)
	if change.New != nil && change.Old != nil && !out {
		return nil
	}
	for obj := range view.Lookup(pods.Resource(), "spec.nodeName", change.Newest().GetName()) {
		if change.New == nil || out && obj.GetDeletionTimestamp() != nil {
			keys = append(keys, podKey(obj))
		}
	}
	return keys
}

// podKeys is a pod that is gone, has ended, has no node that is there, or is being deleted where nobody would end it.
func podKeys(view client.View, change client.Change) []engine.Key {
	p, ok := change.New.(*corev1.Pod)
	if !ok {
		return []engine.Key{podKey(change.Old)}
	}
	was, _ := change.Old.(*corev1.Pod)
	node := view.Get(nodes(), "", p.Spec.NodeName)
	switch {
	case terminated(p) && (was == nil || !terminated(was)), p.Spec.NodeName != "" && node == nil,
		p.DeletionTimestamp != nil && (p.Spec.NodeName == "" || outOfService(node)):
		return []engine.Key{podKey(p)}
	}
	return nil
}

type controller struct {
	threshold int
	metrics   *Metrics

	mu       sync.Mutex                         // guards all below
	ended    map[types.NamespacedName]bool      // pods that have ended
	swept    time.Time                          // when there were too many last
	orphaned map[types.NamespacedName]time.Time // since when pods' nodes are known not to be there
}

func (c *controller) reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := types.NamespacedName{Namespace: key.Namespace, Name: key.Name}
	p, ok := view.Get(pods.Resource(), key.Namespace, key.Name).(*corev1.Pod)
	if !ok || p.Spec.NodeName == "" || view.Get(nodes(), "", p.Spec.NodeName) != nil {
		delete(c.orphaned, name)
	}
	if !ok || !terminated(p) {
		delete(c.ended, name)
	} else {
		c.ended[name] = true
	}
	if !ok {
		return engine.Plan{}, nil
	}
	if plan, mine := c.oneLocked(view, name, p, now); mine {
		return plan, nil
	}
	return c.sweepLocked(view, now), nil
}

// oneLocked says what is to become of a pod for itself; false: nothing.
func (c *controller) oneLocked(view client.View, name types.NamespacedName, p *corev1.Pod, now time.Time) (engine.Plan, bool) {
	forced := p.DeletionGracePeriodSeconds != nil && *p.DeletionGracePeriodSeconds == 0
	if forced && pods.Ended(p) { // only finalizers hold it
		return engine.Plan{}, false
	}
	node := view.Get(nodes(), "", p.Spec.NodeName)
	switch {
	case p.Spec.NodeName == "" && p.DeletionTimestamp != nil:
		return engine.Plan{Writes: c.force(p, reasonUnscheduled, p.Status.DeepCopy())}, true
	case p.Spec.NodeName == "":
		return engine.Plan{}, false
	case node != nil && p.DeletionTimestamp != nil && outOfService(node):
		return engine.Plan{Writes: c.force(p, reasonOutOfService, p.Status.DeepCopy())}, true
	case node != nil:
		return engine.Plan{}, false
	}
	since, known := c.orphaned[name]
	if !known {
		since = now
		c.orphaned[name] = now
	}
	if left := since.Add(quarantine).Sub(now); left > 0 {
		return engine.Plan{After: left}, true
	}
	status, _ := pods.Disrupted(p, "DeletionByPodGC", "PodGC: node no longer exists", now)
	return engine.Plan{Writes: c.force(p, reasonOrphaned, status)}, true
}

// sweepLocked deletes pods that have ended while there are too many of them.
func (c *controller) sweepLocked(view client.View, now time.Time) engine.Plan {
	if c.threshold == 0 || len(c.ended) <= c.threshold {
		return engine.Plan{}
	}
	if left := c.swept.Add(period).Sub(now); left > 0 {
		return engine.Plan{After: left}
	}
	c.swept = now
	list := make([]*corev1.Pod, 0, len(c.ended))
	for name := range c.ended {
		if p, ok := view.Get(pods.Resource(), name.Namespace, name.Name).(*corev1.Pod); ok && terminated(p) {
			list = append(list, p)
		} else {
			delete(c.ended, name)
		}
	}
	var plan engine.Plan
	for _, p := range excess(list, c.threshold) {
		for _, w := range c.force(p, reasonTerminated, p.Status.DeepCopy()) {
			if w.Verb == engine.Delete {
				w.Batch = 1
			}
			plan.Writes = append(plan.Writes, w)
		}
	}
	return plan
}

// excess sorts pods and returns those that go first, so that as many stay as are kept.
func excess(list []*corev1.Pod, keep int) []*corev1.Pod {
	slices.SortFunc(list, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(late(a), late(b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Namespace, b.Namespace))
	})
	return list[:max(len(list)-keep, 0)]
}

// late is 0 for pods that were evicted, which go before all others.
func late(p *corev1.Pod) int {
	if p.Status.Phase == corev1.PodFailed && p.Status.Reason == "Evicted" {
		return 0
	}
	return 1
}

// force deletes a pod without grace. One that has not ended is said to have failed first; status is what else is said then.
func (c *controller) force(p *corev1.Pod, reason string, status *corev1.PodStatus) (writes []engine.Write) {
	if !pods.Ended(p) {
		status.Phase, status.ObservedGeneration = corev1.PodFailed, p.Generation
		w := pods.PatchStatus(p, status)
		w.Event = func(_ kinds.Object, err error) *engine.Event {
			if err != nil {
				c.metrics.count(p.Namespace, reason, err)
			}
			return nil
		}
		writes = append(writes, w)
	}
	w := engine.NewDelete(pods.Resource(), p, "")
	w.Options.GracePeriodSeconds = ptr.To[int64](0)
	w.Event = func(_ kinds.Object, err error) *engine.Event {
		c.metrics.count(p.Namespace, reason, err)
		return nil
	}
	return append(writes, w)
}
