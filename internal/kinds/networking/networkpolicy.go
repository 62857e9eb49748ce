package networking

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/floe-k8s/floe/internal/kinds"
)

// NetworkPolicy is networking.k8s.io/v1 NetworkPolicy.
func NetworkPolicy() *kinds.Kind {
	return &kinds.Kind{
		GVK: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"), Resource: "networkpolicies", Singular: "networkpolicy", ShortNames: []string{"netpol"}, Namespaced: true,
		New:           func() kinds.Object { return &networkingv1.NetworkPolicy{} },
		NewList:       func() runtime.Object { return &networkingv1.NetworkPolicyList{} },
		Default:       func(obj kinds.Object) { defaultPolicy(&obj.(*networkingv1.NetworkPolicy).Spec) },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) { obj.SetGeneration(1) },
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			if changed(obj.(*networkingv1.NetworkPolicy).Spec, old.(*networkingv1.NetworkPolicy).Spec) {
				obj.SetGeneration(old.GetGeneration() + 1)
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) {
				return nil
			}
			return policyCheck{}.spec(&obj.(*networkingv1.NetworkPolicy).Spec, field.NewPath("spec"))
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return after(&old.(*networkingv1.NetworkPolicy).Spec).spec(&obj.(*networkingv1.NetworkPolicy).Spec, field.NewPath("spec"))
		},
		Warnings: policyWarnings,
		Columns: []kinds.Column{
			kinds.NameColumn(),
			column("Pod-Selector", networkingv1.NetworkPolicySpec{}.SwaggerDoc()["podSelector"], func(p *networkingv1.NetworkPolicy) string {
				return metav1.FormatLabelSelector(&p.Spec.PodSelector)
			}),
			kinds.AgeColumn(),
		},
	}
}

