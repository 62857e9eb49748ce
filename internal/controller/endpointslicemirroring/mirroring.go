//lint:file-ignore SA1019 upstream has deprecated Endpoints, and keeps them all the same

// Package endpointslicemirroring keeps EndpointSlices that say what Endpoints say which others make for services without a selector.
//
// # Vocabulary and laws
//
// A mirror is a slice of this controller's. Each subset of the Endpoints, in the one form that says the same, has a mirror for each family that it has
// addresses of, with at most 1000 endpoints; what is no address, and what is too many, is told of and left out. Mirrors have the labels and annotations of the Endpoints, but for those that say
// who made them and when.
//
// Endpoints without a service, of one that selects pods, with the label endpointslice.kubernetes.io/skip-mirror, or that are a leader's lock have no mirrors.
package endpointslicemirroring

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/endpoints"
	"github.com/floe-k8s/floe/internal/controller/endpointslice"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

const (
	manager = "endpointslicemirroring-controller.k8s.io"
	most    = 1000 // endpoints of a mirror
	name    = 253  // bytes of a name
)

// New returns the controller.
func New() engine.Controller {
	named := func(_ client.View, ch client.Change) []engine.Key {
		obj := ch.Newest()
		return []engine.Key{{Resource: endpoints.Resource(), Namespace: obj.GetNamespace(), Name: obj.GetName()}}
	}
	return engine.Controller{
		Name: "endpointslicemirroring", Component: "endpoint-slice-mirroring-controller", Queue: "endpoint_slice_mirroring",
		User: "system:serviceaccount:kube-system:endpointslicemirroring-controller", RetryMost: 100 * time.Second,
		Inputs: []engine.Input{
			{Resource: endpoints.Resource(), Keys: named},
			{Resource: endpointslice.Services(), Keys: named},
			{Resource: endpointslice.Resource(), Keys: func(_ client.View, ch client.Change) []engine.Key {
				return endpointslice.SliceKeys(ch, endpoints.Resource(), manager)
			}},
		},
		Outputs: []engine.Output{{Resource: endpointslice.Resource(), Fields: []string{"metadata.labels[" + manager + "]", "endpoints[" + manager + "]", "ports[" + manager + "]"}}},
		Workers: 5, Reconcile: reconcile,
	}
}

func reconcile(view client.View, key engine.Key, _ time.Time) (engine.Plan, error) {
	var plan engine.Plan
	there := endpointslice.Slices(view, key.Namespace, key.Name, manager)
	e, _ := view.Get(endpoints.Resource(), key.Namespace, key.Name).(*corev1.Endpoints)
	service, _ := view.Get(endpointslice.Services(), key.Namespace, key.Name).(*corev1.Service)
	if e == nil || service == nil || len(service.Spec.Selector) > 0 || e.Labels[discoveryv1.LabelSkipMirror] == "true" || endpoints.Locks(e) {
		for _, s := range there {
			plan.Writes = append(plan.Writes, engine.NewDelete(endpointslice.Resource(), s, ""))
		}
		return plan, nil
	}
	wanted, invalid, skipped := mirrorsOf(e)
	tell := func(reason, message string) {
		plan.Events = append(plan.Events, engine.Event{About: engine.Refer("v1", "Endpoints", e), Type: corev1.EventTypeWarning, Reason: reason, Message: message})
	}
	if invalid > 0 {
		tell("InvalidIPAddress", fmt.Sprintf("Skipped %d invalid IP addresses when mirroring to EndpointSlices", invalid))
	}
	if skipped > invalid {
		tell("TooManyAddressesToMirror", fmt.Sprintf("A max of %d addresses can be mirrored to EndpointSlices per Endpoints subset. %d addresses were skipped", most, skipped))
	}
	plan.Writes = writes(e, wanted, there)
	return plan, nil
}

// mirrorsOf are the slices that Endpoints are to have, without names; how many of their addresses are none, and how many are left out.
func mirrorsOf(e *corev1.Endpoints) (list []*discoveryv1.EndpointSlice, invalid, skipped int) {
	known := map[string]*discoveryv1.EndpointSlice{}
	for _, subset := range endpoints.Repack(e.Subsets) {
		added := 0
		add := func(addresses []corev1.EndpointAddress, ready bool) {
			for i := range addresses {
				if added >= most {
					return
				}
				text, family := endpointslice.Address(addresses[i].IP)
				if text == "" {
					invalid++
					continue
				}
				added++
				ports := portsOf(subset.Ports)
				id := string(family) + endpointslice.PortMap(ports)
				if known[id] == nil {
					known[id] = mirror(e, ports, family)
					list = append(list, known[id])
				}
				known[id].Endpoints = append(known[id].Endpoints, endpointOf(&addresses[i], text, ready))
			}
		}
		add(subset.Addresses, true)
		add(subset.NotReadyAddresses, false)
		skipped += len(subset.Addresses) + len(subset.NotReadyAddresses) - added
	}
	return list, invalid, skipped
}

