package core

import (
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// What an update of a service means, where a client did not say: it keeps what was allocated, and drops what a new type has no use for.

// prepareService changes s into the next state of was: what the type has no use for is dropped. Before, the claim has kept what was allocated and
// made the two fields for addresses agree.
func prepareService(s, was *corev1.Service) {
	s.Status = *was.Status.DeepCopy()
	dropUnused(s, was)
	dropInternalPolicy(s)
}

// keepAllocated fills in what was allocated and the client left out, so that the same file can be applied twice.
func keepAllocated(s, was *corev1.Service) {
	if NeedsClusterIP(s) && NeedsClusterIP(was) {
		or(&s.Spec.ClusterIP, was.Spec.ClusterIP)
		if len(s.Spec.ClusterIPs) == 0 {
			s.Spec.ClusterIPs = slices.Clone(was.Spec.ClusterIPs)
		}
	}
	if NeedsNodePort(s) && NeedsNodePort(was) {
		named, now, before := map[string]int32{}, nodePorts(s), nodePorts(was)
		for _, p := range was.Spec.Ports {
			named[p.Name] = p.NodePort
		}
		for i := range s.Spec.Ports {
			p := &s.Spec.Ports[i]
			if n := named[p.Name]; p.NodePort == 0 && !(now[n] && before[n]) { // not given to another port meanwhile
				p.NodePort = n
			}
		}
	}
	if NeedsHealthCheckPort(s) && NeedsHealthCheckPort(was) && s.Spec.HealthCheckNodePort == 0 {
		s.Spec.HealthCheckNodePort = was.Spec.HealthCheckNodePort
	}
}

func nodePorts(s *corev1.Service) map[int32]bool {
	used := map[int32]bool{}
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 {
			used[p.NodePort] = true
		}
	}
	return used
}

// agreeOnIPs reads what a client means that changed one of clusterIP and clusterIPs, and left the other or does not know it.
func agreeOnIPs(s, was *corev1.ServiceSpec) {
	if len(was.ClusterIPs) > 0 && len(s.ClusterIPs) == 0 && was.ClusterIP == s.ClusterIP {
		s.ClusterIPs = slices.Clone(was.ClusterIPs)
	}
	switch {
	case was.ClusterIP == s.ClusterIP || !slices.Equal(was.ClusterIPs, s.ClusterIPs):
	case s.ClusterIP == "":
		s.ClusterIPs = nil
	default:
		s.ClusterIPs = []string{s.ClusterIP}
	}
}

// dropUnused clears what the old type had and the new one does not, unless the client changed it too, which validation will refuse.
func dropUnused(svc, old *corev1.Service) {
	s, was := &svc.Spec, &old.Spec
	if NeedsClusterIP(old) && !NeedsClusterIP(svc) {
		if s.ClusterIP == was.ClusterIP && slices.Equal(s.ClusterIPs, was.ClusterIPs) {
			s.ClusterIP, s.ClusterIPs = "", nil
		}
		if reflect.DeepEqual(s.IPFamilies, was.IPFamilies) {
			s.IPFamilies = nil
		}
		dropSame(&s.IPFamilyPolicy, was.IPFamilyPolicy)
	}
	if hasNodePorts(was.Type) && !hasNodePorts(s.Type) && isSubset(nodePorts(svc), nodePorts(old)) {
		for i := range s.Ports {
			s.Ports[i].NodePort = 0
		}
	}
	if NeedsHealthCheckPort(old) && !NeedsHealthCheckPort(svc) && s.HealthCheckNodePort == was.HealthCheckNodePort {
		s.HealthCheckNodePort = 0
	}
	balanced := s.Type == corev1.ServiceTypeLoadBalancer
	if was.Type == corev1.ServiceTypeLoadBalancer && !balanced {
		dropSame(&s.AllocateLoadBalancerNodePorts, was.AllocateLoadBalancerNodePorts)
		dropSame(&s.LoadBalancerClass, was.LoadBalancerClass)
	}
	if isExternal(old) && !isExternal(svc) && s.ExternalTrafficPolicy == was.ExternalTrafficPolicy {
		s.ExternalTrafficPolicy = ""
	}
	if !balanced {
		svc.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
}

func hasNodePorts(t corev1.ServiceType) bool {
	return t == corev1.ServiceTypeNodePort || t == corev1.ServiceTypeLoadBalancer
}

// dropSame clears *p when it is what it was.
func dropSame[T comparable](p **T, was *T) {
	if *p != nil && was != nil && **p == *was {
		*p = nil
	}
}

func isSubset(small, big map[int32]bool) bool {
	for n := range small {
		if !big[n] {
			return false
		}
	}
	return true
}

// dropInternalPolicy clears what services that are only a name never show.
func dropInternalPolicy(svc *corev1.Service) {
	p := svc.Spec.InternalTrafficPolicy
	if svc.Spec.Type == corev1.ServiceTypeExternalName && p != nil && (*p == corev1.ServiceInternalTrafficPolicyCluster || *p == corev1.ServiceInternalTrafficPolicyLocal) {
		svc.Spec.InternalTrafficPolicy = nil
	}
}
