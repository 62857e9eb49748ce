package servicerepair

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
)

const (
	written = time.Minute     // within which an API server that took an address writes the service
	settled = 5 * time.Second // and within which one that lost gives it back
)

// Services is the resource.
var Services = corev1.SchemeGroupVersion.WithResource("services")

// Addresses returns the controller of addresses.
func Addresses() engine.Controller {
	own := func(_ client.View, c client.Change) []engine.Key {
		if c.New == nil {
			return nil
		}
		res := Services
		if _, ok := c.New.(*networkingv1.IPAddress); ok {
			res = allocation.Addresses
		}
		return []engine.Key{{Resource: res, Namespace: c.New.GetNamespace(), Name: c.New.GetName()}}
	}
	return engine.Controller{
		Name: "ipallocator-repair", Component: "ipallocator-repair-controller", User: "system:apiserver",
		Inputs: []engine.Input{
			{Resource: Services, Keys: func(v client.View, c client.Change) []engine.Key { return append(own(v, c), left(c)...) }},
			{Resource: allocation.Addresses, Keys: func(v client.View, c client.Change) []engine.Key { return append(own(v, c), parent(c)...) }},
			{Resource: allocation.Ranges}, // what addresses are judged by; a change of them wakes nobody, as upstream
		},
		Outputs: []engine.Output{{Resource: allocation.Addresses, Fields: []string{"spec"}}},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			if k.Resource == Services {
				svc, ok := view.Get(Services, k.Namespace, k.Name).(*corev1.Service)
				if !ok || svc.Spec.Type == corev1.ServiceTypeExternalName || svc.Spec.ClusterIP == "" || svc.Spec.ClusterIP == corev1.ClusterIPNone {
					return engine.Plan{}, nil
				}
				return ofService(view, svc), nil
			}
			ip, ok := view.Get(allocation.Addresses, "", k.Name).(*networkingv1.IPAddress)
			if !ok || ip.Labels[networkingv1.LabelManagedBy] != allocation.Manager || ip.DeletionTimestamp != nil {
				return engine.Plan{}, nil
			}
			return ofAddress(view, ip, now), nil
		},
	}
}

// left are the addresses that a service had before a change.
func left(c client.Change) (keys []engine.Key) {
	old, ok := c.Old.(*corev1.Service)
	if !ok {
		return nil
	}
	for _, text := range old.Spec.ClusterIPs {
		if addr, ok := allocation.Parse(text); ok {
			keys = append(keys, engine.Key{Resource: allocation.Addresses, Name: addr.String()})
		}
	}
	return keys
}

// parent are the services that an address belonged to before a change.
func parent(c client.Change) []engine.Key {
	old, ok := c.Old.(*networkingv1.IPAddress)
	if !ok || old.Spec.ParentRef == nil {
		return nil
	}
	return []engine.Key{{Resource: Services, Namespace: old.Spec.ParentRef.Namespace, Name: old.Spec.ParentRef.Name}}
}

// ofService sees that each address of a service is taken by it.
func ofService(view client.View, svc *corev1.Service) (plan engine.Plan) {
	warn := func(reason, format string, args ...any) {
		plan.Events = append(plan.Events, engine.Event{
			About: engine.Refer("v1", "Service", svc), Type: corev1.EventTypeWarning, Reason: reason, Message: fmt.Sprintf(format, args...),
		})
	}
	for _, text := range svc.Spec.ClusterIPs {
		addr, ok := allocation.Parse(text)
		if !ok {
			warn("ClusterIPNotValid", "Cluster IP %s is not a valid IP; please recreate Service", text)
			continue
		}
		family := allocation.FamilyOf(addr)
		if !inRange(view, addr) {
			warn("ClusterIPOutOfRange", "Cluster IP [%v]: %s is not within any configured Service CIDR; please recreate service", family, addr)
			continue
		}
		ip, ok := view.Get(allocation.Addresses, "", addr.String()).(*networkingv1.IPAddress)
		switch {
		case !ok:
			warn("ClusterIPNotAllocated", "Cluster IP [%v]: %s is not allocated; repairing", family, addr)
			plan.Writes = append(plan.Writes, engine.NewCreate(allocation.Addresses, allocation.NewAddress(addr, svc)))
			continue
		case !belongs(view, ip, svc):
			warn("ClusterIPNotAllocated", "the ClusterIP [%v]: %s for Service %s/%s has a wrong reference; repairing", family, addr, svc.Namespace, svc.Name)
		case !allocation.IsOf(ip, svc.Namespace, svc.Name):
			if other := owner(view, ip); slices.Contains(other.Spec.ClusterIPs, ip.Name) {
				warn("ClusterIPAlreadyAllocated", "Cluster IP [%v]:%s was assigned to multiple services; please recreate service", family, addr)
			}
			continue
		case isLabelled(ip, family):
			continue
		}
		plan.Writes = append(plan.Writes, engine.NewDelete(allocation.Addresses, ip, ""), engine.NewCreate(allocation.Addresses, allocation.NewAddress(addr, svc)))
	}
	return plan
}

