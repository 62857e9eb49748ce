package resource_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	kind "github.com/floe-k8s/floe/internal/kinds/resource"
)

func of[T any](v T) *T { return &v }

func TestLaws(t *testing.T) {
	kindtest.Laws(t, 1, kind.DeviceClass(), kind.ResourceClaim(), kind.ResourceClaimTemplate(), kind.ResourceSlice())
}

func claim(change func(*resourcev1.ResourceClaim)) *resourcev1.ResourceClaim {
	c := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "default"}}
	c.Spec.Devices.Requests = []resourcev1.DeviceRequest{{Name: "r", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu"}}}
	if change != nil {
		change(c)
	}
	kind.ResourceClaim().Default(c)
	return c
}

func TestClaims(t *testing.T) {
	exactly := func(change func(*resourcev1.ExactDeviceRequest)) func(*resourcev1.ResourceClaim) {
		return func(c *resourcev1.ResourceClaim) { change(c.Spec.Devices.Requests[0].Exactly) }
	}
	const at = "spec.devices.requests[0].exactly."
	for name, c := range map[string]struct {
		change func(*resourcev1.ResourceClaim)
		want   []string
	}{
		"good": {nil, nil},
		"selected": {exactly(func(r *resourcev1.ExactDeviceRequest) {
			r.Selectors = []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "gpu.example" && device.attributes["gpu.example"].model == "a"`}}}
		}), nil},
		"no selector": {exactly(func(r *resourcev1.ExactDeviceRequest) { r.Selectors = []resourcev1.DeviceSelector{{}} }), []string{at + "selectors[0].cel: Required value"}},
		"no class":    {exactly(func(r *resourcev1.ExactDeviceRequest) { r.DeviceClassName = "" }), []string{at + "deviceClassName: Required value"}},
		"all of two": {exactly(func(r *resourcev1.ExactDeviceRequest) {
			r.AllocationMode, r.Count = resourcev1.DeviceAllocationModeAll, 2
		}), []string{
			at + "count: Invalid value: 2: must not be specified when allocationMode is 'All'",
		}},
		"neither": {func(c *resourcev1.ResourceClaim) { c.Spec.Devices.Requests[0].Exactly = nil }, []string{
			"spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
		}},
		"twice": {func(c *resourcev1.ResourceClaim) {
			c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, c.Spec.Devices.Requests[0])
		}, []string{
			`spec.devices.requests[1]: Duplicate value: "r"`,
		}},
		"other request": {func(c *resourcev1.ResourceClaim) {
			c.Spec.Devices.Constraints = []resourcev1.DeviceConstraint{{Requests: []string{"x"}, MatchAttribute: of(resourcev1.FullyQualifiedName("numa"))}}
		}, []string{
			`spec.devices.constraints[0].requests[0]: Invalid value: "x": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'`,
			`spec.devices.constraints[0].matchAttribute: Invalid value: "numa": a fully qualified name must be a domain and a name separated by a slash`,
		}},
		"no object": {func(c *resourcev1.ResourceClaim) {
			c.Spec.Devices.Config = []resourcev1.DeviceClaimConfiguration{{DeviceConfiguration: resourcev1.DeviceConfiguration{
				Opaque: &resourcev1.OpaqueDeviceConfiguration{Driver: "d", Parameters: runtime.RawExtension{Raw: []byte("5")}},
			}}}
		}, []string{`spec.devices.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object`}},
		"toleration": {exactly(func(r *resourcev1.ExactDeviceRequest) {
			r.Tolerations = []resourcev1.DeviceToleration{{Key: "a", Operator: resourcev1.DeviceTolerationOpExists, Value: "b"}}
		}), []string{at + "tolerations[0].value: Invalid value: \"b\": must be empty for operator `Exists`"}},
	} {
		kindtest.Same(t, name, kindtest.Create(kind.ResourceClaim(), claim(c.change)), c.want)
	}
	bad := claim(exactly(func(r *resourcev1.ExactDeviceRequest) {
		r.Selectors = []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: "device.colour"}}}
	}))
	got := kindtest.Create(kind.ResourceClaim(), bad)
	if len(got) != 1 || !strings.HasPrefix(got[0], at+`selectors[0].cel.expression: Invalid value: "device.colour": compilation failed: `) {
		t.Errorf("an unknown field: %q", got)
	}
	got = kindtest.Update(kind.ResourceClaim(), claim(exactly(func(r *resourcev1.ExactDeviceRequest) { r.DeviceClassName = "tpu" })), claim(nil))
	if len(got) != 1 || !strings.HasPrefix(got[0], "spec: Invalid value: ") || !strings.HasSuffix(got[0], "field is immutable") {
		t.Errorf("another class: %q", got)
	}
}

// TestAdminsOnly: devices that others use are for namespaces that are marked.
func TestAdminsOnly(t *testing.T) {
	res := corev1.SchemeGroupVersion.WithResource("namespaces")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	there := kindtest.Objects{res: {"/default": ns}}
	c := claim(func(c *resourcev1.ResourceClaim) { c.Spec.Devices.Requests[0].Exactly.AdminAccess = of(true) })
	_, err := kind.ResourceClaim().Claim(kindtest.Env(), c, nil, there)
	const want = "admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace"
	if err == nil || !strings.HasSuffix(err.Error(), "spec.devices.requests[0].adminAccess: Forbidden: "+want) {
		t.Errorf("got %v", err)
	}
	ns.Labels = map[string]string{"resource.kubernetes.io/admin-access": "true"}
	if _, err := kind.ResourceClaim().Claim(kindtest.Env(), c, nil, there); err != nil {
		t.Error(err)
	}
}

