package nodelifecycle

import (
	"fmt"
	"maps"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/node/topology"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// labelUncounted is on nodes that do not count in their zones.
const labelUncounted = "node.kubernetes.io/exclude-disruption"

// Config says how long nodes may be silent, and how fast their pods go then. All is as kube-controller-manager's flags of these names.
type Config struct {
	NodeMonitorPeriod         time.Duration // between looks at nodes that are not ready; above 0
	NodeMonitorGracePeriod    time.Duration
	NodeStartupGracePeriod    time.Duration // of nodes that have never said how they are
	NodeEvictionRate          float64       // nodes a second, in each zone
	SecondaryNodeEvictionRate float64       // in zones in partial disruption that are large
	LargeClusterSizeThreshold int           // nodes; zones with more are large
	UnhealthyZoneThreshold    float64       // share of a zone's nodes, 0 to 1
}

// Default is upstream's.
func Default() Config {
	return Config{
		NodeMonitorPeriod: 5 * time.Second, NodeMonitorGracePeriod: 50 * time.Second, NodeStartupGracePeriod: time.Minute,
		NodeEvictionRate: 0.1, SecondaryNodeEvictionRate: 0.01, LargeClusterSizeThreshold: 50, UnhealthyZoneThreshold: 0.55,
	}
}

func nodes() client.Resource  { return corev1.SchemeGroupVersion.WithResource("nodes") }
func leases() client.Resource { return coordinationv1.SchemeGroupVersion.WithResource("leases") }

// New returns the controller, which remembers what it has seen: it is run once.
func New(cfg Config, m *Metrics) engine.Controller {
	c := &controller{cfg: cfg, metrics: m, nodes: map[string]*health{}}
	c.zones = zones{cfg: &c.cfg, metrics: m, list: map[string]*zone{}, seeding: true}
	return engine.Controller{
		Name: "node-lifecycle", Component: "node-controller", User: "system:serviceaccount:kube-system:node-controller",
		Inputs: []engine.Input{{Resource: nodes(), Keys: nodeKeys}, {Resource: leases(), Keys: leaseKeys}, {Resource: pods.Resource(), Keys: podKeys}},
		Outputs: []engine.Output{
			{Resource: nodes(), Fields: []string{
				"metadata.labels[beta.kubernetes.io/arch,beta.kubernetes.io/os]",
				"spec.taints[node.kubernetes.io/*:NoSchedule,node.kubernetes.io/not-ready:NoExecute,node.kubernetes.io/unreachable:NoExecute]",
				"status.conditions[DiskPressure,MemoryPressure,PIDPressure,Ready]",
			}},
			{Resource: pods.Resource(), Fields: []string{"status.conditions[Ready]"}},
		},
		Workers: 8, Queue: "node_lifecycle_controller", Reconcile: c.reconcile,
	}
}

func nodeKeys(_ client.View, change client.Change) []engine.Key {
	return []engine.Key{{Resource: nodes(), Name: change.Newest().GetName()}}
}

// leaseKeys are the leases of nodes that were renewed.
func leaseKeys(_ client.View, change client.Change) []engine.Key {
	if change.New == nil || change.New.GetNamespace() != corev1.NamespaceNodeLease {
		return nil
	}
	return []engine.Key{{Resource: leases(), Namespace: corev1.NamespaceNodeLease, Name: change.New.GetName()}}
}

// controller is what is remembered.
type controller struct {
	cfg     Config
	metrics *Metrics

	mu    sync.Mutex // guards all below
	nodes map[string]*health
	zones zones
}

func (c *controller) reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	switch key.Resource {
	case leases():
		c.renewed(view, key.Name, now)
		return engine.Plan{}, nil
	case pods.Resource():
		return reconcilePod(view, key, now), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.zones.seeding {
		c.seed(view, now)
	}
	n, ok := view.Get(nodes(), "", key.Name).(*corev1.Node)
	h := c.nodes[key.Name]
	var events []engine.Event
	if h != nil && (!ok || h.looked && h.uid != n.UID) {
		events = append(events, c.forgetLocked(key.Name, h, now)...)
		h = nil
	}
	if !ok {
		return engine.Plan{Events: events}, nil
	}
	if h == nil {
		h = &health{}
		c.nodes[key.Name] = h
	}
	lease, _ := view.Get(leases(), corev1.NamespaceNodeLease, n.Name).(*coordinationv1.Lease)
	if first := !h.looked; first {
		h.uid = n.UID
		h.see(n, lease, now)
		events = append(events, nodeEvent(n.Name, h, "RegisteredNode", fmt.Sprintf("Node %s event: Registered Node %s in Controller", n.Name, n.Name)))
		return engine.Plan{Events: events, After: time.Nanosecond}, nil // told even when the first write fails
	}
	h.see(n, lease, now)
	return c.lookLocked(view, n, h, now), nil
}

// seed counts all nodes as they say that they are.
func (c *controller) seed(view client.View, now time.Time) {
	for obj := range view.List(nodes(), "") {
		n := obj.(*corev1.Node)
		h := &health{}
		c.nodes[n.Name] = h
		c.countLocked(n, h, readiness(n), now)
	}
	c.zones.seeded(now)
}

// countLocked makes a node with a readiness stand in its zone's numbers.
func (c *controller) countLocked(n *corev1.Node, h *health, ready corev1.ConditionStatus, now time.Time) {
	_, uncounted := n.Labels[labelUncounted]
	c.zones.count(h, topology.GetZoneKey(n), !uncounted, ready == corev1.ConditionTrue, now)
}

func (c *controller) forgetLocked(name string, h *health, now time.Time) []engine.Event {
	delete(c.nodes, name)
	c.zones.count(h, h.zone, false, false, now)
	if !h.looked {
		return nil
	}
	return []engine.Event{nodeEvent(name, h, "RemovingNode", fmt.Sprintf("Node %s event: Removing Node %s from Controller", name, name))}
}

// renewed notes that a node has renewed its lease.
func (c *controller) renewed(view client.View, name string, now time.Time) {
	lease, _ := view.Get(leases(), corev1.NamespaceNodeLease, name).(*coordinationv1.Lease)
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.nodes[name]; h != nil && h.looked { // else the first look at the node sees the lease
		h.renew(lease, now)
	}
}

// lookLocked says what is to do about a node that was seen just now.
func (c *controller) lookLocked(view client.View, n *corev1.Node, h *health, now time.Time) engine.Plan {
	grace := c.cfg.NodeMonitorGracePeriod
	if condition(n, corev1.NodeReady) == nil {
		grace = c.cfg.NodeStartupGracePeriod
	}
	alive := h.alive
	if alive.Before(c.zones.anew) {
		alive = c.zones.anew
	}
	left := alive.Add(grace).Sub(now)
	if left < 0 {
		if list := lost(n, now); list != nil {
			c.countLocked(n, h, corev1.ConditionUnknown, now)
			return c.declareLost(n, h, list)
		}
	}
	c.countLocked(n, h, readiness(n), now)
	after := c.cfg.NodeMonitorPeriod
	if readiness(n) == corev1.ConditionTrue || readiness(n) == "" {
		after = max(left, 0) + time.Nanosecond
	}
	plan := engine.Plan{After: after}
	evict, wait := c.evictLocked(n, h, now)
	if wait > 0 {
		plan.After = wait
	}
	if w, changed := c.revised(n, evict, h.zone, now); changed {
		plan.Writes = append(plan.Writes, w)
	}
	switch ready := readiness(n); {
	case ready == corev1.ConditionTrue:
		h.marking = false
	case h.marking && ready != "":
		marks := markPods(view, n.Name, now)
		h.marking = len(marks) > 0
		plan.Writes = append(plan.Writes, marks...)
	}
	return plan
}

// declareLost is the plan for a node whose conditions become Unknown. Its pods follow when that is written.
func (c *controller) declareLost(n *corev1.Node, h *health, list []corev1.NodeCondition) engine.Plan {
	was := readiness(n)
	next := n.DeepCopy()
	next.Status.Conditions = list
	w := engine.NewUpdate(nodes(), next, "status")
	plan := engine.Plan{Writes: []engine.Write{w}}
	if was == corev1.ConditionTrue {
		h.marking = true
		plan.Events = []engine.Event{nodeEvent(n.Name, h, "NodeNotReady", fmt.Sprintf("Node %s status is now: NodeNotReady", n.Name))}
	}
	if was == "" {
		h.posted = &condition(next, corev1.NodeReady).LastHeartbeatTime // no sign of life
	}
	return plan
}

// evictLocked is the taint with NoExecute that a node is to have now; when it has to wait for it, how long until it asks again.
func (c *controller) evictLocked(n *corev1.Node, h *health, now time.Time) (key string, wait time.Duration) {
	want, has := evictBy(n), evicting(n)
	if has != "" || want == "" {
		h.granted, h.asked = false, time.Time{}
	}
	switch {
	case c.zones.stopped || want == "":
		return "", 0
	case has != "": // changes at once
		return want, 0
	}
	if ok, wait := c.zones.grant(h, now); !ok {
		return "", wait
	}
	return want, 0
}

// revised is the write that gives a node the taints and labels that it is to have.
func (c *controller) revised(n *corev1.Node, evict, zone string, now time.Time) (engine.Write, bool) {
	taints, tainted := reviseTaints(n, evict, now)
	labels := reviseLabels(n)
	if !tainted && labels == nil {
		return engine.Write{}, false
	}
	next := n.DeepCopy()
	next.Spec.Taints = taints
	maps.Copy(next.Labels, labels)
	w := engine.NewUpdate(nodes(), next, "")
	if fresh := evict != "" && evicting(n) == ""; fresh {
		w.Event = func(_ kinds.Object, err error) *engine.Event {
			if err == nil {
				c.metrics.evictions.WithLabelValues(zone).Inc()
			}
			return nil
		}
	}
	return w, true
}

func nodeEvent(name string, h *health, reason, message string) engine.Event {
	return engine.Event{About: corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name, UID: h.uid}, Type: corev1.EventTypeNormal, Reason: reason, Message: message}
}
