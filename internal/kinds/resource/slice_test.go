package resource_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	kind "github.com/floe-k8s/floe/internal/kinds/resource"
)

func slice(change func(*resourcev1.ResourceSliceSpec)) *resourcev1.ResourceSlice {
	s := &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: resourcev1.ResourceSliceSpec{
		Driver: "gpu.example", Pool: resourcev1.ResourcePool{Name: "n", ResourceSliceCount: 1}, NodeName: of("n"),
		Devices: []resourcev1.Device{{Name: "a", Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"model": {StringValue: of("x")}}}},
	}}
	if change != nil {
		change(&s.Spec)
	}
	return s
}

func TestSlices(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*resourcev1.ResourceSliceSpec)
		want   []string
	}{
		"good": {nil, nil},
		"nowhere": {func(s *resourcev1.ResourceSliceSpec) { s.NodeName = nil }, []string{
			"spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
		}},
		"everywhere too": {func(s *resourcev1.ResourceSliceSpec) { s.AllNodes = of(true) }, []string{
			"spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
		}},
		"empty pool": {func(s *resourcev1.ResourceSliceSpec) { s.Pool = resourcev1.ResourcePool{} }, []string{
			"spec.pool.name: Required value", "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
		}},
		"no value": {func(s *resourcev1.ResourceSliceSpec) { s.Devices[0].Attributes["model"] = resourcev1.DeviceAttribute{} }, []string{
			`spec.devices[0].attributes[model]: Invalid value: "": exactly one value must be specified`,
		}},
		"no version": {func(s *resourcev1.ResourceSliceSpec) {
			s.Devices[0].Attributes["model"] = resourcev1.DeviceAttribute{VersionValue: of("1.0")}
		}, []string{
			`spec.devices[0].attributes[model].version: Invalid value: "1.0": must be a string compatible with semver.org spec 2.0.0`,
		}},
		"too many": {func(s *resourcev1.ResourceSliceSpec) { s.Devices = make([]resourcev1.Device, 129) }, []string{"spec.devices: Too many: 129: must have at most 128 items"}},
		"own policy": {func(s *resourcev1.ResourceSliceSpec) {
			s.Devices[0].Capacity = map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{"memory": {Value: resource.MustParse("4Gi"), RequestPolicy: &resourcev1.CapacityRequestPolicy{}}}
		}, []string{"spec.devices[0].capacity[memory].requestPolicy: Forbidden: allowMultipleAllocations must be true"}},
		"off the step": {func(s *resourcev1.ResourceSliceSpec) {
			s.Devices[0].AllowMultipleAllocations = of(true)
			s.Devices[0].Capacity = map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{"units": {Value: resource.MustParse("10"), RequestPolicy: &resourcev1.CapacityRequestPolicy{
				Default: of(resource.MustParse("4")), ValidRange: &resourcev1.CapacityRequestPolicyRange{Min: of(resource.MustParse("1")), Step: of(resource.MustParse("2"))},
			}}}
		}, []string{`spec.devices[0].capacity[units].requestPolicy.validRange.step: Invalid value: "4": value is not a multiple of a given step (2) from (1)`}},
		"own node": {func(s *resourcev1.ResourceSliceSpec) { s.Devices[0].NodeName = of("n") }, []string{
			"spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec",
		}},
		"tainted": {func(s *resourcev1.ResourceSliceSpec) { s.Devices[0].Taints = []resourcev1.DeviceTaint{{Key: "a"}} }, []string{"spec.devices[0].taints[0].effect: Required value"}},
	} {
		kindtest.Same(t, name, kindtest.Create(kind.ResourceSlice(), slice(c.change)), c.want)
	}
	moved := slice(func(s *resourcev1.ResourceSliceSpec) { s.NodeName = of("m") })
	kindtest.Same(t, "moved", kindtest.Update(kind.ResourceSlice(), moved, slice(nil)), []string{`spec.nodeName: Invalid value: "m": field is immutable`})
	if got := kind.ResourceSlice().Fields(moved); got["spec.nodeName"] != "m" || got["spec.driver"] != "gpu.example" {
		t.Errorf("fields %v", got)
	}
	if got := kindtest.Row(kind.ResourceSlice(), moved)[:4]; !slices.Equal(got, []any{"s", "m", "gpu.example", "n"}) {
		t.Errorf("row %v", got)
	}
}

