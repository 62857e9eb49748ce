package cases

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	gpuDriver = "gpu.example.com"
	nicDriver = "nic.example.com"
	model     = resourcev1.QualifiedName("model")
	serial    = resourcev1.QualifiedName("numa")
	memoryOf  = resourcev1.QualifiedName("memory")
)

// devices are devices on nodes, for some nodes and for all, whole, in parts and shared, with taints; and claims of every form, made, from a
// template, or missing.
var devices = trait{
	before: func(w *world) {
		w.classes()
		w.sharedDevices()
	},
	node: func(w *world, n *corev1.Node) {
		if !w.once(4) {
			w.slice(n.Name, gpuDriver, w.between(1, 4))
		}
		if !w.once(3) {
			w.slice(n.Name, nicDriver, w.between(1, 2))
		}
	},
	asked: func(w *world, p *corev1.Pod) {
		for i := range w.between(1, 2) {
			w.wants(p, i)
		}
	},
}

func (w *world) classes() {
	class := func(name, expression string) *resourcev1.DeviceClass {
		c := &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: name, UID: w.uid(), CreationTimestamp: metav1.NewTime(epoch)}}
		if expression != "" {
			c.Spec.Selectors = cel(expression)
		}
		w.add(c)
		return c
	}
	class("gpu", `device.driver == "gpu.example.com"`)
	class("big-gpu", `device.driver == "gpu.example.com" && device.capacity["gpu.example.com"].memory.compareTo(quantity("10Gi")) >= 0`)
	class("nic", `device.driver == "nic.example.com"`)
	class("any", "")
	class("broken", `device.attributes["gpu.example.com"].absent == "x"`) // fails when it is evaluated
	class("extended", `device.driver == "gpu.example.com"`).Spec.ExtendedResourceName = new(string(gpu))
}

func cel(expression string) []resourcev1.DeviceSelector {
	return []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: expression}}}
}

// slice adds a node's devices of a driver.
func (w *world) slice(node, driver string, n int) {
	s := w.newSlice(node+"-"+driver[:3], driver)
	s.Spec.NodeName = &node
	parts := w.once(5)
	if parts {
		s.Spec.Devices = w.partitions(n + 1)
		counters := w.newSlice(node+"-"+driver[:3]+"-counters", driver)
		counters.Spec.NodeName, counters.Spec.Pool = &node, s.Spec.Pool
		counters.Spec.SharedCounters = []resourcev1.CounterSet{{Name: "board",
			Counters: map[string]resourcev1.Counter{"memory": {Value: bytesOf(20 * gibi)}}}}
		s.Spec.Pool.ResourceSliceCount, counters.Spec.Pool.ResourceSliceCount = 2, 2
		w.add(s, counters)
		return
	}
	for i := range n {
		s.Spec.Devices = append(s.Spec.Devices, w.device(i))
	}
	if w.once(30) {
		s.Spec.Pool.ResourceSliceCount = 2 // the other one has not come yet
	}
	w.add(s)
}

func (w *world) newSlice(name, driver string) *resourcev1.ResourceSlice {
	return &resourcev1.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: w.uid(), CreationTimestamp: metav1.NewTime(epoch)},
		Spec:       resourcev1.ResourceSliceSpec{Driver: driver, Pool: resourcev1.ResourcePool{Name: name, Generation: 1, ResourceSliceCount: 1}},
	}
}

func (w *world) device(i int) resourcev1.Device {
	d := resourcev1.Device{
		Name: fmt.Sprintf("dev-%d", i),
		Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{
			model: {StringValue: new(one(w, "a100", "h100"))}, serial: {IntValue: new(int64(w.between(0, 1)))}, "ready": {BoolValue: new(!w.once(5))},
			"driverVersion": {VersionValue: new(one(w, "1.0.0", "1.2.0", "2.0.0"))},
		},
		Capacity: map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{memoryOf: {Value: bytesOf(int64(one(w, 8, 16, 40)) * gibi)}},
	}
	if w.once(6) {
		d.Taints = []resourcev1.DeviceTaint{{Key: "example.com/hot", Value: "yes",
			Effect: one(w, resourcev1.DeviceTaintEffectNoSchedule, resourcev1.DeviceTaintEffectNoExecute)}}
	}
	if w.once(6) {
		d.AllowMultipleAllocations = new(true)
		c := d.Capacity[memoryOf]
		if w.once(2) {
			c.RequestPolicy = &resourcev1.CapacityRequestPolicy{
				Default: new(bytesOf(2 * gibi)), ValidRange: &resourcev1.CapacityRequestPolicyRange{Min: new(bytesOf(gibi)), Step: new(bytesOf(gibi))},
			}
		}
		d.Capacity[memoryOf] = c
	}
	return d
}

// partitions are devices that share one board's memory.
func (w *world) partitions(n int) []resourcev1.Device {
	var out []resourcev1.Device
	for i := range n {
		d := w.device(i)
		size := bytesOf(int64(one(w, 5, 10, 20)) * gibi)
		d.Capacity = map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{memoryOf: {Value: size}}
		d.ConsumesCounters = []resourcev1.DeviceCounterConsumption{{CounterSet: "board", Counters: map[string]resourcev1.Counter{"memory": {Value: size}}}}
		d.AllowMultipleAllocations = nil
		out = append(out, d)
	}
	return out
}