func defaultPolicy(s *networkingv1.NetworkPolicySpec) {
	ports := func(list []networkingv1.NetworkPolicyPort) {
		for i := range list {
			if list[i].Protocol == nil {
				tcp := corev1.ProtocolTCP
				list[i].Protocol = &tcp
			}
		}
	}
	for i := range s.Ingress {
		ports(s.Ingress[i].Ports)
	}
	for i := range s.Egress {
		ports(s.Egress[i].Ports)
	}
	if len(s.PolicyTypes) > 0 {
		return
	}
	s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	if len(s.Egress) > 0 {
		s.PolicyTypes = append(s.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
}

// policyCheck judges a policy; its fields are what is let pass since it is stored already.
type policyCheck struct {
	ranges []string // written loosely
	labels metavalidation.LabelSelectorValidationOptions
}

// after judges a policy whose present state is was. Rules may have moved anywhere, so a range that was in any may now be in every.
func after(was *networkingv1.NetworkPolicySpec) (c policyCheck) {
	peers := func(list []networkingv1.NetworkPolicyPeer) {
		for _, p := range list {
			if p.IPBlock != nil {
				c.ranges = append(append(c.ranges, p.IPBlock.CIDR), p.IPBlock.Except...)
			}
		}
	}
	for _, r := range was.Ingress {
		peers(r.From)
	}
	for _, r := range was.Egress {
		peers(r.To)
	}
	c.labels.AllowInvalidLabelValueInSelector = len(metavalidation.ValidateLabelSelector(&was.PodSelector, c.labels, nil)) > 0
	return c
}

func (c policyCheck) spec(s *networkingv1.NetworkPolicySpec, path *field.Path) (errs field.ErrorList) {
	errs = append(errs, metavalidation.ValidateLabelSelector(&s.PodSelector, c.labels, path.Child("podSelector"))...)
	for i, r := range s.Ingress {
		errs = append(errs, c.rule(r.Ports, r.From, path.Child("ingress").Index(i), "from")...)
	}
	for i, r := range s.Egress {
		errs = append(errs, c.rule(r.Ports, r.To, path.Child("egress").Index(i), "to")...)
	}
	types := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	if path = path.Child("policyTypes"); len(s.PolicyTypes) > len(types) {
		return append(errs, field.Invalid(path, s.PolicyTypes, "may not specify more than two policyTypes"))
	}
	for i, t := range s.PolicyTypes {
		if !slices.Contains(types, t) {
			errs = append(errs, field.NotSupported(path.Index(i), t, types))
		}
	}
	return errs
}

func (c policyCheck) rule(ports []networkingv1.NetworkPolicyPort, peers []networkingv1.NetworkPolicyPeer, path *field.Path, side string) (errs field.ErrorList) {
	for i, p := range ports {
		errs = append(errs, validatePolicyPort(p, path.Child("ports").Index(i))...)
	}
	for i, p := range peers {
		errs = append(errs, c.peer(p, path.Child(side).Index(i))...)
	}
	return errs
}

func (c policyCheck) peer(p networkingv1.NetworkPolicyPeer, path *field.Path) (errs field.ErrorList) {
	selects := p.PodSelector != nil || p.NamespaceSelector != nil
	if p.PodSelector != nil {
		errs = append(errs, metavalidation.ValidateLabelSelector(p.PodSelector, c.labels, path.Child("podSelector"))...)
	}
	if p.NamespaceSelector != nil {
		errs = append(errs, metavalidation.ValidateLabelSelector(p.NamespaceSelector, c.labels, path.Child("namespaceSelector"))...)
	}
	if p.IPBlock != nil {
		errs = append(errs, c.block(p.IPBlock, path.Child("ipBlock"))...)
	}
	switch {
	case p.IPBlock == nil && !selects:
		errs = append(errs, field.Required(path, "must specify a peer"))
	case p.IPBlock != nil && selects:
		errs = append(errs, field.Forbidden(path, "may not specify both ipBlock and another peer"))
	}
	return errs
}

func (c policyCheck) block(b *networkingv1.IPBlock, path *field.Path) (errs field.ErrorList) {
	if b.CIDR == "" {
		return field.ErrorList{field.Required(path.Child("cidr"), "")}
	}
	errs = utilvalidation.IsValidCIDRForLegacyField(path.Child("cidr"), b.CIDR, true, c.ranges)
	_, whole, err := netutils.ParseCIDRSloppy(b.CIDR)
	if err != nil { // said above
		return errs
	}
	size, _ := whole.Mask.Size()
	for i, text := range b.Except {
		at := path.Child("except").Index(i)
		errs = append(errs, utilvalidation.IsValidCIDRForLegacyField(at, text, true, c.ranges)...)
		_, part, err := netutils.ParseCIDRSloppy(text)
		if err != nil { // said above
			continue
		}
		if n, _ := part.Mask.Size(); !whole.Contains(part.IP) || size >= n {
			errs = append(errs, field.Invalid(at, text, "must be a strict subset of `cidr`"))
		}
	}
	return errs
}

func validatePolicyPort(p networkingv1.NetworkPolicyPort, path *field.Path) (errs field.ErrorList) {
	protocols := []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	if p.Protocol != nil && !slices.Contains(protocols, *p.Protocol) {
		errs = append(errs, field.NotSupported(path.Child("protocol"), *p.Protocol, protocols))
	}
	port, end := path.Child("port"), path.Child("endPort")
	switch {
	case p.Port == nil:
		if p.EndPort != nil {
			errs = append(errs, field.Invalid(end, *p.EndPort, "may not be specified when `port` is not specified"))
		}
	case p.Port.Type == intstr.Int:
		for _, msg := range utilvalidation.IsValidPortNum(int(p.Port.IntVal)) {
			errs = append(errs, field.Invalid(port, p.Port.IntVal, msg))
		}
		if p.EndPort == nil {
			break
		}
		if *p.EndPort < p.Port.IntVal {
			errs = append(errs, field.Invalid(end, p.Port.IntVal, "must be greater than or equal to `port`")) // upstream quotes the other port
		}
		for _, msg := range utilvalidation.IsValidPortNum(int(*p.EndPort)) {
			errs = append(errs, field.Invalid(end, *p.EndPort, msg))
		}
	default:
		if p.EndPort != nil {
			errs = append(errs, field.Invalid(end, *p.EndPort, "may not be specified when `port` is non-numeric"))
		}
		errs = append(errs, invalid(port, p.Port.StrVal, utilvalidation.IsValidPortName(p.Port.StrVal))...)
	}
	return errs
}
