// Package tainteviction deletes pods from nodes with taints that they do not tolerate, or no longer.
//
// # Vocabulary
//
// Only taints with the effect NoExecute count. A pod tolerates a taint for ever, for some seconds (tolerationSeconds), or not at all; all of a node's taints for the
// shortest time that the tolerations say that match one of them.
//
//	stays ── its node has taints that it tolerates for a time ──► scheduled ── time is over, or one is not tolerated ──► deleted
//	  └◄────────────────────── taints go, or are tolerated for ever ──┘
//
// # Laws
//
//   - The time begins when the taints are seen, and is not changed by taints and tolerations that come later, as upstream's: only what cancels it, or a taint that is not
//     tolerated, does.
//   - What is deleted says why first: the condition DisruptionTarget, reason DeletionByTaintManager.
//   - Only pods on nodes with such taints cost anything; a change of a node's taints costs a look at its pods.
//
// Times are remembered by this process only: after a start they begin anew. Lock: controller.mu is a leaf; under it is no I/O.
package tainteviction

import (
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

func nodes() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }

// New returns the controller, which remembers what it has scheduled: it is run once.
func New(m *Metrics) engine.Controller {
	c := &controller{metrics: m, due: map[types.NamespacedName]eviction{}}
	return engine.Controller{
		Name: "taint-eviction", Component: "taint-eviction-controller", User: "system:serviceaccount:kube-system:node-controller",
		Inputs: []engine.Input{{Resource: nodes(), Keys: nodeKeys}, {Resource: pods.Resource(), Keys: podKeys}},
		Outputs: []engine.Output{
			{Resource: pods.Resource(), Fields: []string{"status.conditions[DisruptionTarget:DeletionByTaintManager]"}},
		},
		Workers: 8, Queue: "noexec_taint_pod", Reconcile: c.reconcile,
	}
}

// taints are those of a node, which may be nil, with the effect NoExecute.
func taints(obj kinds.Object) []corev1.Taint {
	n, ok := obj.(*corev1.Node)
	if !ok {
		return nil
	}
	var list []corev1.Taint
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			list = append(list, t)
		}
	}
	return list
}

func podKey(p kinds.Object) engine.Key {
	return engine.Key{Resource: pods.Resource(), Namespace: p.GetNamespace(), Name: p.GetName()}
}

// nodeKeys are the pods of a node whose taints have changed. Those of a node that is gone keep their time.
func nodeKeys(view client.View, change client.Change) (keys []engine.Key) {
	if change.New == nil || equality.Semantic.DeepEqual(taints(change.Old), taints(change.New)) {
		return nil
	}
	for obj := range view.Lookup(pods.Resource(), "spec.nodeName", change.New.GetName()) {
		keys = append(keys, podKey(obj))
	}
	return keys
}

// podKeys is a pod that is new on a node with taints, tolerates others than before, or is gone.
func podKeys(view client.View, change client.Change) []engine.Key {
	p, ok := change.New.(*corev1.Pod)
	if !ok {
		return []engine.Key{podKey(change.Old)}
	}
	if was, ok := change.Old.(*corev1.Pod); ok && was.Spec.NodeName == p.Spec.NodeName && was.UID == p.UID &&
		equality.Semantic.DeepEqual(was.Spec.Tolerations, p.Spec.Tolerations) {
		return nil
	}
	if p.Spec.NodeName == "" || taints(view.Get(nodes(), "", p.Spec.NodeName)) == nil {
		return nil
	}
	return []engine.Key{podKey(p)}
}

// eviction is a pod that is to be deleted at a time, or has been.
type eviction struct {
	uid  types.UID
	at   time.Time
	done bool
}

type controller struct {
	metrics *Metrics

	mu  sync.Mutex // guards due
	due map[types.NamespacedName]eviction
}

func (c *controller) reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	name := types.NamespacedName{Namespace: key.Namespace, Name: key.Name}
	p, ok := view.Get(pods.Resource(), key.Namespace, key.Name).(*corev1.Pod)
	c.mu.Lock()
	defer c.mu.Unlock()
	was, had := c.due[name]
	if !ok || had && was.uid != p.UID {
		delete(c.due, name)
		plan := engine.Plan{Events: cancelled(name, had && !was.done)}
		if ok {
			plan.After = time.Nanosecond // the new one's turn
		}
		return plan, nil
	}
	node := view.Get(nodes(), "", p.Spec.NodeName)
	if node == nil && !had {
		return engine.Plan{}, nil
	}
	next := eviction{uid: p.UID, at: was.at, done: was.done}
	if node != nil {
		stay, how := tolerated(taints(node), p.Spec.Tolerations)
		switch {
		case how == forEver:
			delete(c.due, name)
			return engine.Plan{Events: cancelled(name, had && !was.done)}, nil
		case how == notAtAll && !was.done && (!had || was.at.After(now)):
			next.at = now
		case !had:
			next.at = now.Add(stay)
		}
	}
	c.due[name] = next
	left := next.at.Sub(now)
	if left > 0 || next.done {
		return engine.Plan{After: max(left, 0)}, nil
	}
	plan := c.evict(name, p, next, now)
	plan.Events = append(cancelled(name, had && was.at.After(now)), plan.Events...)
	return plan, nil
}

// evict says of a pod why it goes, and deletes it.
func (c *controller) evict(name types.NamespacedName, p *corev1.Pod, e eviction, now time.Time) engine.Plan {
	plan := engine.Plan{Events: []engine.Event{about(name, "Marking for deletion Pod "+name.String())}}
	if status, changed := pods.Disrupted(p, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", now); changed {
		plan.Writes = append(plan.Writes, pods.PatchStatus(p, status))
	}
	gone := engine.NewDelete(pods.Resource(), p, "")
	gone.Event = func(_ kinds.Object, err error) *engine.Event {
		if err == nil {
			c.evicted(name, e, now)
		}
		return nil
	}
	plan.Writes = append(plan.Writes, gone)
	return plan
}

// evicted notes that a pod was deleted, so that it is not again while its containers end.
func (c *controller) evicted(name types.NamespacedName, e eviction, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due[name].uid == e.uid {
		e.done = true
		c.due[name] = e
	}
	c.metrics.deletions.Inc()
	c.metrics.late.Observe(now.Sub(e.at).Seconds())
}

// toleration is whether taints are tolerated.
type toleration int

const (
	notAtAll toleration = iota
	forATime
	forEver
)

// tolerated says for how long a pod with tolerations may stay where all of the taints are.
func tolerated(taints []corev1.Taint, list []corev1.Toleration) (time.Duration, toleration) {
	least := int64(-1)
	for i := range taints {
		j := slices.IndexFunc(list, func(t corev1.Toleration) bool { return t.ToleratesTaint(klog.Background(), &taints[i], true) })
		if j < 0 {
			return 0, notAtAll
		}
		if s := list[j].TolerationSeconds; s != nil && (least < 0 || *s < least) {
			least = max(*s, 0)
		}
	}
	if least < 0 {
		return 0, forEver
	}
	return time.Duration(least) * time.Second, forATime
}

func cancelled(name types.NamespacedName, was bool) []engine.Event {
	if !was {
		return nil
	}
	return []engine.Event{about(name, "Cancelling deletion of Pod "+name.String())}
}

func about(name types.NamespacedName, message string) engine.Event {
	return engine.Event{About: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: name.Namespace, Name: name.Name},
		Type: corev1.EventTypeNormal, Reason: "TaintManagerEviction", Message: message}
}
