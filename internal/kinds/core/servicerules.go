package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// Rules of services, in upstream's order. Those of addresses stand in serviceips.go.

// validateService checks svc as the next state of was; nil: there is none.
func validateService(svc, was *corev1.Service) (errs field.ErrorList) {
	s, path := &svc.Spec, field.NewPath("spec")
	hints, hinted := svc.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	if mode, ok := svc.Annotations[corev1.AnnotationTopologyMode]; ok && hinted && mode != hints {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "annotations").Key(corev1.AnnotationTopologyMode), mode,
			fmt.Sprintf("must match annotations[%s] when both are specified", corev1.DeprecatedAnnotationTopologyAwareHints)))
	}
	errs = append(errs, validateServiceType(svc, path)...)
	names := sets.New[string]()
	for i, p := range s.Ports {
		errs = append(errs, validateServicePort(p, len(s.Ports) > 1, names, path.Child("ports").Index(i))...)
	}
	if s.Selector != nil {
		errs = append(errs, metavalidation.ValidateLabels(s.Selector, path.Child("selector"))...)
	}
	errs = append(errs, validateAffinity(s, path)...)
	errs = append(errs, ValidateServiceIPs(svc, was)...)
	errs = append(errs, validateExternalIPs(svc, was, path.Child("externalIPs"))...)
	if s.Type == "" {
		errs = append(errs, field.Required(path.Child("type"), ""))
	} else {
		errs = append(errs, oneOf(path.Child("type"), s.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)...)
	}
	errs = append(errs, validateUnique(s, path.Child("ports"))...)
	errs = append(errs, validateSourceRanges(svc, was, path.Child("LoadBalancerSourceRanges"))...)
	balanced := s.Type == corev1.ServiceTypeLoadBalancer
	if s.AllocateLoadBalancerNodePorts != nil && !balanced {
		errs = append(errs, field.Forbidden(path.Child("allocateLoadBalancerNodePorts"), "may only be used when `type` is 'LoadBalancer'"))
	}
	if s.AllocateLoadBalancerNodePorts == nil && balanced {
		errs = append(errs, field.Required(field.NewPath("allocateLoadBalancerNodePorts"), "")) // upstream's path
	}
	errs = append(errs, validateBalancerClass(s, nil)...)
	errs = append(errs, validateExternalTraffic(svc, path)...)
	return append(errs, validateInternalTraffic(s, path)...)
}

// validateServiceType checks what each type wants, and has no use for.
func validateServiceType(svc *corev1.Service, path *field.Path) (errs field.ErrorList) {
	s := &svc.Spec
	if len(s.Ports) == 0 && !isHeadless(svc) && s.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(path.Child("ports"), ""))
	}
	if hasNodePorts(s.Type) && isHeadless(svc) {
		errs = append(errs, field.Invalid(path.Child("clusterIPs").Index(0), s.ClusterIPs[0], fmt.Sprintf("may not be set to 'None' for %s services", s.Type)))
	}
	if s.Type != corev1.ServiceTypeExternalName {
		return errs
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"clusterIPs", len(s.ClusterIPs) > 0}, {"ipFamilies", len(s.IPFamilies) > 0}, {"ipFamilyPolicy", s.IPFamilyPolicy != nil}} {
		if f.set {
			errs = append(errs, field.Forbidden(path.Child(f.name), "may not be set for ExternalName services"))
		}
	}
	return append(errs, named(strings.TrimSuffix(s.ExternalName, "."), path.Child("externalName"), utilvalidation.IsDNS1123Subdomain)...)
}

