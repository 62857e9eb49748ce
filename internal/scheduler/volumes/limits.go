package volumes

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// limits is NodeVolumeLimits: how many volumes of a driver a node can attach.
type limits struct{ x *Index }

var _ place.Rule = limits{}

// Name implements place.Rule.
func (limits) Name() string { return NodeVolumeLimits }

var statusLimit = refuse(place.Unschedulable, reasonLimit)

// wanted is what a pod wants attached.
type wanted struct {
	fresh map[string]int64 // volumes that no pod has, by driver
	named []handle         // the others
}

// Prepare implements place.Rule.
func (r limits) Prepare(object *corev1.Pod) (place.Prepared, error) {
	handles, trouble, err := r.handles(object)
	if err != nil || len(handles) == 0 && trouble == nil {
		return place.Prepared{}, err
	}
	if trouble != nil {
		return everywhere(trouble), nil
	}
	w := wanted{fresh: map[string]int64{}}
	var key keyWriter
	for _, name := range slices.Sorted(maps.Keys(handles)) {
		if h := handles[name]; h.fresh {
			w.fresh[h.driver]++
		} else {
			w.named = append(w.named, h.handle)
			key.str(name)
		}
	}
	for _, driver := range slices.Sorted(maps.Keys(w.fresh)) {
		key.str("")
		key.str(driver)
		key.num(uint64(w.fresh[driver]))
	}
	return place.Prepared{Key: key.String(), Filter: func(s place.Site) *place.Status { return r.filter(s, &w) }}, nil
}

type wantedHandle struct {
	handle
	fresh bool // no pod on a node has it
}

// handles are the volumes that drivers attach for a pod, by unique name; or why every node refuses the pod.
func (r limits) handles(object *corev1.Pod) (map[string]wantedHandle, *place.Status, error) {
	var out map[string]wantedHandle
	add := func(h handle, fresh bool) {
		if h.driver == "" {
			return
		}
		if out == nil {
			out = map[string]wantedHandle{}
		}
		out[h.unique()] = wantedHandle{h, fresh}
	}
	for name, own := range claimNames(object) {
		c, err := r.x.claimNamed(name)
		switch {
		case name.Name == "":
			return nil, refuse(place.Unresolvable, reasonNoClaim), nil
		case err != nil:
			return nil, refuse(place.Unresolvable, fmt.Sprintf("looking up PVC %s: %v", name, err)), nil
		case own && !ownedBy(c, object):
			return nil, refuse(place.Unresolvable, notOwned(name, object.Namespace, object.Name)), nil
		}
		h := r.x.handleOfClaim(c)
		add(h, r.x.fresh(r.x.claims[name], h))
	}
	for i := range object.Spec.Volumes {
		h, err := inlineHandle(&object.Spec.Volumes[i], object.Namespace)
		if err != nil {
			return nil, nil, err
		}
		add(h, false)
	}
	return out, nil, nil
}

// fresh says whether nobody on a node can have a claim's volume.
func (x *Index) fresh(c *claim, h handle) bool {
	v := x.volumes[c.object.Spec.VolumeName]
	if v == nil || v.object == nil {
		return len(c.users) == 0
	}
	if x.handles[h.unique()] > 1 { // pods name it themselves, or by another volume
		return false
	}
	for other := range v.claims {
		if len(other.users) > 0 {
			return false
		}
	}
	return true
}

func (r limits) filter(s place.Site, w *wanted) *place.Status {
	n := r.x.nodes[s.Node.Name]
	if n == nil || n.limits == nil {
		return nil
	}
	if n.attached == nil {
		n.attached = r.x.count(n, maps.Keys(n.pods))
	}
	now := n.attached
	if r.x.thought(n, s) {
		now = r.x.count(n, r.x.around(n, s))
	}
	if now.broken != "" {
		return refuse(place.Unresolvable, now.broken)
	}
	for driver, limit := range n.limits {
		more := w.fresh[driver]
		for _, h := range w.named {
			if h.driver == driver && !now.pods[h.unique()] {
				more++
			}
		}
		if more > 0 && now.counts[driver]+more > limit {
			return statusLimit
		}
	}
	return nil
}

// thought says whether a node's volumes are thought other than they are.
func (x *Index) thought(n *node, s place.Site) bool {
	for uid := range s.Coming {
		if p := x.pods[uid]; p != nil && p.node == nil {
			return true
		}
	}
	for p := range n.pods {
		if s.Gone(p.object.UID) {
			return true
		}
	}
	return false
}
