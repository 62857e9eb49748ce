package claims

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
)

// Binding is what is written about one claim before its pod is bound, in the order of the fields. A conflict is answered
// by reading the claim again; that it is being deleted then, or has other devices, is an error:
//
//	claim NAMESPACE/NAME got deleted in the meantime
//	claim NAMESPACE/NAME got allocated elsewhere in the meantime
type Binding struct {
	// Create is a special claim that is created first, under a generated name; what follows is about the claim that comes
	// of it. Nil otherwise.
	Create *resourcev1.ResourceClaim
	Claim  *resourcev1.ResourceClaim // as it is known; nil with Create
	// Finalizer says that resourcev1.Finalizer is added to the object, unless it is there.
	Finalizer bool
	// Allocation goes into the status, its time set to now unless it has one; nil: the claim has its devices already.
	Allocation *resourcev1.AllocationResult
	// Reserve is added to status.reservedFor in the same write.
	Reserve resourcev1.ResourceClaimConsumerReference
	// Mappings go into the pod's status.extendedResourceClaimStatus, with the name of the claim; nil: nothing does.
	Mappings []corev1.ContainerExtendedResourceRequest
}

// Reserve gives a pod the devices that it needs on the node that was chosen for it. They are taken until Forget, or until
// SetClaim shows what became of them. What it returns is to be written before the pod is bound.
func (r *Rule) Reserve(pod *corev1.Pod, node string) ([]Binding, error) {
	w, status := r.wants(pod)
	if status != nil {
		return nil, fmt.Errorf("pod %s/%s: %s", pod.Namespace, pod.Name, status.Message())
	}
	if w == nil {
		return nil, nil
	}
	site, ok := r.table.Site(node)
	if !ok {
		return nil, fmt.Errorf("pod %s/%s: node %s is gone", pod.Namespace, pod.Name, node)
	}
	o, status := w.offer(site)
	if status == nil && o != nil {
		status = o.status
	}
	if status != nil {
		return nil, fmt.Errorf("pod %s/%s: node %s: %s", pod.Namespace, pod.Name, node, status.Message())
	}
	return w.bind(o), nil
}

func (w *wish) bind(o *offer) []Binding {
	reserve := resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: w.pod.Name, UID: w.pod.UID}
	var out []Binding
	next := 0
	for _, c := range w.claims {
		b := Binding{Claim: c.ResourceClaim, Reserve: reserve}
		if c.Status.Allocation == nil {
			b.Finalizer, b.Allocation = !slices.Contains(c.Finalizers, resourcev1.Finalizer), &o.devices[next]
			next++
			if c.pending != nil { // the pod names it twice; upstream asks for as many devices then, and keeps the first
				continue
			}
			w.hold(c, b.Allocation)
		} else if slices.ContainsFunc(c.Status.ReservedFor, func(u resourcev1.ResourceClaimConsumerReference) bool { return u.UID == w.pod.UID }) {
			continue
		}
		out = append(out, b)
	}
	if w.special == nil || o == nil || len(o.requests) == 0 {
		return out
	}
	special := w.special.DeepCopy()
	special.Name, special.Spec.Devices.Requests = "", o.requests
	b := Binding{Create: special, Finalizer: true, Allocation: &o.devices[next], Reserve: reserve, Mappings: o.mappings}
	held := w.special.DeepCopy()
	held.Name, held.UID = unwritten+string(w.pod.UID), w.pod.UID
	c := &claim{ResourceClaim: held}
	w.Rule.claims[types.NamespacedName{Namespace: held.Namespace, Name: held.Name}] = c
	w.hold(c, b.Allocation)
	return append(out, b)
}

// hold makes devices pending for a claim.
func (w *wish) hold(c *claim, a *resourcev1.AllocationResult) {
	c.pending, c.pod = a, w.pod.UID
	changed := change{}
	w.taken.add(a, 1, changed)
	for p := range changed {
		w.changed(p)
	}
}

// Forget gives the devices back that Reserve gave a pod and that are not written, and returns the claims that had them. What is
// written already is the shell's to undo (see Held).
func (r *Rule) Forget(pod *corev1.Pod) []*resourcev1.ResourceClaim {
	var freed []*resourcev1.ResourceClaim
	for key, c := range r.pendingOf(pod) {
		changed := change{}
		r.taken.add(c.pending, -1, changed)
		c.pending, c.pod = nil, ""
		freed = append(freed, c.ResourceClaim)
		if c.UID == pod.UID {
			delete(r.claims, key)
		}
		for p := range changed {
			r.changed(p)
		}
	}
	return freed
}

// Held is what a pod has of what is written: claims that are reserved for it, which it is to leave when it will not be bound after all,
// and its special claim, which is to be deleted then once its finalizer is gone (nil: it has none).
func (r *Rule) Held(pod *corev1.Pod) (reserved []*resourcev1.ResourceClaim, special *resourcev1.ResourceClaim) {
	claims, _ := r.claimsOf(pod) // those that are gone hold nothing
	for _, c := range claims {
		if c.Status.Allocation != nil && resourceclaim.IsReservedForPod(pod, c.ResourceClaim, false) {
			reserved = append(reserved, c.ResourceClaim)
		}
	}
	if c := r.special[pod.UID]; c != nil {
		special = c.ResourceClaim
	}
	return reserved, special
}

// pendingOf are the claims whose devices are pending for a pod.
func (r *Rule) pendingOf(pod *corev1.Pod) map[types.NamespacedName]*claim {
	out := map[types.NamespacedName]*claim{}
	add := func(key types.NamespacedName) {
		if c := r.claims[key]; c != nil && c.pending != nil && c.pod == pod.UID {
			out[key] = c
		}
	}
	add(types.NamespacedName{Namespace: pod.Namespace, Name: unwritten + string(pod.UID)})
	claims, err := r.claimsOf(pod)
	if err != nil { // some are gone, and their devices with them
		for key := range r.claims {
			if key.Namespace == pod.Namespace {
				add(key)
			}
		}
	}
	for _, c := range claims {
		add(types.NamespacedName{Namespace: c.Namespace, Name: c.Name})
	}
	return out
}

// allClaims are the claims of a pod, its special one last.
func (r *Rule) allClaims(pod *corev1.Pod) ([]*claim, error) {
	claims, err := r.claimsOf(pod)
	if c := r.special[pod.UID]; c != nil {
		claims = append(claims, c)
	}
	return claims, err
}

// Bound says whether all devices of a pod's claims are ready for it. An error, ErrBinding or ErrLate, ends the attempt.
func (r *Rule) Bound(pod *corev1.Pod) (bool, error) {
	claims, err := r.allClaims(pod)
	if err != nil {
		return false, err
	}
	for _, c := range claims {
		ready, err := Ready(c.ResourceClaim)
		if err != nil {
			return false, err
		}
		if !ready {
			if r.late(c.ResourceClaim) {
				return false, fmt.Errorf("%w: claim=%s", ErrLate, c.Name)
			}
			return false, nil
		}
	}
	return true, nil
}

// Device is what metrics tell of a device that a pod was given.
type Device struct {
	Driver      string
	Conditional bool // it has binding conditions
}

// Devices are those of a pod's claims that are written.
func (r *Rule) Devices(pod *corev1.Pod) []Device {
	var out []Device
	claims, _ := r.allClaims(pod) // those that are gone have none
	for _, c := range claims {
		if a := c.Status.Allocation; a != nil {
			for i := range a.Devices.Results {
				out = append(out, Device{a.Devices.Results[i].Driver, len(a.Devices.Results[i].BindingConditions) > 0})
			}
		}
	}
	return out
}
