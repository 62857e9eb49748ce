package core

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	roleLabel   = "kubernetes.io/role"
	rolePrefix  = "node-role.kubernetes.io/"
	noneShown   = "<none>"
	unknownCell = "<unknown>"
)

// Node is v1 Node. Its status may be given on creation, as agents that register themselves do; later it changes through its subresource only.
func Node() *kinds.Kind {
	gvk := corev1.SchemeGroupVersion.WithKind("Node")
	return &kinds.Kind{
		GVK: gvk, Resource: "nodes", Singular: "node", ShortNames: []string{"no"}, Storage: "minions", MetaAgain: kinds.MetaAll,
		New:       func() kinds.Object { return &corev1.Node{} },
		NewList:   func() runtime.Object { return &corev1.NodeList{} },
		Default:   func(obj kinds.Object) { defaultNode(obj.(*corev1.Node)) },
		Admission: []kinds.Admission{{Plugin: "TaintNodesByCondition", Admit: taintNew}},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			n := obj.(*corev1.Node)
			dropConfig(n, &corev1.Node{})
			n.Status.Config = nil
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			n, was := obj.(*corev1.Node), old.(*corev1.Node)
			n.Status = was.Status
			dropConfig(n, was)
		},
		Canonical: func(obj kinds.Object) {
			for i, images := 0, obj.(*corev1.Node).Status.Images; i < len(images); i++ {
				if len(images[i].Names) == 0 {
					images[i].Names = nil // an empty list is stored as none
				}
			}
		},
		Validate: validateNode,
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validateNodeChange(obj.(*corev1.Node), old.(*corev1.Node))
		},
		Minor: func(old, obj kinds.Object) bool {
			return old != nil && onlyAlive(old.(*corev1.Node), obj.(*corev1.Node))
		},
		Warnings: nodeWarnings,
		Columns:  nodeColumns(),
		Fields: func(obj kinds.Object) fields.Set {
			return fields.Set{"spec.unschedulable": strconv.FormatBool(obj.(*corev1.Node).Spec.Unschedulable)}
		},
		Resets: []string{"status"},
		Subresources: []kinds.Subresource{proxyOf("NodeProxyOptions", nodePlace), {
			Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"},
			Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				n, was := obj.(*corev1.Node), old.(*corev1.Node)
				n.Spec = was.Spec
				if was.Status.Config == nil {
					n.Status.Config = nil
				}
				return validateNodeChange(n, was)
			},
		}},
	}
}

// taintNew gives a new node the taint of one that is not ready, which goes once a controller has seen that it is.
func taintNew(_ kinds.Env, obj, old kinds.Object, _ kinds.Reader) error {
	n, taint := obj.(*corev1.Node), corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
	if old == nil && !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
		n.Spec.Taints = append(slices.Clip(n.Spec.Taints), taint)
	}
	return nil
}

// dropConfig clears the source of a node's configuration, which upstream no longer takes, unless it was there before.
func dropConfig(n, was *corev1.Node) {
	//lint:ignore SA1019 the field is gone from use, not from the wire
	if was.Spec.ConfigSource == nil {
		//lint:ignore SA1019 as above
		n.Spec.ConfigSource = nil
	}
}

