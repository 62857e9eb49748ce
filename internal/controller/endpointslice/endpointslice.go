// Package endpointslice keeps the EndpointSlices of services that select pods.
//
// # Vocabulary
//
// A service's endpoints are the pods that it selects, that have an address of its families and that have not ended. Pods are of one port map when the service's ports lead to the
// same numbers in them. A slice holds endpoints of one family and one port map; its placeholder is the empty slice that a service without endpoints has.
//
// # Laws
//
//   - A slice has at most 100 endpoints. One change of an endpoint writes one slice: endpoints stay where they are, new ones fill slices that are written anyway, then the fullest
//     other one that takes all of them, and then new slices.
//   - What is there and what is to be come from one view, in key order, so the same view makes the same plan.
//   - A pod's change wakes the services that select it or did, when it changes what they say of it; a node's the services that spread over zones.
//   - Slices of others, services without a selector and names of other domains are left alone.
//
// # Trigger time
//
// The annotation endpoints.kubernetes.io/last-change-trigger-time is when the first pod became ready, or not, of those whose endpoints a write adds or changes so. Upstream remembers what
// it saw last for that; here the slices say it.
package endpointslice

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/selecting"
	"github.com/floe-k8s/floe/internal/kinds"
)

// manager is who a slice of this controller's is managed by.
const manager = "endpointslice-controller.k8s.io"

// Resource is endpoint slices.
func Resource() client.Resource { return discoveryv1.SchemeGroupVersion.WithResource("endpointslices") }

// Services is services.
func Services() client.Resource { return corev1.SchemeGroupVersion.WithResource("services") }

func nodes() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "endpointslice", Component: "endpoint-slice-controller", Queue: "endpoint_slice",
		User: "system:serviceaccount:kube-system:endpointslice-controller",
		Inputs: []engine.Input{
			{Resource: Services(), Keys: ServiceKeys},
			{Resource: pods.Resource(), Keys: PodKeys},
			{Resource: nodes(), Keys: nodeKeys},
			{Resource: Resource(), Keys: func(_ client.View, ch client.Change) []engine.Key { return SliceKeys(ch, Services(), manager) }},
		},
		Outputs: []engine.Output{{Resource: Resource(), Fields: []string{"metadata.labels[" + manager + "]", "endpoints[" + manager + "]", "ports[" + manager + "]"}}},
		Workers: 5, Reconcile: reconcile,
	}
}

// ServiceKeys wake a service.
func ServiceKeys(_ client.View, ch client.Change) []engine.Key {
	s := ch.Newest()
	return []engine.Key{{Resource: Services(), Namespace: s.GetNamespace(), Name: s.GetName()}}
}

// PodKeys wake the services that select a pod or did, when it changed as an endpoint. One without an address is none: making it and binding it wakes nobody,
// which matters to services of thousands of pods.
func PodKeys(view client.View, ch client.Change) []engine.Key {
	was, _ := ch.Old.(*corev1.Pod)
	is, _ := ch.New.(*corev1.Pod)
	if (was == nil || !Listed(was)) && (is == nil || !Listed(is)) || was != nil && is != nil && same(was, is) {
		return nil
	}
	return selecting.Keys(view, Services(), ch, SelectorOf)
}

// SelectorOf is what a service selects by; nil: it has no endpoints but those that others name.
func SelectorOf(obj kinds.Object) labels.Selector {
	s := obj.(*corev1.Service)
	if len(s.Spec.Selector) == 0 || s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	return labels.ValidatedSetSelector(s.Spec.Selector)
}

// SliceKeys wake, by the name of its service, what a slice of a manager's belongs to or did.
func SliceKeys(ch client.Change, res client.Resource, manager string) (keys []engine.Key) {
	for _, obj := range []kinds.Object{ch.New, ch.Old} {
		if obj == nil || obj.GetLabels()[discoveryv1.LabelManagedBy] != manager {
			continue
		}
		if name := obj.GetLabels()[discoveryv1.LabelServiceName]; name != "" {
			keys = append(keys, engine.Key{Resource: res, Namespace: obj.GetNamespace(), Name: name})
		}
	}
	return slices.Compact(keys)
}

