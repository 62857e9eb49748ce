package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	roleLabel   = "kubernetes.io/role"
	rolePrefix  = "node-role.kubernetes.io/"
	noneShown   = "<none>"
	unknownCell = "<unknown>"
)

// Node is v1 Node.
func Node() *kinds.Kind {
	gvk := corev1.SchemeGroupVersion.WithKind("Node")
	return &kinds.Kind{
		GVK: gvk, Resource: "nodes", Singular: "node", ShortNames: []string{"no"}, Storage: "minions",
		New:     func() kinds.Object { return &corev1.Node{} },
		NewList: func() runtime.Object { return &corev1.NodeList{} },
		Default: func(obj kinds.Object) {
			if n := obj.(*corev1.Node); n.Status.Allocatable == nil {
				n.Status.Allocatable = n.Status.Capacity.DeepCopy()
			}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) { obj.(*corev1.Node).Status = old.(*corev1.Node).Status },
		Validate:      validateNode,
		ValidateUpdate: func(obj, old kinds.Object) (errs field.ErrorList) {
			n, was := obj.(*corev1.Node), old.(*corev1.Node)
			if len(was.Spec.PodCIDRs) > 0 && changed(n.Spec.PodCIDRs, was.Spec.PodCIDRs) {
				errs = append(errs, field.Forbidden(field.NewPath("spec", "podCIDRs"), "node updates may not change podCIDR except from \"\" to valid"))
			}
			if was.Spec.ProviderID != "" && n.Spec.ProviderID != was.Spec.ProviderID {
				errs = append(errs, field.Forbidden(field.NewPath("spec", "providerID"), "node updates may not change providerID except from \"\" to valid"))
			}
			return errs
		},
		Columns: nodeColumns(),
		Fields: func(obj kinds.Object) fields.Set {
			unschedulable := "false"
			if obj.(*corev1.Node).Spec.Unschedulable {
				unschedulable = "true"
			}
			return fields.Set{"spec.unschedulable": unschedulable}
		},
		Subresources: []kinds.Subresource{{
			Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"},
			Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				n := obj.(*corev1.Node)
				n.Spec = old.(*corev1.Node).Spec
				return validateNodeStatus(n)
			},
		}},
	}
}

func validateNode(obj kinds.Object) field.ErrorList {
	n := obj.(*corev1.Node)
	errs := validateNodeStatus(n)
	type key struct {
		key    string
		effect corev1.TaintEffect
	}
	seen := map[key]bool{}
	for i, t := range n.Spec.Taints {
		at := field.NewPath("spec", "taints").Index(i)
		errs = append(errs, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
		for _, msg := range utilvalidation.IsValidLabelValue(t.Value) {
			errs = append(errs, field.Invalid(at.Child("value"), t.Value, msg))
		}
		switch t.Effect {
		case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		case "":
			errs = append(errs, field.Required(at.Child("effect"), ""))
		default:
			errs = append(errs, field.NotSupported(at.Child("effect"), t.Effect, []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}))
		}
		if k := (key{t.Key, t.Effect}); seen[k] {
			dup := field.Duplicate(at, t)
			dup.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, dup)
		} else {
			seen[k] = true
		}
	}
	for i, cidr := range n.Spec.PodCIDRs {
		errs = append(errs, utilvalidation.IsValidCIDR(field.NewPath("spec", "podCIDRs").Index(i), cidr)...)
	}
	return errs
}

func validateNodeStatus(n *corev1.Node) (errs field.ErrorList) {
	for name, list := range map[string]corev1.ResourceList{"capacity": n.Status.Capacity, "allocatable": n.Status.Allocatable} {
		for resource, q := range list {
			at := field.NewPath("status", name).Key(string(resource))
			for _, msg := range utilvalidation.IsQualifiedName(string(resource)) {
				errs = append(errs, field.Invalid(at, string(resource), msg))
			}
			if q.Sign() < 0 {
				errs = append(errs, field.Invalid(at, q.String(), "must be greater than or equal to 0"))
			}
		}
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
		cell("Kernel-Version", info["kernelVersion"], 1, func(n *corev1.Node) string { return orUnknown(n.Status.NodeInfo.KernelVersion) }),
		cell("Container-Runtime", info["containerRuntimeVersion"], 1, func(n *corev1.Node) string { return orUnknown(n.Status.NodeInfo.ContainerRuntimeVersion) }),
	}
}

func orUnknown(s string) string {
	if s == "" {
		return unknownCell
	}
	return s
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