// defaultNode makes podCIDR, which older clients know, and podCIDRs agree: where they differ, the older is meant. All that a node has is
// allocatable unless it says otherwise.
func defaultNode(n *corev1.Node) {
	if one := n.Spec.PodCIDR; one != "" && (len(n.Spec.PodCIDRs) == 0 || n.Spec.PodCIDRs[0] != one) {
		n.Spec.PodCIDRs = []string{one}
	}
	if len(n.Spec.PodCIDRs) > 0 {
		n.Spec.PodCIDR = n.Spec.PodCIDRs[0]
	}
	if len(n.Status.Allocatable) == 0 { // none is stored as nothing, which is read with this default
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
}

func validateNode(obj kinds.Object) field.ErrorList {
	n := obj.(*corev1.Node)
	errs := slices.Concat(validateNodeAnnotations(n.Annotations), validateTaints(n.Spec.Taints, taintsPath()), validateNodeStatus(n))
	if swap := n.Status.NodeInfo.Swap; swap != nil && swap.Capacity != nil && *swap.Capacity <= 0 {
		// The path is upstream's, as it is for taints: clients see it so.
		errs = append(errs, field.Invalid(field.NewPath("metadata", "nodeSwapStatus", "capacity"), *swap.Capacity, "must be greater than zero"))
	}
	path := field.NewPath("spec", "podCIDRs")
	for i, cidr := range n.Spec.PodCIDRs {
		errs = append(errs, utilvalidation.IsValidCIDRForLegacyField(path.Index(i), cidr, true, nil)...)
	}
	if len(n.Spec.PodCIDRs) > 1 {
		both, err := netutils.IsDualStackCIDRStrings(n.Spec.PodCIDRs)
		if err != nil {
			errs = append(errs, field.InternalError(path, fmt.Errorf("invalid PodCIDRs. failed to check with dual stack with error:%w", err)))
		}
		if !both || len(n.Spec.PodCIDRs) > 2 {
			errs = append(errs, field.Invalid(path, n.Spec.PodCIDRs, "may specify no more than one CIDR for each IP family"))
		}
	}
	return errs
}

// untagged are the parts of a node that refusals print. Upstream prints types of its own that have no JSON names, and so capitals.
type (
	untaggedTaint struct {
		Key, Value string
		Effect     corev1.TaintEffect
		TimeAdded  *metav1.Time
	}
	untaggedAddress struct {
		Type    corev1.NodeAddressType
		Address string
	}
)

// taintsPath is where upstream says that taints are, and so clients see it.
func taintsPath() *field.Path { return field.NewPath("metadata", "taints") }

func validateTaints(taints []corev1.Taint, path *field.Path) (errs field.ErrorList) {
	type key struct {
		key    string
		effect corev1.TaintEffect
	}
	seen := map[key]bool{}
	for i, t := range taints {
		at := path.Index(i)
		errs = append(errs, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
		if msgs := utilvalidation.IsValidLabelValue(t.Value); len(msgs) > 0 {
			errs = append(errs, field.Invalid(at.Child("value"), t.Value, strings.Join(msgs, ";")))
		}
		switch t.Effect {
		case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		case "":
			errs = append(errs, field.Required(at.Child("effect"), ""))
		default:
			errs = append(errs, field.NotSupported(at.Child("effect"), t.Effect, []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}))
		}
		if k := (key{t.Key, t.Effect}); seen[k] {
			dup := field.Duplicate(at, untaggedTaint(t))
			dup.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, dup)
		} else {
			seen[k] = true
		}
	}
	return errs
}

// validateNodeStatus reports what is wrong with a status by itself.
func validateNodeStatus(n *corev1.Node) (errs field.ErrorList) {
	quantities := func(list corev1.ResourceList, path *field.Path) {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			q, at := list[name], path.Child(string(name))
			if q.Sign() < 0 {
				errs = append(errs, field.Invalid(at, q.String(), validation.IsNegativeErrorMsg))
			}
			if isWhole(name) && q.MilliValue()%1000 != 0 {
				errs = append(errs, field.Invalid(at, q, "must be an integer"))
			}
		}
	}
	quantities(n.Status.Capacity, field.NewPath("status", "capacity"))
	quantities(n.Status.Allocatable, field.NewPath("status", "allocatable"))
	before := ""
	for i, name := range n.Status.DeclaredFeatures {
		at := field.NewPath("status", "declaredFeatures").Index(i)
		if msg := featureName(name); msg != "" {
			errs = append(errs, field.Invalid(at, name, msg))
		}
		switch {
		case i == 0 || before < name:
		case before == name:
			errs = append(errs, field.Duplicate(at, name))
		default:
			errs = append(errs, field.Invalid(at, name, "list must be sorted alphabetically"))
		}
		before = name
	}
	return errs
}

// isWhole says that a resource is counted in whole numbers: things of the API, and what vendors name (example.com/gpu).
func isWhole(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return true
	}
	s := string(name)
	native := !strings.Contains(s, "/") || strings.Contains(s, corev1.ResourceDefaultNamespacePrefix)
	return !native && !strings.HasPrefix(s, corev1.DefaultResourceRequestsPrefix) && len(utilvalidation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+s)) == 0
}

// featureName says what is wrong with the name of a feature that a node declares, such as MyFeature/mySubFeature; "" is nothing.
func featureName(name string) string {
	if len(name) > utilvalidation.DNS1123SubdomainMaxLength {
		return fmt.Sprintf("invalid feature name %q: must be no more than %d characters", name, utilvalidation.DNS1123SubdomainMaxLength)
	}
	letter := func(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }
	good := name != "" && name[0] <= 'Z'
	for part := range strings.SplitSeq(name, "/") {
		good = good && part != "" && letter(part[0])
		for i := range len(part) {
			good = good && (letter(part[i]) || '0' <= part[i] && part[i] <= '9')
		}
	}
	if good {
		return ""
	}
	return fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", name)
}

