package endpointslice

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilnet "k8s.io/utils/net"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/pods"
)

// Listed says that a pod is an endpoint of what selects it: it has an address and has not ended.
func Listed(pod *corev1.Pod) bool {
	return !pods.Ended(pod) && (pod.Status.PodIP != "" || len(pod.Status.PodIPs) > 0)
}

// same says that a pod is the same endpoint as before to all that select it.
func same(was, is *corev1.Pod) bool {
	if len(was.Labels) != len(is.Labels) {
		return false
	}
	for k, v := range was.Labels {
		if w, ok := is.Labels[k]; !ok || v != w {
			return false
		}
	}
	return was.UID == is.UID && Listed(was) == Listed(is) && (was.DeletionTimestamp == nil) == (is.DeletionTimestamp == nil) && pods.Ready(was) == pods.Ready(is) &&
		was.Spec.Hostname == is.Spec.Hostname && was.Spec.Subdomain == is.Spec.Subdomain && was.Spec.NodeName == is.Spec.NodeName &&
		slices.Equal(was.Status.PodIPs, is.Status.PodIPs)
}

// Named says that a pod has, under a service, the name that its specification gives it.
func Named(pod *corev1.Pod, service *corev1.Service) bool {
	return pod.Spec.Hostname != "" && pod.Spec.Subdomain == service.Name && pod.Namespace == service.Namespace
}

// Port is where a service's port leads to in a pod; false: to nowhere, since no container has one of that name.
func Port(pod *corev1.Pod, port *corev1.ServicePort) (int32, bool) {
	if port.TargetPort.Type == intstr.Int {
		return port.TargetPort.IntVal, true
	}
	named := func(list []corev1.Container, which func(*corev1.Container) bool) (int32, bool) {
		for i := range list {
			for _, p := range list[i].Ports {
				if which(&list[i]) && p.Name == port.TargetPort.StrVal && p.Protocol == port.Protocol {
					return p.ContainerPort, true
				}
			}
		}
		return 0, false
	}
	if n, ok := named(pod.Spec.Containers, func(*corev1.Container) bool { return true }); ok {
		return n, true
	}
	return named(pod.Spec.InitContainers, func(c *corev1.Container) bool {
		return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	})
}

// Headless says that a service has no address of its own.
func Headless(service *corev1.Service) bool {
	return service.Spec.ClusterIP == "" || service.Spec.ClusterIP == corev1.ClusterIPNone
}

// Address is an address in the form in which endpoints have it, and its family; "" for what is none.
func Address(text string) (string, discoveryv1.AddressType) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Is4() {
		return text, discoveryv1.AddressTypeIPv4 // it knows this one form only
	}
	var ip net.IP = utilnet.ParseIPSloppy(text)
	switch {
	case ip == nil:
		return "", ""
	case ip.To4() != nil:
		return ip.String(), discoveryv1.AddressTypeIPv4
	}
	return ip.String(), discoveryv1.AddressTypeIPv6
}

// familiesOf are the families of a service's endpoints. One that says none of itself has that of its address, or both.
func familiesOf(service *corev1.Service) (list []discoveryv1.AddressType) {
	both := []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}
	for _, family := range both {
		if slices.Contains(service.Spec.IPFamilies, corev1.IPFamily(family)) {
			list = append(list, family)
		}
	}
	if len(list) > 0 {
		return list
	}
	if _, family := Address(service.Spec.ClusterIP); family != "" {
		return []discoveryv1.AddressType{family}
	}
	return both
}

// portsOf are a service's ports in a pod.
func portsOf(service *corev1.Service, pod *corev1.Pod) []discoveryv1.EndpointPort {
	list := []discoveryv1.EndpointPort{}
	for i := range service.Spec.Ports {
		p := service.Spec.Ports[i]
		if n, ok := Port(pod, &p); ok {
			list = append(list, discoveryv1.EndpointPort{Name: &p.Name, Port: &n, Protocol: &p.Protocol, AppProtocol: p.AppProtocol})
		}
	}
	return list
}

// appendNumbers appends where a service's ports lead to in a pod, in the order of the ports, to b.
func appendNumbers(b []byte, service *corev1.Service, pod *corev1.Pod) []byte {
	for i := range service.Spec.Ports {
		n, ok := Port(pod, &service.Spec.Ports[i])
		if !ok {
			n = -1
		}
		b = binary.AppendVarint(b, int64(n))
	}
	return b
}

// endpointOf is a pod as an endpoint of a family; false: it has no address there. It fails when the pod's node is not known, unless the service is not particular.
func endpointOf(view client.View, service *corev1.Service, pod *corev1.Pod, family discoveryv1.AddressType) (e discoveryv1.Endpoint, ok bool, err error) {
	node, there := view.Get(nodes(), "", pod.Spec.NodeName).(*corev1.Node)
	if !there && !service.Spec.PublishNotReadyAddresses {
		return e, false, fmt.Errorf("skipping Pod %s for Service %s/%s: Node %s Not Found", pod.Name, service.Namespace, service.Name, pod.Spec.NodeName)
	}
	for _, ip := range pod.Status.PodIPs {
		if text, of := Address(ip.IP); of == family {
			e.Addresses = append(e.Addresses, text)
		}
	}
	if len(e.Addresses) == 0 {
		return e, false, nil
	}
	slices.Sort(e.Addresses)
	serving, going := pods.Ready(pod), pod.DeletionTimestamp != nil
	open := service.Spec.PublishNotReadyAddresses || serving && !going
	e.Conditions = discoveryv1.EndpointConditions{Ready: &open, Serving: &serving, Terminating: &going}
	e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
	if name := pod.Spec.NodeName; name != "" {
		e.NodeName = &name
	}
	if there {
		if zone := node.Labels[corev1.LabelTopologyZone]; zone != "" {
			e.Zone = &zone
		}
	}
	if name := pod.Spec.Hostname; Named(pod, service) {
		e.Hostname = &name
	}
	return e, true, nil
}
