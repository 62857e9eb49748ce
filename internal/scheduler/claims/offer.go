package claims

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// demandsMost is how many demands are remembered; then all are forgotten.
const demandsMost = 64

// demands are what pods asked for, by key.
type demands map[string]*demand

// demand is the answers for pods with equal claims.
type demand struct{ offers map[string]*offer }

// offer is what a node has for a demand.
type offer struct {
	node     *corev1.Node // as it was asked; another, and the answer may be another
	need     string       // extended resources that the node lacks
	devices  []resourcev1.AllocationResult
	status   *place.Status // why it has nothing
	requests []resourcev1.DeviceRequest
	mappings []corev1.ContainerExtendedResourceRequest
}

// filter implements place.Prepared.Filter.
func (w *wish) filter(site place.Site) *place.Status {
	w.asked = true
	o, status := w.offer(site)
	if status != nil || o == nil {
		return status
	}
	return o.status
}

// offer asks a node; nil when the pod needs nothing of it that has to be looked for.
func (w *wish) offer(site place.Site) (*offer, *place.Status) {
	if w.special != nil && w.special.Spec.Devices.Requests != nil {
		return nil, refuse("cannot schedule extended resource claim")
	}
	need, status := w.lacking(site)
	if status != nil {
		return nil, status
	}
	if w.special != nil && len(w.claims) == 0 && len(need) == 0 {
		return nil, nil
	}
	var o *offer
	if w.allocates() {
		if o = w.ask(site, need); o.status != nil {
			return o, nil
		}
	}
	for i := range w.claims {
		if !w.has(i, site.Node) {
			return nil, refuse(unavailable)
		}
	}
	return o, nil
}

// unavailable is what a node says of a claim whose devices are elsewhere, or do not get ready.
const unavailable = "resourceclaim not available on the node"

// has says whether a claim can be used on a node, as far as it is allocated.
func (w *wish) has(i int, node *corev1.Node) bool {
	return !w.unready[i] && (w.available[i] == nil || w.available[i].Match(node))
}

// ask looks for devices on a node, or remembers.
func (w *wish) ask(site place.Site, need map[corev1.ResourceName]int64) *offer {
	key := needKey(need)
	offers := w.remembered().offers
	if o := offers[site.Node.Name]; o != nil && o.node == site.Node && o.need == key {
		return o
	}
	o := &offer{node: site.Node, need: key}
	if w.special != nil {
		o.requests, o.mappings = requestsFor(w.pod, need, w.resolver)
	}
	o.devices, o.status = w.allocate(site.Node, w.unallocated(o.requests))
	if o.status == nil || o.status.Code != place.Error { // an error names the pod's own claims
		offers[site.Node.Name] = o
	}
	return o
}

func (w *wish) remembered() *demand {
	key := w.key()
	d := w.demands[key]
	if d == nil {
		if len(w.demands) >= demandsMost {
			clear(w.demands)
		}
		d = &demand{offers: map[string]*offer{}}
		w.demands[key] = d
	}
	return d
}

// unallocated lists the claims that need devices, the special one last with the requests for a node.
func (w *wish) unallocated(requests []resourcev1.DeviceRequest) []*resourcev1.ResourceClaim {
	var out []*resourcev1.ResourceClaim
	for _, c := range w.claims {
		if c.Status.Allocation == nil {
			out = append(out, c.ResourceClaim)
		}
	}
	if w.special != nil {
		special := w.special.DeepCopy()
		special.Spec.Devices.Requests = requests
		out = append(out, special)
	}
	return out
}

// features are upstream's defaults.
func features() structured.Features {
	return structured.Features{AdminAccess: true, PrioritizedList: true, PartitionableDevices: true, DeviceTaints: true,
		DeviceBindingAndStatus: true, ConsumableCapacity: true}
}

func (r *Rule) allocate(node *corev1.Node, claims []*resourcev1.ResourceClaim) ([]resourcev1.AllocationResult, *place.Status) {
	failed := func(err error) *place.Status {
		return &place.Status{Code: place.Error, Plugin: Name, Reasons: []string{err.Error()}}
	}
	ctx := context.Background()
	if r.cfg.FilterTimeout > 0 {
		limited, cancel := context.WithTimeout(ctx, r.cfg.FilterTimeout)
		defer cancel()
		ctx = limited
	}
	allocator, err := structured.NewAllocator(ctx, features(), r.taken.state, r.classes, r.slices.near(node.Name), r.cel)
	if err != nil {
		return nil, failed(err)
	}
	devices, err := allocator.Allocate(ctx, node, claims)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, failed(fmt.Errorf("node %s: timed out trying to allocate devices", node.Name))
	case errors.Is(err, structured.ErrFailedAllocationOnNode):
		return nil, refuse(err.Error())
	case err != nil:
		return nil, failed(err)
	case len(devices) != len(claims):
		return nil, refuse("cannot allocate all claims")
	}
	return devices, nil
}

// score implements place.Prepared.Score: the earlier an alternative stands in its list, the better.
func (w *wish) score(site place.Site) (score int64) {
	o, status := w.offer(site)
	if status != nil || o == nil || o.status != nil {
		return 0
	}
	next := 0
	for _, c := range w.claims {
		a := c.Status.Allocation
		if a == nil {
			a = &o.devices[next]
			next++
		}
		given := map[string]bool{}
		for _, d := range a.Devices.Results {
			given[d.Request] = true
		}
		for _, q := range c.Spec.Devices.Requests {
			for i, sub := range q.FirstAvailable {
				if given[resourceclaim.CreateSubRequestRef(q.Name, sub.Name)] {
					score += int64(resourcev1.FirstAvailableDeviceRequestMaxSize - i)
				}
			}
		}
	}
	return score
}

// late says whether a claim's devices have had their time to get ready.
func (r *Rule) late(c *resourcev1.ResourceClaim) bool {
	a := c.Status.Allocation
	if a == nil || a.AllocationTimestamp == nil || r.cfg.Clock == nil {
		return false
	}
	for _, d := range a.Devices.Results {
		if d.BindingConditions != nil {
			return a.AllocationTimestamp.Add(r.Timeout()).Before(r.cfg.Clock.Now())
		}
	}
	return false
}

// Timeout is how long devices may take to be ready after they were given.
func (r *Rule) Timeout() time.Duration {
	if r.cfg.BindingTimeout == 0 {
		return DefaultBindingTimeout
	}
	return r.cfg.BindingTimeout
}