// validateNodeChange reports what may not change, what is only looked at once a node is there, and again what validateNode does, as upstream.
func validateNodeChange(n, was *corev1.Node) field.ErrorList {
	errs := append(validateNodeAnnotations(n.Annotations), validateNodeStatus(n)...)
	seen := map[corev1.NodeAddress]bool{}
	for i, a := range n.Status.Addresses {
		if seen[a] {
			errs = append(errs, field.Duplicate(field.NewPath("status", "addresses").Index(i), untaggedAddress(a)))
		}
		seen[a] = true
	}
	if len(was.Spec.PodCIDRs) > 0 && !slices.Equal(n.Spec.PodCIDRs, was.Spec.PodCIDRs) {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "podCIDRs"), "node updates may not change podCIDR except from \"\" to valid"))
	}
	if was.Spec.ProviderID != "" && n.Spec.ProviderID != was.Spec.ProviderID {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "providerID"), "node updates may not change providerID except from \"\" to valid"))
	}
	errs = append(errs, validateTaints(n.Spec.Taints, taintsPath())...)
	if n.Spec.DoNotUseExternalID != was.Spec.DoNotUseExternalID {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "externalID"), "may not be updated"))
	}
	return errs
}

func nodeColumns() []kinds.Column {
	cell := func(name, doc string, priority int32, f func(*corev1.Node) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Priority: priority, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*corev1.Node)) }}
	}
	status, info := corev1.NodeStatus{}.SwaggerDoc(), corev1.NodeSystemInfo{}.SwaggerDoc()
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Status", "The status of the node", 0, nodeReadiness),
		cell("Roles", "The roles of the node", 0, nodeRoles),
		kinds.AgeColumn(),
		cell("Version", info["kubeletVersion"], 0, func(n *corev1.Node) string { return n.Status.NodeInfo.KubeletVersion }),
		cell("Internal-IP", status["addresses"], 1, func(n *corev1.Node) string { return nodeAddress(n, corev1.NodeInternalIP) }),
		cell("External-IP", status["addresses"], 1, func(n *corev1.Node) string { return nodeAddress(n, corev1.NodeExternalIP) }),
		cell("OS-Image", info["osImage"], 1, func(n *corev1.Node) string { return orUnknown(n.Status.NodeInfo.OSImage) }),
		cell("Kernel-Version", info["kernelVersion"], 1, nodeKernel),
		cell("Container-Runtime", info["containerRuntimeVersion"], 1, func(n *corev1.Node) string { return orUnknown(n.Status.NodeInfo.ContainerRuntimeVersion) }),
	}
}

func orUnknown(s string) string {
	if s == "" {
		return unknownCell
	}
	return s
}

// nodeKernel is the kernel's version and, where it is known, what it runs on: "6.18.0 (amd64)".
func nodeKernel(n *corev1.Node) string {
	kernel := orUnknown(n.Status.NodeInfo.KernelVersion)
	if arch := n.Status.NodeInfo.Architecture; arch != "" {
		kernel += " (" + arch + ")"
	}
	return kernel
}

func nodeReadiness(n *corev1.Node) string {
	text := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if text = "NotReady"; c.Status == corev1.ConditionTrue {
			text = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		text += ",SchedulingDisabled"
	}
	return text
}

func nodeRoles(n *corev1.Node) string {
	var roles []string
	for k, v := range n.Labels {
		if role, ok := strings.CutPrefix(k, rolePrefix); ok && role != "" {
			roles = append(roles, role)
		} else if k == roleLabel && v != "" {
			roles = append(roles, v)
		}
	}
	if len(roles) == 0 {
		return noneShown
	}
	slices.Sort(roles)
	return strings.Join(slices.Compact(roles), ",")
}

func nodeAddress(n *corev1.Node, t corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == t {
			return a.Address
		}
	}
	return noneShown
}

// onlyAlive says that a change does no more than say that the node is still there.
func onlyAlive(old, node *corev1.Node) bool {
	still := func(n *corev1.Node) *corev1.Node {
		n = n.DeepCopy()
		n.ResourceVersion, n.ManagedFields = "", nil
		for i := range n.Status.Conditions {
			n.Status.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
		return n
	}
	return apiequality.Semantic.DeepEqual(still(old), still(node))
}
