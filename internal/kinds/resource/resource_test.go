package resource_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/kinds"
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

// TestClaimStatusRights: who may write a claim's status may not do all that it can do.
func TestClaimStatusRights(t *testing.T) {
	report := func(c *resourcev1.ResourceClaim) {
		given(c)
		c.Status.Allocation.NodeSelector = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n"}},
		}}}}
		c.Status.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: "d", Pool: "p", Device: "a"}}
	}
	unreported := func(c *resourcev1.ResourceClaim) { report(c); c.Status.Devices = nil }
	asAdmin := func(c *resourcev1.ResourceClaim) {
		given(c)
		c.Status.Allocation.Devices.Results[0].AdminAccess = of(true)
	}
	const binding = `status.allocation: Forbidden: changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="update" permission: no`
	const driver = `status.devices: Forbidden: changing status.devices requires resource="resourceclaims/driver", verb="%s" permission: no`
	const onNode = "[associated-node:update arbitrary-node:update]"
	for name, c := range map[string]struct {
		old, next func(*resourcev1.ResourceClaim)
		node      string // of the user, a service account
		may       string
		want      []string
	}{
		"nothing":           {given, given, "", "", nil},
		"allocation":        {nil, given, "", "", []string{binding}},
		"as who binds":      {nil, given, "", "update binding//", nil},
		"for admins":        {nil, asAdmin, "", "update binding//", []string{"status.allocation.devices.results[0].adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace"}},
		"was for admins":    {asAdmin, asAdmin, "", "", nil},
		"report":            {unreported, report, "", "", []string{fmt.Sprintf(driver, "[arbitrary-node:update]")}},
		"report taken back": {report, unreported, "", "", []string{fmt.Sprintf(driver, "[arbitrary-node:update]")}},
		"as driver":         {unreported, report, "", "arbitrary-node:update driver/default/d", nil},
		"on the node":       {unreported, report, "n", "", []string{fmt.Sprintf(driver, onNode)}},
		"as driver there":   {unreported, report, "n", "associated-node:update driver/default/d", nil},
		"on another node":   {unreported, report, "m", "associated-node:update driver/default/d", []string{fmt.Sprintf(driver, "[arbitrary-node:update]")}},
	} {
		env := kindtest.Env()
		env.Verb, env.User, env.Extra = "update", "system:serviceaccount:default:driver", map[string][]string{"authentication.kubernetes.io/node-name": {c.node}}
		env.Powers = kindtest.Powers(func(w kinds.Wish) bool { return w.Verb+" "+w.Subresource+"/"+w.Namespace+"/"+w.Name == c.may })
		there := kindtest.Objects{corev1.SchemeGroupVersion.WithResource("namespaces"): {"/default": &corev1.Namespace{}}}
		var got []string
		for _, err := range kind.ResourceClaim().Subresources[0].Rights(env, claim(c.next), claim(c.old), there) {
			got = append(got, err.Error())
		}
		kindtest.Same(t, name, got, c.want)
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
