package cases

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// allocatedDevices are claims that have their devices: those of placed pods, which are gone for others, and those of pods that are asked for.
var allocatedDevices = trait{
	after: func(w *world) {
		for _, s := range w.slices() {
			for _, d := range s.Spec.Devices {
				if s.Spec.NodeName == nil || !w.once(3) {
					continue
				}
				w.claims++
				c := w.deviceClaim(one(w, namespaces...), fmt.Sprintf("taken-%d", w.claims))
				w.allocate(c, s, d)
				c.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{Resource: "pods", Name: "run-gone",
					UID: "00000000-0000-4000-9000-00000000beef"}}
			}
		}
	},
	asked: func(w *world, p *corev1.Pod) {
		for _, ref := range p.Spec.ResourceClaims {
			if ref.ResourceClaimName == nil || w.once(2) {
				continue
			}
			c := w.claimNamed(p.Namespace, *ref.ResourceClaimName)
			if slices := w.slices(); c != nil && len(slices) > 0 {
				s := one(w, slices...)
				w.allocate(c, s, one(w, s.Spec.Devices...))
				w.reserve(c, p)
			}
		}
	},
}

// slices are the slices with devices.
func (w *world) slices() []*resourcev1.ResourceSlice {
	var out []*resourcev1.ResourceSlice
	for _, o := range w.objects {
		if s, ok := o.(*resourcev1.ResourceSlice); ok && len(s.Spec.Devices) > 0 {
			out = append(out, s)
		}
	}
	return out
}

func (w *world) claimNamed(namespace, name string) *resourcev1.ResourceClaim {
	for _, o := range w.objects {
		if c, ok := o.(*resourcev1.ResourceClaim); ok && c.Namespace == namespace && c.Name == name {
			return c
		}
	}
	return nil
}

// allocate gives a claim one device for its first request.
func (w *world) allocate(c *resourcev1.ResourceClaim, s *resourcev1.ResourceSlice, d resourcev1.Device) {
	request := c.Spec.Devices.Requests[0].Name
	if first := c.Spec.Devices.Requests[0].FirstAvailable; len(first) > 0 {
		request += "/" + first[0].Name
	}
	r := resourcev1.DeviceRequestAllocationResult{Request: request, Driver: s.Spec.Driver, Pool: s.Spec.Pool.Name, Device: d.Name}
	if d.AllowMultipleAllocations != nil {
		r.ShareID = new(types.UID(strings.Replace(string(w.uid()), "4000", "4001", 1)))
		r.ConsumedCapacity = map[resourcev1.QualifiedName]resource.Quantity{memoryOf: bytesOf(4 * gibi)}
	}
	a := &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{r}},
		NodeSelector: s.Spec.NodeSelector}
	if s.Spec.NodeName != nil {
		a.NodeSelector = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn,
				Values: []string{*s.Spec.NodeName}}},
		}}}
	}
	c.Status.Allocation = a
}

// reserve says who uses a claim: the pod, nobody, others, or as many as may.
func (w *world) reserve(c *resourcev1.ResourceClaim, p *corev1.Pod) {
	switch w.r.IntN(4) {
	case 0:
		c.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{Resource: "pods", Name: p.Name, UID: p.UID}}
	case 1:
		for i := range resourcev1.ResourceClaimReservedForMaxSize {
			c.Status.ReservedFor = append(c.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{
				Resource: "pods", Name: fmt.Sprintf("user-%d", i), UID: types.UID(fmt.Sprintf("00000000-0000-4000-a000-%012d", i)),
			})
		}
	case 2:
		c.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{Resource: "pods", Name: "run-gone", UID: "00000000-0000-4000-9000-00000000beef"}}
	}
}

// extendedDevices are devices that are asked for as extended resources, which some nodes have of the old kind.
var extendedDevices = trait{
	before: func(w *world) { w.classes() },
	node: func(w *world, n *corev1.Node) {
		switch w.r.IntN(4) {
		case 0:
			n.Status.Allocatable[gpu] = count(int64(w.between(0, 3)))
		case 1, 2:
			w.slice(n.Name, gpuDriver, w.between(1, 3))
		}
	},
	asked: func(w *world, p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		if c.Resources.Requests == nil {
			c.Resources.Requests = corev1.ResourceList{}
		}
		name := corev1.ResourceName(one(w, string(gpu), string(gpu), "deviceclass.resource.kubernetes.io/nic", "deviceclass.resource.kubernetes.io/gpu"))
		c.Resources.Requests[name] = count(int64(w.between(1, 3)))
		c.Resources.Limits = corev1.ResourceList{name: c.Resources.Requests[name]}
	},
}