func given(c *resourcev1.ResourceClaim) {
	c.Status.Allocation = &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{
		{Request: "r", Driver: "d", Pool: "p", Device: "a"},
	}}}
}

func TestClaimStatus(t *testing.T) {
	user := resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: "p", UID: "u"}
	for name, c := range map[string]struct {
		old, next func(*resourcev1.ResourceClaim)
		want      []string
	}{
		"given": {nil, given, nil},
		"no such request": {nil, func(c *resourcev1.ResourceClaim) { given(c); c.Status.Allocation.Devices.Results[0].Request = "x" }, []string{
			`status.allocation.devices.results[0].request: Invalid value: "x": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'`,
		}},
		"used, not given": {nil, func(c *resourcev1.ResourceClaim) {
			c.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{user}
		}, []string{
			"status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
		}},
		"used": {given, func(c *resourcev1.ResourceClaim) {
			given(c)
			c.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{user}
		}, nil},
		"other device": {given, func(c *resourcev1.ResourceClaim) {
			given(c)
			c.Status.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: "d", Pool: "p", Device: "b"}}
		}, []string{`status.devices[0]: Invalid value: {"Driver":"d","Pool":"p","Device":"b","ShareID":""}: must be an allocated device in the claim`}},
		"given back": {func(c *resourcev1.ResourceClaim) {
			given(c)
			c.Status.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: "d", Pool: "p", Device: "a"}}
		}, func(c *resourcev1.ResourceClaim) {
			c.Status.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: "d", Pool: "p", Device: "a"}}
		}, nil},
	} {
		old, next := claim(c.old), claim(c.next)
		kindtest.Same(t, name, kindtest.Part(t, kind.ResourceClaim(), "status", next, old), c.want)
		if name == "given back" && next.Status.Devices != nil {
			t.Errorf("%s: left %v", name, next.Status.Devices)
		}
	}
	other := claim(func(c *resourcev1.ResourceClaim) { given(c); c.Status.Allocation.Devices.Results[0].Device = "b" })
	if got := kindtest.Part(t, kind.ResourceClaim(), "status", other, claim(given)); len(got) != 1 || !strings.HasSuffix(got[0], "field is immutable") {
		t.Errorf("another device: %q", got)
	}
	used := claim(func(c *resourcev1.ResourceClaim) {
		given(c)
		c.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{user}
	})
	if got := kindtest.Row(kind.ResourceClaim(), used)[1]; got != "allocated,reserved" {
		t.Errorf("state %v", got)
	}
}

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

func TestTemplates(t *testing.T) {
	k := kind.ResourceClaimTemplate()
	template := func(labels map[string]string, list []resourcev1.DeviceRequest) *resourcev1.ResourceClaimTemplate {
		c := &resourcev1.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: "t", Namespace: "default"}}
		c.Spec.Labels, c.Spec.Spec.Devices.Requests = labels, list
		k.Default(c)
		return c
	}
	changed := template(map[string]string{"a": "b"}, []resourcev1.DeviceRequest{})
	kindtest.Same(t, "changed", kindtest.Update(k, changed, template(nil, nil)), []string{
		`spec: Invalid value: {"labels":{"a":"b"},"Spec":{"Devices":{"Requests":[],"Constraints":null,"Config":null}}}: field is immutable`,
	})
	if k.Canonical(changed); changed.Spec.Spec.Devices.Requests != nil {
		t.Error("an empty list of requests is shown")
	}
	asks := template(nil, []resourcev1.DeviceRequest{{Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu", AdminAccess: of(true)}, Name: "R"}})
	_, err := k.Claim(kindtest.Env(), asks, nil, kindtest.Objects{})
	if err == nil || !strings.Contains(err.Error(), "spec.devices.requests[0].adminAccess: Internal error: could not retrieve namespace") ||
		!strings.Contains(err.Error(), `spec.spec.devices.requests[0].name: Invalid value: "R"`) {
		t.Errorf("got %v", err)
	}
}

func TestDeviceClasses(t *testing.T) {
	class := func(change func(*resourcev1.DeviceClassSpec)) *resourcev1.DeviceClass {
		c := &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}}
		change(&c.Spec)
		return c
	}
	kindtest.Same(t, "extended", kindtest.Create(kind.DeviceClass(), class(func(s *resourcev1.DeviceClassSpec) { s.ExtendedResourceName = of("gpu") })), []string{
		`spec.extendedResourceName: Invalid value: "gpu": must be a valid extended resource name`,
	})
	if k := kind.DeviceClass(); k.ValidName("G_", true) != nil || len(k.ValidName("G_", false)) != 1 {
		t.Error("a name is looked at as a whole")
	}
	long := class(func(s *resourcev1.DeviceClassSpec) {
		s.Selectors = []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: strings.Repeat("a", 10*1024+1)}}}
	})
	kindtest.Same(t, "long", kindtest.Create(kind.DeviceClass(), long), []string{"spec.selectors[0].cel.expression: Too long: may not be more than 10240 bytes"})
	costly := class(func(s *resourcev1.DeviceClassSpec) {
		s.Selectors = []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{
			Expression: `device.attributes["a"].map(s, s.lowerAscii() + device.attributes["a"][s].lowerAscii()).exists(x, device.attributes["a"].exists(y, device.attributes["a"].exists(z, x.matches(y + z))))`,
		}}}
	})
	if got := kindtest.Create(kind.DeviceClass(), costly); len(got) != 1 {
		t.Errorf("costly: %q", got)
	}
}