func portsOf(list []corev1.EndpointPort) []discoveryv1.EndpointPort {
	ports := []discoveryv1.EndpointPort{}
	for _, p := range list {
		ports = append(ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &p.Port, Protocol: &p.Protocol, AppProtocol: p.AppProtocol})
	}
	return ports
}

func endpointOf(a *corev1.EndpointAddress, text string, ready bool) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{text}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}, TargetRef: a.TargetRef, NodeName: a.NodeName}
	if a.Hostname != "" {
		e.Hostname = &a.Hostname
	}
	return e
}

// mirror is a slice without endpoints.
func mirror(e *corev1.Endpoints, ports []discoveryv1.EndpointPort, family discoveryv1.AddressType) *discoveryv1.EndpointSlice {
	ref := metav1.NewControllerRef(e, corev1.SchemeGroupVersion.WithKind("Endpoints"))
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.Namespace, GenerateName: e.Name + "-", OwnerReferences: []metav1.OwnerReference{*ref},
			Labels: map[string]string{}, Annotations: map[string]string{},
		},
		Ports: ports, AddressType: family,
	}
	if len(s.GenerateName) > name {
		s.GenerateName = e.Name
	}
	maps.Copy(s.Labels, e.Labels)
	s.Labels[discoveryv1.LabelServiceName], s.Labels[discoveryv1.LabelManagedBy] = e.Name, manager
	maps.Copy(s.Annotations, e.Annotations)
	delete(s.Annotations, corev1.EndpointsLastChangeTriggerTime)
	delete(s.Annotations, corev1.LastAppliedConfigAnnotation)
	return s
}

// writes bring the mirrors that are there to what is wanted: those of the same family and ports first, and then others of the family that would go.
func writes(e *corev1.Endpoints, wanted, there []*discoveryv1.EndpointSlice) (list []engine.Write) {
	id := func(s *discoveryv1.EndpointSlice) string {
		return string(s.AddressType) + endpointslice.PortMap(slices.Clone(s.Ports))
	}
	var missing []*discoveryv1.EndpointSlice
	take := func(fits func(*discoveryv1.EndpointSlice) bool) *discoveryv1.EndpointSlice {
		i := slices.IndexFunc(there, fits)
		if i < 0 {
			return nil
		}
		old := there[i]
		there = slices.Delete(slices.Clone(there), i, i+1)
		return old
	}
	update := func(s, old *discoveryv1.EndpointSlice) {
		s.Name, s.ResourceVersion = old.Name, old.ResourceVersion
		list = append(list, engine.NewUpdate(endpointslice.Resource(), s, ""))
	}
	for _, s := range wanted {
		switch old := take(func(o *discoveryv1.EndpointSlice) bool { return id(o) == id(s) }); {
		case old == nil:
			missing = append(missing, s)
		case !same(s, old):
			update(s, old)
		}
	}
	for _, s := range missing {
		old := take(func(o *discoveryv1.EndpointSlice) bool { return o.AddressType == s.AddressType })
		switch {
		case old != nil:
			update(s, old)
		case e.DeletionTimestamp == nil:
			list = append(list, engine.NewCreate(endpointslice.Resource(), s))
		}
	}
	for _, s := range there {
		list = append(list, engine.NewDelete(endpointslice.Resource(), s, ""))
	}
	return list
}

// same says that a mirror says what is wanted, in whatever order.
func same(s, old *discoveryv1.EndpointSlice) bool {
	if len(s.Endpoints) != len(old.Endpoints) || !maps.Equal(s.Labels, old.Labels) || !maps.Equal(s.Annotations, old.Annotations) ||
		!equality.Semantic.DeepEqual(s.OwnerReferences, old.OwnerReferences) {
		return false
	}
	ordered := func(list []discoveryv1.Endpoint) []discoveryv1.Endpoint {
		return slices.SortedFunc(slices.Values(list), func(a, b discoveryv1.Endpoint) int {
			return cmp.Compare(strings.Join(a.Addresses, ",")+endpointslice.Hash(a.TargetRef), strings.Join(b.Addresses, ",")+endpointslice.Hash(b.TargetRef))
		})
	}
	was, is := ordered(old.Endpoints), ordered(s.Endpoints)
	for i := range is {
		if !endpointslice.Equal(&is[i], &was[i]) || !equality.Semantic.DeepEqual(is[i].Hostname, was[i].Hostname) || !slices.Equal(is[i].Addresses, was[i].Addresses) {
			return false
		}
	}
	return true
}