// sharedDevices are devices that nodes of a zone, or all nodes, reach.
func (w *world) sharedDevices() {
	if w.once(2) {
		s := w.newSlice("zone-nics", nicDriver)
		s.Spec.NodeSelector = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: some(w, 2, zones)}},
		}}}
		s.Spec.Devices = []resourcev1.Device{w.device(0), w.device(1)}
		w.add(s)
	}
	if w.once(3) {
		s := w.newSlice("all-nics", nicDriver)
		s.Spec.AllNodes = new(true)
		s.Spec.Devices = []resourcev1.Device{w.device(0)}
		w.add(s)
	}
}

// wants gives a pod a claim: its own from a template, or one by name, perhaps shared, perhaps missing.
func (w *world) wants(p *corev1.Pod, i int) {
	ref := corev1.PodResourceClaim{Name: fmt.Sprintf("r%d", i)}
	name := fmt.Sprintf("devices-%d", w.ids)
	switch w.r.IntN(40) {
	case 0:
		ref.ResourceClaimName = new("claim-missing")
	case 1:
		ref.ResourceClaimTemplateName = new("not-yet") // no claim has been made from it
	case 2, 3, 4, 5, 6, 7, 8, 9, 10, 11:
		ref.ResourceClaimTemplateName = new("template")
		p.Status.ResourceClaimStatuses = append(p.Status.ResourceClaimStatuses, corev1.PodResourceClaimStatus{Name: ref.Name, ResourceClaimName: &name})
		c := w.deviceClaim(p.Namespace, name)
		c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID, Controller: new(true)}}
	default:
		ref.ResourceClaimName = &name
		c := w.deviceClaim(p.Namespace, name)
		if w.once(30) {
			c.DeletionTimestamp, c.Finalizers = new(metav1.NewTime(epoch)), []string{"example.com/held"}
		}
	}
	p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, ref)
	p.Spec.Containers[0].Resources.Claims = append(p.Spec.Containers[0].Resources.Claims, corev1.ResourceClaim{Name: ref.Name})
}

func (w *world) deviceClaim(namespace, name string) *resourcev1.ResourceClaim {
	c := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, UID: w.uid(), CreationTimestamp: metav1.NewTime(epoch)}}
	for i := range w.between(1, 2) {
		r := resourcev1.DeviceRequest{Name: fmt.Sprintf("q%d", i)}
		if w.once(4) {
			for j := range w.between(1, 3) {
				e := w.exactly()
				r.FirstAvailable = append(r.FirstAvailable, resourcev1.DeviceSubRequest{
					Name: fmt.Sprintf("s%d", j), DeviceClassName: e.DeviceClassName, Selectors: e.Selectors, AllocationMode: e.AllocationMode, Count: e.Count,
					Tolerations: e.Tolerations, Capacity: e.Capacity,
				})
			}
		} else {
			r.Exactly = w.exactly()
			if w.once(12) {
				r.Exactly.AdminAccess = new(true)
			}
		}
		c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, r)
	}
	if w.once(5) {
		attribute := resourcev1.FullyQualifiedName("gpu.example.com/" + one(w, model, serial))
		constraint := resourcev1.DeviceConstraint{MatchAttribute: &attribute}
		if w.once(2) {
			constraint = resourcev1.DeviceConstraint{DistinctAttribute: &attribute}
		}
		c.Spec.Devices.Constraints = []resourcev1.DeviceConstraint{constraint}
	}
	w.add(c)
	return c
}

func (w *world) exactly() *resourcev1.ExactDeviceRequest {
	e := &resourcev1.ExactDeviceRequest{
		DeviceClassName: one(w, "gpu", "gpu", "gpu", "big-gpu", "nic", "nic",
			"any"), AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: int64(one(w, 1, 1, 1, 2, 3)),
	}
	switch w.r.IntN(50) {
	case 0:
		e.DeviceClassName = "broken"
	case 1:
		e.DeviceClassName = "absent"
	case 2, 3, 4, 5:
		e.AllocationMode, e.Count = resourcev1.DeviceAllocationModeAll, 0
	}
	if strings.HasSuffix(e.DeviceClassName, "gpu") && w.once(2) || w.once(30) { // other devices lack these attributes, which is an error
		e.Selectors = cel(one(w, `device.attributes["gpu.example.com"].model == "h100"`, `device.attributes["gpu.example.com"].numa == 1`,
			`device.attributes["gpu.example.com"].ready`, `device.attributes["gpu.example.com"].driverVersion.isGreaterThan(semver("1.1.0"))`,
			`device.capacity["gpu.example.com"].memory.isGreaterThan(quantity("12Gi"))`, `device.driver.startsWith("gpu")`))
	}
	if w.once(3) {
		e.Tolerations = []resourcev1.DeviceToleration{{Key: "example.com/hot", Operator: resourcev1.DeviceTolerationOpExists}}
	}
	if w.once(6) {
		e.Capacity = &resourcev1.CapacityRequirements{Requests: map[resourcev1.QualifiedName]resource.Quantity{memoryOf: bytesOf(int64(one(w, 2, 10,
			30)) * gibi)}}
	}
	return e
}
