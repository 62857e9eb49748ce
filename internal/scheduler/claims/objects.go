package claims

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
)

// claim is a ResourceClaim and what has been decided about it. Version changes with the object.
type claim struct {
	*resourcev1.ResourceClaim
	version uint64
	pending *resourcev1.AllocationResult // decided, and not written yet
	pod     types.UID                    // for which it is pending
}

// allocation is the devices that the claim has, written or not.
func (c *claim) allocation() *resourcev1.AllocationResult {
	if c.Status.Allocation != nil {
		return c.Status.Allocation
	}
	return c.pending
}

// claimsOf are the claims of a pod that exist, in its order. Upstream's error says why it cannot have one.
func (r *Rule) claimsOf(pod *corev1.Pod) ([]*claim, error) {
	var out []*claim
	for i := range pod.Spec.ResourceClaims {
		name, mustOwn, err := resourceclaim.Name(pod, &pod.Spec.ResourceClaims[i])
		if err != nil {
			return nil, err
		}
		if name == nil { // none was needed
			continue
		}
		c := r.claims[types.NamespacedName{Namespace: pod.Namespace, Name: *name}]
		if c == nil {
			return nil, fmt.Errorf("could not find ResourceClaim %q", pod.Namespace+"/"+*name)
		}
		if c.DeletionTimestamp != nil {
			return nil, fmt.Errorf("resourceclaim %q is being deleted", c.Name)
		}
		if mustOwn {
			if err := resourceclaim.IsForPod(pod, c.ResourceClaim, false); err != nil {
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// SetClaim adds or replaces a claim, which is kept and must not be changed. Devices that were pending for it are its own
// once it has any. A claim that is older than what is known changes nothing.
func (r *Rule) SetClaim(next *resourcev1.ResourceClaim) {
	key := types.NamespacedName{Namespace: next.Namespace, Name: next.Name}
	old := r.claims[key]
	if old != nil && old.UID != next.UID {
		r.RemoveClaim(next.Namespace, next.Name)
		old = nil
	}
	if old != nil && older(next, old.ResourceClaim) {
		return
	}
	r.version++
	c := &claim{ResourceClaim: next, version: r.version}
	if old != nil && next.Status.Allocation == nil {
		c.pending, c.pod = old.pending, old.pod
	}
	if old == nil || !equality.Semantic.DeepEqual(old.allocation(), c.allocation()) {
		r.exchange(old, c)
	}
	r.claims[key] = c
	if pod, ok := specialOwner(next); ok {
		r.special[pod] = c
		if next.Status.Allocation != nil { // what was held for it before it was written
			r.RemoveClaim(next.Namespace, unwritten+string(pod))
		}
	}
}

// older says whether one state of a claim came before another. States without a resourceVersion come as they come.
func older(a, b *resourcev1.ResourceClaim) bool {
	if a.ResourceVersion == "" || b.ResourceVersion == "" {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order < 0
}

// RemoveClaim forgets a claim; its devices are free.
func (r *Rule) RemoveClaim(namespace, name string) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	c := r.claims[key]
	if c == nil {
		return
	}
	r.exchange(c, nil)
	delete(r.claims, key)
	if pod, ok := specialOwner(c.ResourceClaim); ok && r.special[pod] == c {
		delete(r.special, pod)
	}
}

// exchange gives the devices of one state of a claim back and takes those of the next; nil for none.
func (r *Rule) exchange(old, next *claim) {
	changed := change{}
	if old != nil {
		r.taken.add(old.allocation(), -1, changed)
	}
	if next != nil {
		r.taken.add(next.allocation(), 1, changed)
	}
	for pool := range changed {
		r.changed(pool)
	}
}

// changed says that devices of a pool, or how many are left of them, changed.
func (r *Rule) changed(p pool) {
	if node, own := r.slices.ownerOf(p); own {
		r.touch(node)
	} else {
		r.touchAll()
	}
}

func (r *Rule) touch(node string) {
	for _, d := range r.demands {
		delete(d.offers, node)
	}
	r.table.Touch(node)
}

func (r *Rule) touchAll() {
	clear(r.demands)
	if r.asked { // otherwise nobody has an answer
		r.asked = false
		r.table.TouchAll()
	}
}

// classes are the device classes, as the allocator looks them up.
type classes map[string]*resourcev1.DeviceClass

// Get is a class, or a NotFound error.
func (c classes) Get(name string) (*resourcev1.DeviceClass, error) {
	if class, ok := c[name]; ok {
		return class, nil
	}
	return nil, apierrors.NewNotFound(resourcev1.Resource("deviceclass"), name)
}

// List is all of them, in no order.
func (c classes) List() ([]*resourcev1.DeviceClass, error) {
	var out []*resourcev1.DeviceClass
	for _, class := range c {
		out = append(out, class)
	}
	return out, nil
}

// SetClass adds or replaces a class, which is kept and must not be changed.
func (r *Rule) SetClass(c *resourcev1.DeviceClass) {
	if old := r.classes[c.Name]; old != nil {
		r.resolver.OnUpdate(old, c)
	} else {
		r.resolver.OnAdd(c, false)
	}
	r.classes[c.Name] = c
	r.touchAll()
}

// RemoveClass forgets a class.
func (r *Rule) RemoveClass(name string) {
	if c := r.classes[name]; c != nil {
		r.resolver.OnDelete(c)
		delete(r.classes, name)
		r.touchAll()
	}
}

// SetSlice adds or replaces a slice, which is kept and must not be changed.
func (r *Rule) SetSlice(s *resourcev1.ResourceSlice) {
	r.RemoveSlice(s.Name)
	r.slices.add(s)
	r.resliced(s)
}

// RemoveSlice forgets a slice.
func (r *Rule) RemoveSlice(name string) {
	if s := r.slices.remove(name); s != nil {
		r.resliced(s)
	}
}

// resliced says that a slice came or went.
func (r *Rule) resliced(s *resourcev1.ResourceSlice) {
	node := s.Spec.NodeName
	if node == nil || slices.ContainsFunc(r.slices.pools[poolOf(s)], func(o *resourcev1.ResourceSlice) bool {
		return o.Spec.NodeName == nil || *o.Spec.NodeName != *node
	}) {
		r.touchAll()
		return
	}
	r.touch(*node)
}