// belongs says whether an address has an owner that there is: svc or another service.
func belongs(view client.View, ip *networkingv1.IPAddress, svc *corev1.Service) bool {
	return allocation.IsOf(ip, svc.Namespace, svc.Name) || owner(view, ip) != nil
}

// owner is the service that an address says it belongs to; nil: there is none.
func owner(view client.View, ip *networkingv1.IPAddress) *corev1.Service {
	p := ip.Spec.ParentRef
	if p == nil || !allocation.IsOf(ip, p.Namespace, p.Name) {
		return nil
	}
	svc, _ := view.Get(Services, p.Namespace, p.Name).(*corev1.Service)
	return svc
}

func isLabelled(ip *networkingv1.IPAddress, family corev1.IPFamily) bool {
	return ip.Labels[networkingv1.LabelManagedBy] == allocation.Manager && ip.Labels[networkingv1.LabelIPAddressFamily] == string(family)
}

func inRange(view client.View, addr netip.Addr) bool {
	for obj := range view.List(allocation.Ranges, "") {
		for _, r := range allocation.RangesOf(obj.(*networkingv1.ServiceCIDR)) {
			if r.Contains(addr) {
				return true
			}
		}
	}
	return false
}

// ofAddress gives back an address that was taken for a service and that none has.
func ofAddress(view client.View, ip *networkingv1.IPAddress, now time.Time) engine.Plan {
	remove := func(reason, message string) engine.Plan {
		return engine.Plan{
			Writes: []engine.Write{engine.NewDelete(allocation.Addresses, ip, "")},
			Events: []engine.Event{{
				About: engine.Refer(networkingv1.SchemeGroupVersion.String(), "IPAddress", ip), Type: corev1.EventTypeWarning, Reason: reason, Message: message,
			}},
		}
	}
	p, age := ip.Spec.ParentRef, now.Sub(ip.CreationTimestamp.Time)
	wait := func(until time.Duration) engine.Plan {
		return engine.Plan{After: until - age + time.Second, Waiting: "the service to be written"}
	}
	if p == nil || !allocation.IsOf(ip, p.Namespace, p.Name) {
		return remove("IPAddressNotAllocated", fmt.Sprintf("IPAddress %s appears to have been modified, not referencing a Service %v: cleaning up", ip.Name, p))
	}
	svc := owner(view, ip)
	switch {
	case svc == nil && age <= written:
		return wait(written)
	case svc == nil:
		return remove("IPAddressNotAllocated", fmt.Sprintf("IPAddress: %s for Service %s/%s appears to have leaked: cleaning up", ip.Name, p.Namespace, p.Name))
	case slices.Contains(svc.Spec.ClusterIPs, ip.Name):
		return engine.Plan{}
	case svc.Spec.Type == corev1.ServiceTypeExternalName && age < written:
		return wait(written)
	case ip.CreationTimestamp.After(svc.CreationTimestamp.Time) && age < settled:
		return wait(settled)
	}
	return remove("IPAddressWrongReference", fmt.Sprintf("IPAddress: %s for Service %s/%s has a wrong reference; cleaning up", ip.Name, p.Namespace, p.Name))
}
