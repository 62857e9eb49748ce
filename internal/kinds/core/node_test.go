package core_test

import (
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/core"
)

func node(change func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", CreationTimestamp: metav1.NewTime(env().Now.Add(-49 * time.Hour))},
		Spec:       corev1.NodeSpec{PodCIDR: "10.0.0.0/24", ProviderID: "here"},
		Status:     corev1.NodeStatus{Capacity: corev1.ResourceList{"cpu": resource.MustParse("2"), "pods": resource.MustParse("110")}},
	}
	if change != nil {
		change(n)
	}
	core.Node().Default(n)
	return n
}

func TestNodeDefaults(t *testing.T) {
	for name, c := range map[string]struct {
		spec corev1.NodeSpec
		want []string // podCIDRs; podCIDR is the first
	}{
		"none":               {corev1.NodeSpec{}, nil},
		"the older field":    {corev1.NodeSpec{PodCIDR: "a"}, []string{"a"}},
		"the newer field":    {corev1.NodeSpec{PodCIDRs: []string{"a", "b"}}, []string{"a", "b"}},
		"they agree":         {corev1.NodeSpec{PodCIDR: "a", PodCIDRs: []string{"a", "b"}}, []string{"a", "b"}},
		"the older one wins": {corev1.NodeSpec{PodCIDR: "c", PodCIDRs: []string{"a", "b"}}, []string{"c"}},
	} {
		n := node(func(n *corev1.Node) { n.Spec = c.spec })
		first := append(c.want, "")[0]
		if !reflect.DeepEqual(n.Spec.PodCIDRs, c.want) || n.Spec.PodCIDR != first {
			t.Errorf("%s: got %q and %q, want %q", name, n.Spec.PodCIDR, n.Spec.PodCIDRs, c.want)
		}
	}
	n := node(nil)
	n.Status.Capacity["cpu"] = resource.MustParse("9")
	if got := n.Status.Allocatable["cpu"]; got.Value() != 2 {
		t.Errorf("allocatable is not a copy of the capacity there was: %v", n.Status.Allocatable)
	}
}

// TestNodeRefusals are upstream's words, its odd paths among them.
func TestNodeRefusals(t *testing.T) {
	capacity := func(name corev1.ResourceName, q string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Status.Capacity = corev1.ResourceList{name: resource.MustParse(q)} }
	}
	taints := func(list ...corev1.Taint) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Spec.Taints = list }
	}
	ranges := func(list ...string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Spec.PodCIDR, n.Spec.PodCIDRs = "", list }
	}
	features := func(list ...string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Status.DeclaredFeatures = list }
	}
	zero := int64(0)
	for name, c := range map[string]struct {
		change func(*corev1.Node)
		want   []string
	}{
		"good":                 {nil, nil},
		"good taint":           {taints(corev1.Taint{Key: "a", Effect: "NoSchedule"}, corev1.Taint{Key: "a", Effect: "NoExecute"}), nil},
		"taint without effect": {taints(corev1.Taint{Key: "a"}), []string{`metadata.taints[0].effect: Required value`}},
		"taint's effect":       {taints(corev1.Taint{Key: "a", Effect: "Odd"}), []string{`metadata.taints[0].effect: Unsupported value: "Odd": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`}},
		"taint twice": {
			taints(corev1.Taint{Key: "a", Effect: "NoSchedule"}, corev1.Taint{Key: "a", Value: "b", Effect: "NoSchedule"}),
			[]string{`metadata.taints[1]: Duplicate value: {"Key":"a","Value":"b","Effect":"NoSchedule","TimeAdded":null}: taints must be unique by key and effect pair`},
		},
		"both families": {ranges("10.0.0.0/24", "fd00::/64"), nil},
		"one family":    {ranges("10.0.0.0/24", "10.1.0.0/24"), []string{`spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.1.0.0/24"]: may specify no more than one CIDR for each IP family`}},
		"no range":      {ranges("x"), []string{`spec.podCIDRs[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`}},
		"less than nothing": {capacity("cpu", "-1"), []string{
			`status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0`, `status.allocatable.cpu: Invalid value: "-1": must be greater than or equal to 0`,
		}},
		"half a core":          {capacity("cpu", "500m"), nil},
		"a quota, not counted": {capacity("requests.example.com/x", "500m"), nil},
		"swap": {func(n *corev1.Node) { n.Status.NodeInfo.Swap = &corev1.NodeSwapStatus{Capacity: &zero} }, []string{
			`metadata.nodeSwapStatus.capacity: Invalid value: 0: must be greater than zero`,
		}},
		"good features":     {features("A", "B/c1", "Ba"), nil},
		"features unsorted": {features("B", "A"), []string{`status.declaredFeatures[1]: Invalid value: "A": list must be sorted alphabetically`}},
		"a feature twice":   {features("A", "A"), []string{`status.declaredFeatures[1]: Duplicate value: "A"`}},
	} {
		var got []string
		for _, e := range core.Node().Validate(node(c.change)) {
			got = append(got, e.Error())
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
	}
	for _, bad := range []func(*corev1.Node){capacity("pods", "500m"), capacity("example.com/gpu", "1500m"), features("a"), features("A/"), features("A/1"), features("")} {
		if errs := core.Node().Validate(node(bad)); len(errs) == 0 {
			t.Errorf("accepted: %+v", node(bad).Status)
		}
	}
}