func TestSlicesArePrepared(t *testing.T) {
	full := func(s *resourcev1.ResourceSliceSpec) {
		d := &s.Devices[0]
		d.Attributes["many"] = resourcev1.DeviceAttribute{IntValues: []int64{1}}
		d.Capacity = map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{"memory": {Value: resource.MustParse("4Gi")}}
		d.NodeAllocatableResourceMappings = map[corev1.ResourceName]resourcev1.NodeAllocatableResourceMapping{"memory": {CapacityKey: of(resourcev1.QualifiedName("memory"))}}
	}
	k := kind.ResourceSlice()
	s := slice(func(s *resourcev1.ResourceSliceSpec) {
		full(s)
		s.Devices[0].Taints = []resourcev1.DeviceTaint{{Key: "a", Effect: resourcev1.DeviceTaintEffectNoSchedule}}
	})
	k.PrepareCreate(kindtest.Env(), s)
	d := s.Spec.Devices[0]
	if d.Taints[0].TimeAdded == nil || !d.Taints[0].TimeAdded.Time.Equal(kindtest.Env().Now) || d.Attributes["many"].IntValues != nil || d.NodeAllocatableResourceMappings != nil || s.Generation != 1 {
		t.Errorf("got %+v", d)
	}
	old, next := slice(nil), slice(full)
	k.PrepareUpdate(kindtest.Env(), next, old)
	if got := next.Spec.Devices[0]; got.NodeAllocatableResourceMappings != nil || next.Generation != 1 {
		t.Errorf("what is dropped counts as a change, and goes: generation %d, %+v", next.Generation, got)
	}
	old, next = slice(full), slice(full)
	k.Default(next)
	k.PrepareUpdate(kindtest.Env(), next, old)
	d = next.Spec.Devices[0]
	if m := d.NodeAllocatableResourceMappings["memory"]; m.AllocationMultiplier == nil || m.AllocationMultiplier.String() != "1" || len(d.Attributes["many"].IntValues) != 1 {
		t.Errorf("what was there stays: %+v", d)
	}
}

// TestSlicesBehindGates: what older objects have is checked although nobody can add it.
func TestSlicesBehindGates(t *testing.T) {
	const at = "spec.devices[0]."
	mapped := func(name corev1.ResourceName, m resourcev1.NodeAllocatableResourceMapping) func(*resourcev1.Device) {
		return func(d *resourcev1.Device) {
			d.NodeAllocatableResourceMappings = map[corev1.ResourceName]resourcev1.NodeAllocatableResourceMapping{name: m}
		}
	}
	attribute := func(a resourcev1.DeviceAttribute) func(*resourcev1.Device) {
		return func(d *resourcev1.Device) { d.Attributes["model"] = a }
	}
	for name, c := range map[string]struct {
		change func(*resourcev1.Device)
		want   []string
	}{
		"list":       {attribute(resourcev1.DeviceAttribute{VersionValues: []string{"1.2.3"}}), nil},
		"empty list": {attribute(resourcev1.DeviceAttribute{IntValues: []int64{}}), []string{at + "attributes[model].ints: Invalid value: []: must not be empty if specified"}},
		"bad item": {attribute(resourcev1.DeviceAttribute{VersionValues: []string{"1.2.3", "x"}}), []string{
			at + `attributes[model].versions[1]: Invalid value: "x": must be a string compatible with semver.org spec 2.0.0`,
		}},
		"not of a node": {mapped("example.com/gpu", resourcev1.NodeAllocatableResourceMapping{AllocationMultiplier: of(resource.MustParse("0"))}), []string{
			at + `nodeAllocatableResourceMappings[example.com/gpu]: Invalid value: "example.com/gpu": must be a node allocatable resource name`,
			at + `nodeAllocatableResourceMappings[example.com/gpu].allocationMultiplier: Invalid value: "0": must be positive`,
		}},
		"nothing": {mapped("cpu", resourcev1.NodeAllocatableResourceMapping{}), []string{
			at + `nodeAllocatableResourceMappings[cpu]: Invalid value: "": at least one of allocationMultiplier or capacityKey must be set`,
		}},
		"no capacity": {mapped("cpu", resourcev1.NodeAllocatableResourceMapping{CapacityKey: of(resourcev1.QualifiedName("cores"))}), []string{
			at + `nodeAllocatableResourceMappings[cpu].capacityKey: Not found: "cores"`,
		}},
	} {
		s := slice(func(s *resourcev1.ResourceSliceSpec) { c.change(&s.Devices[0]) })
		kindtest.Same(t, name, kindtest.Update(kind.ResourceSlice(), s, slice(nil)), c.want)
	}
}
