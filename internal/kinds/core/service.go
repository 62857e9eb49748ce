package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Service is v1 Service. Its type says which of its fields mean anything.
//
// Addresses, families and ports that nobody gave are claimed, see serviceclaim.go, before the service is prepared and validated. The status is
// the load balancer's.
func Service(network ServiceNetwork) *kinds.Kind {
	gvk := corev1.SchemeGroupVersion.WithKind("Service")
	return &kinds.Kind{
		GVK: gvk, Resource: "services", Singular: "service", ShortNames: []string{"svc"}, Categories: []string{"all"}, Namespaced: true,
		Storage:        "services/specs",
		New:            func() kinds.Object { return &corev1.Service{} },
		NewList:        func() runtime.Object { return &corev1.ServiceList{} },
		ValidName:      validation.NameIsDNSLabel,
		CreateOnUpdate: true,
		ReturnDeleted:  true,
		Default:        func(obj kinds.Object) { defaultService(obj.(*corev1.Service)) },
		Claim:          network.complete().claim,
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			s := obj.(*corev1.Service)
			s.Status = corev1.ServiceStatus{}
			dropInternalPolicy(s)
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			prepareService(obj.(*corev1.Service), old.(*corev1.Service))
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if isStored(obj) {
				return nil
			}
			return validateService(obj.(*corev1.Service), nil)
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validateServiceUpdate(obj.(*corev1.Service), old.(*corev1.Service))
		},
		Warnings: serviceWarnings,
		Columns:  serviceColumns(),
		Fields: func(obj kinds.Object) fields.Set {
			s := &obj.(*corev1.Service).Spec
			return fields.Set{"spec.clusterIP": s.ClusterIP, "spec.type": string(s.Type)}
		},
		Facts: []kinds.Fact{{Name: "spec.clusterIP", Path: []int32{2, 3}}, {Name: "spec.type", Path: []int32{2, 4}}},
		Indexes: []kinds.Index{{Name: kinds.SelectorIndex, Values: func(obj kinds.Object) []string {
			s := obj.(*corev1.Service)
			if len(s.Spec.Selector) == 0 {
				return nil
			}
			return []string{kinds.SelectorValue(s.Namespace, s.Spec.Selector)}
		}}, {Name: kinds.SpreadIndex, Values: func(obj kinds.Object) []string {
			if !kinds.Spreads(obj.GetAnnotations()) {
				return nil
			}
			return []string{kinds.SpreadAuto}
		}}},
		Resets: []string{"status"},
		Subresources: []kinds.Subresource{proxyOf("ServiceProxyOptions", servicePlace), {
			Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"},
			Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				s, was := obj.(*corev1.Service), old.(*corev1.Service)
				s.Spec = *was.Spec.DeepCopy()
				return validateBalancer(s, was)
			},
		}},
	}
}

func defaultService(svc *corev1.Service) {
	s := &svc.Spec
	or(&s.SessionAffinity, corev1.ServiceAffinityNone)
	or(&s.Type, corev1.ServiceTypeClusterIP)
	switch c := s.SessionAffinityConfig; {
	case s.SessionAffinity == corev1.ServiceAffinityNone:
		s.SessionAffinityConfig = nil
	case s.SessionAffinity == corev1.ServiceAffinityClientIP && (c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil):
		seconds := corev1.DefaultClientIPServiceAffinitySeconds
		s.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
	}
	for i := range s.Ports {
		p := &s.Ports[i]
		or(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	if isExternal(svc) {
		or(&s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	switch s.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		orNew(&s.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if s.Type != corev1.ServiceTypeLoadBalancer {
		return
	}
	orNew(&s.AllocateLoadBalancerNodePorts, true)
	for i := range svc.Status.LoadBalancer.Ingress {
		if in := &svc.Status.LoadBalancer.Ingress[i]; in.IP != "" {
			orNew(&in.IPMode, corev1.LoadBalancerIPModeVIP)
		}
	}
}

// isExternal says that traffic may come from outside the cluster.
func isExternal(svc *corev1.Service) bool {
	switch svc.Spec.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeClusterIP:
		return len(svc.Spec.ExternalIPs) > 0
	}
	return false
}

func isHeadless(svc *corev1.Service) bool {
	return len(svc.Spec.ClusterIPs) == 1 && svc.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

// NeedsClusterIP says that a service has addresses in the cluster, were it "None".
func NeedsClusterIP(svc *corev1.Service) bool { return svc.Spec.Type != corev1.ServiceTypeExternalName }

// NeedsNodePort says that the ports of a service have ports on nodes, which are allocated where they are 0.
func NeedsNodePort(svc *corev1.Service) bool {
	allocate := svc.Spec.AllocateLoadBalancerNodePorts
	return svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer && (allocate == nil || *allocate)
}

// NeedsHealthCheckPort says that nodes answer on a port whether they have endpoints of the service, which is allocated where it is 0.
func NeedsHealthCheckPort(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeLoadBalancer && svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func serviceColumns() []kinds.Column {
	cell := func(name, doc string, priority int32, f func(*corev1.Service) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Priority: priority, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*corev1.Service)) }}
	}
	doc := corev1.ServiceSpec{}.SwaggerDoc()
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Type", doc["type"], 0, func(s *corev1.Service) string { return string(s.Spec.Type) }),
		cell("Cluster-IP", doc["clusterIP"], 0, func(s *corev1.Service) string {
			if len(s.Spec.ClusterIPs) == 0 {
				return noneShown
			}
			return s.Spec.ClusterIPs[0]
		}),
		cell("External-IP", doc["externalIPs"], 0, externalText),
		cell("Port(s)", doc["ports"], 0, portsText),
		kinds.AgeColumn(),
		cell("Selector", doc["selector"], 1, func(s *corev1.Service) string { return labels.FormatLabels(s.Spec.Selector) }),
	}
}

func portsText(s *corev1.Service) string {
	var parts []string
	for _, p := range s.Spec.Ports {
		text := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		if p.NodePort > 0 {
			text = fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, p.Protocol)
		}
		parts = append(parts, text)
	}
	return orNone(strings.Join(parts, ","))
}

// externalText shows where a service is reached from outside.
func externalText(s *corev1.Service) string {
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return orNone(strings.Join(s.Spec.ExternalIPs, ","))
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	case corev1.ServiceTypeLoadBalancer:
		list := s.Spec.ExternalIPs
		if text := balancerText(s.Status.LoadBalancer.Ingress); text != "" {
			list = append([]string{text}, list...)
		}
		if len(list) == 0 {
			return "<pending>"
		}
		return strings.Join(list, ",")
	}
	return unknownCell
}

func balancerText(list []corev1.LoadBalancerIngress) string {
	seen := map[string]bool{}
	for _, in := range list {
		if in.IP != "" {
			seen[in.IP] = true
		} else if in.Hostname != "" {
			seen[in.Hostname] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), ",")
}