func TestNodeUpdates(t *testing.T) {
	twice := []corev1.NodeAddress{{Type: "InternalIP", Address: "1.1.1.1"}, {Type: "InternalIP", Address: "1.1.1.1"}}
	for name, c := range map[string]struct {
		change func(*corev1.Node)
		want   string
	}{
		"nothing":         {nil, ""},
		"unschedulable":   {func(n *corev1.Node) { n.Spec.Unschedulable = true }, ""},
		"another range":   {func(n *corev1.Node) { n.Spec.PodCIDR = "10.1.0.0/24" }, `spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`},
		"no range":        {func(n *corev1.Node) { n.Spec.PodCIDR = "" }, `spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`},
		"provider":        {func(n *corev1.Node) { n.Spec.ProviderID = "there" }, `spec.providerID: Forbidden: node updates may not change providerID except from "" to valid`},
		"external id":     {func(n *corev1.Node) { n.Spec.DoNotUseExternalID = "x" }, `spec.externalID: Forbidden: may not be updated`},
		"addresses twice": {func(n *corev1.Node) { n.Status.Addresses = twice }, `status.addresses[1]: Duplicate value: {"Type":"InternalIP","Address":"1.1.1.1"}`},
	} {
		errs := core.Node().ValidateUpdate(node(c.change), node(nil))
		if c.want == "" && len(errs) == 0 {
			continue
		}
		if len(errs) != 1 || errs[0].Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, errs, c.want)
		}
	}
}

// TestNodeStatusIsItsOwn: a creation keeps the status that it brings, an update the one there was, and the subresource changes nothing else.
func TestNodeStatusIsItsOwn(t *testing.T) {
	k, old := core.Node(), node(nil)
	made := node(func(n *corev1.Node) { n.Status.Config = &corev1.NodeConfigStatus{} })
	if k.PrepareCreate(env(), made); made.Status.Capacity == nil || made.Status.Config != nil {
		t.Errorf("created: %+v", made)
	}
	change := func(n *corev1.Node) {
		n.Spec.Unschedulable = true
		n.Status.Phase = corev1.NodeRunning
	}
	next := node(change)
	if k.PrepareUpdate(env(), next, old); !next.Spec.Unschedulable || next.Status.Phase != "" {
		t.Errorf("updated: %+v", next)
	}
	next = node(change)
	if errs := k.Subresources[1].Update(env(), next, old); len(errs) > 0 || next.Spec.Unschedulable || next.Status.Phase != corev1.NodeRunning {
		t.Errorf("status updated: %v, %+v", errs, next)
	}
}

func TestNodeColumns(t *testing.T) {
	full := node(func(n *corev1.Node) {
		n.Spec.Unschedulable = true
		n.Labels = map[string]string{"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/": "", "kubernetes.io/role": "control-plane"}
		n.Status = corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}, {Type: corev1.NodeInternalIP, Address: "fd00::1"}},
			NodeInfo: corev1.NodeSystemInfo{
				KubeletVersion: "v1.36.3", OSImage: "Debian", KernelVersion: "6.18.0", Architecture: "amd64", ContainerRuntimeVersion: "floe://1",
			},
		}
	})
	for name, c := range map[string]struct {
		node *corev1.Node
		want []any
	}{
		"new":  {node(nil), []any{"n", "Unknown", "<none>", "2d1h", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"}},
		"full": {full, []any{"n", "Ready,SchedulingDisabled", "control-plane,worker", "2d1h", "v1.36.3", "10.0.0.1", "<none>", "Debian", "6.18.0 (amd64)", "floe://1"}},
	} {
		var got []any
		for _, col := range core.Node().Columns {
			got = append(got, col.Cell(env(), c.node))
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, c.want)
		}
	}
}