// Slices are those that a manager keeps for the service of a name, in key order.
func Slices(view client.View, namespace, service, manager string) (list []*discoveryv1.EndpointSlice) {
	for obj := range view.Lookup(Resource(), kinds.ServiceIndex, namespace+"/"+service) {
		if obj.GetLabels()[discoveryv1.LabelManagedBy] == manager {
			list = append(list, obj.(*discoveryv1.EndpointSlice))
		}
	}
	return list
}

// nodeKeys wake the services that spread over zones when a node counts otherwise for that.
func nodeKeys(view client.View, ch client.Change) (keys []engine.Key) {
	if ch.New != nil && ch.Old != nil {
		was, is := ch.Old.(*corev1.Node), ch.New.(*corev1.Node)
		if ready(was) == ready(is) && was.Labels[corev1.LabelTopologyZone] == is.Labels[corev1.LabelTopologyZone] {
			return nil
		}
	}
	for obj := range view.Lookup(Services(), kinds.SpreadIndex, kinds.SpreadAuto) {
		keys = append(keys, engine.Key{Resource: Services(), Namespace: obj.GetNamespace(), Name: obj.GetName()})
	}
	return keys
}

func ready(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

func reconcile(view client.View, key engine.Key, _ time.Time) (engine.Plan, error) {
	service, ok := view.Get(Services(), key.Namespace, key.Name).(*corev1.Service)
	if !ok {
		return engine.Plan{}, nil
	}
	selector := SelectorOf(service)
	if selector == nil {
		return engine.Plan{}, nil
	}
	r := round{service: service, spread: spread{view: view}}
	there := slices.DeleteFunc(Slices(view, key.Namespace, key.Name, manager), func(s *discoveryv1.EndpointSlice) bool { return s.DeletionTimestamp != nil })
	r.first = len(there) == 0
	var selected []*corev1.Pod
	for pod := range selecting.Pods[*corev1.Pod](view, pods.Resource(), key.Namespace, selector) {
		if Listed(pod) {
			selected = append(selected, pod)
		}
	}
	families := familiesOf(service)
	for _, s := range there {
		if !slices.Contains(families, s.AddressType) {
			r.gone = append(r.gone, s)
		}
	}
	for _, family := range families {
		own := slices.DeleteFunc(slices.Clone(there), func(s *discoveryv1.EndpointSlice) bool { return s.AddressType != family })
		r.family(view, family, selected, own)
	}
	return r.plan(), nil
}

// round is one look at a service: what is wrong and what is to write, of all families.
type round struct {
	service *corev1.Service
	spread  spread
	first   bool // it has no slices yet

	writes []engine.Write
	gone   []*discoveryv1.EndpointSlice // of families that the service no longer has
	events []engine.Event
	failed error
}

// plan is what the round found. A pod whose node is not there is tried again.
func (r *round) plan() engine.Plan {
	for _, s := range r.gone {
		r.writes = append(r.writes, r.delete(s))
	}
	if r.failed != nil {
		r.events = append(r.events, *r.unable(r.failed.Error()))
	}
	return engine.Plan{Writes: r.writes, Events: r.events, Failed: r.failed}
}

// tell is an event about the service.
func (r *round) tell(kind, reason, message string) *engine.Event {
	return &engine.Event{About: engine.Refer("v1", "Service", r.service), Type: kind, Reason: reason, Message: message}
}

// unable tells that slices could not be written.
func (r *round) unable(why string) *engine.Event {
	return r.tell(corev1.EventTypeWarning, "FailedToUpdateEndpointSlices", fmt.Sprintf("Error updating Endpoint Slices for Service %s/%s: %s", r.service.Namespace, r.service.Name, why))
}
