// Package nodeipam gives each node the ranges that its pods' addresses come from.
//
// # Vocabulary and laws
//
// The cluster has a range of pods' addresses, or one of each family; each is divided into nodes' ranges of one size. A node that has no range (spec.podCIDRs) gets one of
// each family, in order.
//
//   - No two nodes are given the same range. A range that a node has already, from its kubelet or from before, is taken; one outside the cluster's is none of
//     ours. Services' ranges are never given.
//   - A range is free again when its node is gone.
//   - One node costs O(1): all nodes are listed at the first look only, and when no range seems to be left, since nodes may go unseen.
//   - A node for which there is none is told so (the event CIDRNotAvailable), and tried again.
//
// Lock: controller.mu is a leaf; under it is no I/O.
package nodeipam

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Config says which ranges nodes get.
type Config struct {
	Cluster  []netip.Prefix // pods' ranges, masked: one, or one of each family
	Bits     []int          // of nodes' ranges, for each of Cluster
	Services []netip.Prefix // are not given
}

// Validate reports what cannot be divided.
func (c *Config) Validate() error {
	_, err := c.pools()
	return err
}

func (c *Config) pools() (list []*pool, err error) {
	for i, whole := range c.Cluster {
		p, err := newPool(whole, c.Bits[i])
		if err != nil {
			return nil, err
		}
		for _, s := range c.Services {
			p.mark(s, true)
		}
		list = append(list, p)
	}
	return list, nil
}

func nodes() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }

// New returns the controller of a valid Config, which remembers what is taken: it is run once.
func New(cfg Config, m *Metrics) engine.Controller {
	c := &controller{cfg: cfg, metrics: m}
	return engine.Controller{
		Name: "node-ipam", Component: "cidrAllocator", User: "system:serviceaccount:kube-system:node-controller",
		Inputs:  []engine.Input{{Resource: nodes(), Keys: nodeKeys}},
		Outputs: []engine.Output{{Resource: nodes(), Fields: []string{"spec.podCIDR", "spec.podCIDRs"}}},
		Workers: 8, Queue: "cidrallocator_node", Reconcile: c.reconcile,
	}
}

// nodeKeys is a node that is new, gone or has other ranges than before.
func nodeKeys(_ client.View, change client.Change) []engine.Key {
	if now, ok := change.New.(*corev1.Node); ok {
		if was, ok := change.Old.(*corev1.Node); ok && len(now.Spec.PodCIDRs) > 0 && len(was.Spec.PodCIDRs) > 0 {
			return nil // they never change
		}
	}
	return []engine.Key{{Resource: nodes(), Name: change.Newest().GetName()}}
}

type controller struct {
	cfg     Config
	metrics *Metrics

	mu    sync.Mutex // guards all below
	pools []*pool    // one of each of cfg.Cluster; nil: nothing was looked at yet
	has   map[string][]netip.Prefix
}

func (c *controller) reconcile(view client.View, key engine.Key, _ time.Time) (engine.Plan, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pools == nil {
		if err := c.countLocked(view); err != nil {
			return engine.Plan{}, err
		}
	}
	n, ok := view.Get(nodes(), "", key.Name).(*corev1.Node)
	switch {
	case !ok:
		c.holdLocked(key.Name, nil)
		return engine.Plan{}, nil
	case len(n.Spec.PodCIDRs) > 0:
		c.holdLocked(n.Name, ranges(n))
		return engine.Plan{}, nil
	case n.DeletionTimestamp != nil:
		return engine.Plan{}, nil
	}
	given, err := c.giveLocked(view, n.Name)
	if err != nil {
		return engine.Plan{Failed: err, Events: []engine.Event{status(n, "CIDRNotAvailable")}}, nil
	}
	texts := make([]string, len(given))
	for i, r := range given {
		texts[i] = r.String()
	}
	w := engine.NewPatch(nodes(), n, map[string]any{"spec": map[string]any{"podCIDR": texts[0], "podCIDRs": texts}})
	w.Event = func(_ kinds.Object, err error) *engine.Event {
		if err == nil {
			return nil
		}
		ev := status(n, "CIDRAssignmentFailed") // what was given stays this node's, and is tried again
		return &ev
	}
	return engine.Plan{Writes: []engine.Write{w}}, nil
}

// giveLocked returns the ranges that a node is to have: those that it was given before, or new ones.
func (c *controller) giveLocked(view client.View, name string) ([]netip.Prefix, error) {
	if had := c.has[name]; len(had) == len(c.pools) {
		return had, nil
	}
	for _, p := range c.pools {
		if p.taken == p.size() {
			if err := c.countLocked(view); err != nil {
				return nil, err
			}
			break
		}
	}
	var given []netip.Prefix
	for i, p := range c.pools {
		before := p.taken
		r, tries, err := p.take()
		if err != nil {
			c.markLocked(given, false)
			return nil, fmt.Errorf("failed to allocate cidr from cluster cidr at idx:%d: %w", i, err)
		}
		c.metrics.show(p, before)
		c.metrics.tries.WithLabelValues(p.whole.String()).Observe(float64(tries))
		given = append(given, r)
	}
	c.has[name] = given
	return given, nil
}

// holdLocked makes a node have what it has, and nothing else.
func (c *controller) holdLocked(name string, list []netip.Prefix) {
	c.markLocked(c.has[name], false)
	delete(c.has, name)
	if len(list) > 0 {
		c.has[name] = list
		c.markLocked(list, true)
	}
}

func (c *controller) markLocked(list []netip.Prefix, take bool) {
	for _, p := range c.pools {
		before := p.taken
		for _, r := range list {
			p.mark(r, take)
		}
		if p.taken != before {
			c.metrics.show(p, before)
		}
	}
}

// countLocked looks at all nodes. What was given to nodes that do not show it yet stays theirs.
func (c *controller) countLocked(view client.View) error {
	pools, err := c.cfg.pools()
	if err != nil {
		return err
	}
	given := c.has
	c.pools, c.has = pools, map[string][]netip.Prefix{}
	for _, p := range pools {
		c.metrics.show(p, p.taken)
	}
	for obj := range view.List(nodes(), "") {
		n := obj.(*corev1.Node)
		list := ranges(n)
		if len(list) == 0 {
			list = given[n.Name]
		}
		c.holdLocked(n.Name, list)
	}
	return nil
}

// ranges are those that a node has; what is none is left out.
func ranges(n *corev1.Node) (list []netip.Prefix) {
	for _, text := range n.Spec.PodCIDRs {
		if r, err := netip.ParsePrefix(text); err == nil {
			list = append(list, r.Masked())
		}
	}
	return list
}

func status(n *corev1.Node, of string) engine.Event {
	return engine.Event{About: corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}, Type: corev1.EventTypeNormal, Reason: of,
		Message: fmt.Sprintf("Node %s status is now: %s", n.Name, of)}
}