func validateServicePort(p corev1.ServicePort, mustName bool, names sets.Set[string], path *field.Path) (errs field.ErrorList) {
	if p.Name != "" {
		errs = append(errs, invalid(path.Child("name"), p.Name, utilvalidation.IsDNS1123Label(p.Name))...)
		if names.Has(p.Name) {
			errs = append(errs, field.Duplicate(path.Child("name"), p.Name))
		}
		names.Insert(p.Name)
	} else if mustName {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	for _, msg := range utilvalidation.IsValidPortNum(int(p.Port)) {
		errs = append(errs, field.Invalid(path.Child("port"), p.Port, msg))
	}
	errs = append(errs, validateProtocol(p.Protocol, path.Child("protocol"))...)
	at := path.Child("targetPort")
	if p.TargetPort.Type == intstr.String {
		errs = append(errs, invalid(at, p.TargetPort.StrVal, utilvalidation.IsValidPortName(p.TargetPort.StrVal))...)
	} else {
		for _, msg := range utilvalidation.IsValidPortNum(p.TargetPort.IntValue()) {
			errs = append(errs, field.Invalid(at, p.TargetPort.IntValue(), msg))
		}
	}
	if p.AppProtocol != nil {
		errs = append(errs, invalid(path.Child("appProtocol"), *p.AppProtocol, utilvalidation.IsQualifiedName(*p.AppProtocol))...)
	}
	return errs
}

// validateUnique refuses ports of nodes where there are none, and numbers that are used twice for one protocol.
func validateUnique(s *corev1.ServiceSpec, path *field.Path) (errs field.ErrorList) {
	type number struct {
		protocol corev1.Protocol
		n        int32
	}
	onNodes, ports := sets.New[number](), sets.New[number]()
	for i, p := range s.Ports {
		if s.Type == corev1.ServiceTypeClusterIP && p.NodePort != 0 {
			errs = append(errs, field.Forbidden(path.Index(i).Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
	}
	for i, p := range s.Ports {
		key := number{p.Protocol, p.NodePort}
		if p.NodePort != 0 && onNodes.Has(key) {
			errs = append(errs, field.Duplicate(path.Index(i).Child("nodePort"), p.NodePort))
		}
		onNodes.Insert(key)
	}
	for i, p := range s.Ports {
		key := number{p.Protocol, p.Port}
		if ports.Has(key) {
			errs = append(errs, field.Duplicate(path.Index(i), untagged.Value(corev1.ServicePort{Protocol: p.Protocol, Port: p.Port})))
		}
		ports.Insert(key)
	}
	return errs
}

func validateAffinity(s *corev1.ServiceSpec, path *field.Path) (errs field.ErrorList) {
	const most = 86400 // seconds
	at, config := path.Child("sessionAffinityConfig"), s.SessionAffinityConfig
	switch s.SessionAffinity {
	case "":
		return field.ErrorList{field.Required(path.Child("sessionAffinity"), "")}
	case corev1.ServiceAffinityNone:
		if config != nil {
			errs = append(errs, field.Forbidden(at, "must not be set when session affinity is None"))
		}
		return errs
	case corev1.ServiceAffinityClientIP:
	default:
		return oneOf(path.Child("sessionAffinity"), s.SessionAffinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	}
	const when = "when session affinity type is ClientIP"
	switch {
	case config == nil:
		errs = append(errs, field.Required(at, when))
	case config.ClientIP == nil:
		errs = append(errs, field.Required(at.Child("clientIP"), when))
	case config.ClientIP.TimeoutSeconds == nil:
		errs = append(errs, field.Required(at.Child("clientIP", "timeoutSeconds"), when))
	default:
		if n := *config.ClientIP.TimeoutSeconds; n <= 0 || n > most {
			errs = append(errs, field.Invalid(at.Child("clientIP", "timeoutSeconds"), n, fmt.Sprintf("must be greater than 0 and less than %d", most)))
		}
	}
	return errs
}

// validateSourceRanges checks from where a load balancer takes traffic, in the field or in the annotation that came before it.
func validateSourceRanges(svc, was *corev1.Service, path *field.Path) (errs field.ErrorList) {
	key := corev1.AnnotationLoadBalancerSourceRangesKey
	text, annotated := svc.Annotations[key]
	list := svc.Spec.LoadBalancerSourceRanges
	if len(list) == 0 && !annotated {
		return nil
	}
	if len(list) == 0 {
		path = field.NewPath("metadata", "annotations").Key(key)
	}
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		errs = append(errs, field.Forbidden(path, "may only be used when `type` is 'LoadBalancer'"))
	}
	if len(list) > 0 {
		var before []string
		if was != nil {
			for _, r := range was.Spec.LoadBalancerSourceRanges {
				before = append(before, strings.TrimSpace(r))
			}
		}
		for i, r := range list {
			errs = append(errs, utilvalidation.IsValidCIDRForLegacyField(path.Index(i), strings.TrimSpace(r), true, before)...)
		}
		return errs
	}
	if text = strings.TrimSpace(text); text == "" || was != nil && was.Annotations[key] == svc.Annotations[key] {
		return errs
	}
	for r := range strings.SplitSeq(text, ",") {
		errs = append(errs, utilvalidation.IsValidCIDRForLegacyField(path, strings.TrimSpace(r), true, nil)...)
	}
	return errs
}

// validateBalancerClass checks who makes the load balancer, which stays as long as there is one. was nil: nothing was before.
func validateBalancerClass(s, was *corev1.ServiceSpec) (errs field.ErrorList) {
	path, balanced := field.NewPath("spec", "loadBalancerClass"), s.Type == corev1.ServiceTypeLoadBalancer
	if was != nil && balanced && was.Type == s.Type && changed(s.LoadBalancerClass, was.LoadBalancerClass) {
		errs = append(errs, field.Invalid(path, s.LoadBalancerClass, "may not change once set"))
	}
	switch class := s.LoadBalancerClass; {
	case class == nil:
	case balanced:
		errs = append(errs, invalid(path, *class, utilvalidation.IsQualifiedName(*class))...)
	default:
		errs = append(errs, field.Forbidden(path, "may only be used when `type` is 'LoadBalancer'"))
	}
	return errs
}

func validateExternalTraffic(svc *corev1.Service, path *field.Path) (errs field.ErrorList) {
	at, policy := path.Child("externalTrafficPolicy"), svc.Spec.ExternalTrafficPolicy
	switch {
	case !isExternal(svc):
		if policy != "" {
			errs = append(errs, field.Invalid(at, policy, "may only be set for externally-accessible services"))
		}
	case policy == "":
		errs = append(errs, field.Required(at, ""))
	default:
		errs = append(errs, oneOf(at, policy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)...)
	}
	at = path.Child("healthCheckNodePort")
	switch n := svc.Spec.HealthCheckNodePort; {
	case !NeedsHealthCheckPort(svc):
		if n != 0 {
			errs = append(errs, field.Invalid(at, n, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
		}
	case n == 0:
		errs = append(errs, field.Required(at, ""))
	default:
		for _, msg := range utilvalidation.IsValidPortNum(int(n)) {
			errs = append(errs, field.Invalid(at, n, msg))
		}
	}
	return errs
}

func validateInternalTraffic(s *corev1.ServiceSpec, path *field.Path) (errs field.ErrorList) {
	at := path.Child("internalTrafficPolicy")
	if p := s.InternalTrafficPolicy; p != nil {
		errs = append(errs, oneOf(at, *p, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	} else if hasNodePorts(s.Type) || s.Type == corev1.ServiceTypeClusterIP {
		errs = append(errs, field.Required(at, ""))
	}
	if d := s.TrafficDistribution; d != nil {
		errs = append(errs, oneOf(path.Child("trafficDistribution"), *d,
			corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)...)
	}
	return errs
}

// validateBalancer checks the addresses of a load balancer. Those that were there before may be written as they were.
func validateBalancer(svc, was *corev1.Service) (errs field.ErrorList) {
	path := field.NewPath("status", "loadBalancer", "ingress")
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer && len(svc.Status.LoadBalancer.Ingress) != 0 {
		return field.ErrorList{field.Forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")}
	}
	var before []string
	for _, in := range was.Status.LoadBalancer.Ingress {
		if in.IP != "" {
			before = append(before, in.IP)
		}
	}
	for i, in := range svc.Status.LoadBalancer.Ingress {
		at := path.Index(i)
		if in.IP != "" {
			errs = append(errs, utilvalidation.IsValidIPForLegacyField(at.Child("ip"), in.IP, true, before)...)
		}
		switch {
		case in.IPMode == nil && in.IP != "":
			errs = append(errs, field.Required(at.Child("ipMode"), "must be specified when `ip` is set"))
		case in.IPMode == nil:
		case in.IP == "":
			errs = append(errs, field.Forbidden(at.Child("ipMode"), "may not be specified when `ip` is not set"))
		default:
			errs = append(errs, oneOf(at.Child("ipMode"), *in.IPMode, corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)...)
		}
		if in.Hostname == "" {
			continue
		}
		errs = append(errs, invalid(at.Child("hostname"), in.Hostname, utilvalidation.IsDNS1123Subdomain(in.Hostname))...)
		if netutils.ParseIPSloppy(in.Hostname) != nil {
			errs = append(errs, field.Invalid(at.Child("hostname"), in.Hostname, "must be a DNS name, not an IP address"))
		}
	}
	return errs
}
