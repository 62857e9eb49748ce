//lint:file-ignore SA1019 upstream has deprecated Endpoints, and keeps them all the same

// Package endpoints keeps the Endpoints object of each service that selects pods: the older form of what endpoint slices say, of its first family.
//
// # Laws
//
//   - An Endpoints object holds at most 1000 addresses, ready ones first, and says in an annotation when there are more.
//   - What says the same is not written, however it is packed; a pod that is being deleted is none unless the service is not particular.
//   - A service's Endpoints go with it, whoever made them, but not a leader's lock.
//
// # What it leaves to others
//
// Who wakes what and which pods are endpoints belong to endpointslice; mirroring Endpoints that others make to endpointslicemirroring.
package endpoints

import (
	"fmt"
	"maps"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/endpointslice"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/selecting"
	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	capacity  = 1000 // addresses
	managedBy = "endpoints.kubernetes.io/managed-by"
	component = "endpoint-controller"
	lock      = "control-plane.alpha.kubernetes.io/leader" // annotation of a leader's lock
)

// Resource is endpoints.
func Resource() client.Resource { return corev1.SchemeGroupVersion.WithResource("endpoints") }

// Locks says that Endpoints are a leader's lock, and nobody's endpoints.
func Locks(e *corev1.Endpoints) bool { _, ok := e.Annotations[lock]; return ok }

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "endpoints", Component: component, Queue: "endpoint",
		User: "system:serviceaccount:kube-system:" + component,
		Inputs: []engine.Input{
			{Resource: endpointslice.Services(), Keys: endpointslice.ServiceKeys},
			{Resource: pods.Resource(), Keys: endpointslice.PodKeys},
			{Resource: Resource(), Keys: ownKeys},
		},
		Outputs: []engine.Output{{Resource: Resource(), Fields: []string{"metadata.labels[" + managedBy + "]", "subsets[" + component + "]"}}},
		Workers: 5, Reconcile: reconcile,
	}
}

// ownKeys wake the service of Endpoints that are gone, and of this controller's that are there when it begins: their service may be gone.
func ownKeys(_ client.View, ch client.Change) []engine.Key {
	e := ch.Newest().(*corev1.Endpoints)
	if ch.New != nil && (ch.Old != nil || e.Labels[managedBy] != component) {
		return nil // what others make before its service waits for it
	}
	return []engine.Key{{Resource: endpointslice.Services(), Namespace: e.Namespace, Name: e.Name}}
}

func reconcile(view client.View, key engine.Key, _ time.Time) (engine.Plan, error) {
	have, _ := view.Get(Resource(), key.Namespace, key.Name).(*corev1.Endpoints)
	service, ok := view.Get(endpointslice.Services(), key.Namespace, key.Name).(*corev1.Service)
	if !ok {
		if have == nil || Locks(have) {
			return engine.Plan{}, nil
		}
		return engine.Plan{Writes: []engine.Write{engine.NewDelete(Resource(), have, "")}}, nil
	}
	selector := endpointslice.SelectorOf(service)
	if selector == nil {
		return engine.Plan{}, nil
	}
	var selected []*corev1.Pod
	for pod := range selecting.Pods[*corev1.Pod](view, pods.Resource(), key.Namespace, selector) {
		if endpointslice.Listed(pod) && (pod.DeletionTimestamp == nil || service.Spec.PublishNotReadyAddresses) {
			selected = append(selected, pod)
		}
	}
	subsets := Repack(subsetsOf(service, selected))
	labels := maps.Clone(service.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	if delete(labels, corev1.IsHeadlessService); endpointslice.Headless(service) {
		labels[corev1.IsHeadlessService] = ""
	}
	labels[managedBy] = component
	if have != nil && current(have, subsets, labels) {
		return engine.Plan{}, nil
	}
	next := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	if have != nil {
		next = have.DeepCopy()
	}
	at := triggered(service, have, selected)
	next.Labels, next.Subsets = labels, subsets
	annotate(next, corev1.EndpointsLastChangeTriggerTime, at)
	over := ""
	if truncate(next.Subsets) {
		over = "truncated"
	}
	annotate(next, corev1.EndpointsOverCapacity, over)
	return engine.Plan{Writes: []engine.Write{write(service, have, next)}}, nil
}

func annotate(e *corev1.Endpoints, key, value string) {
	if value == "" {
		delete(e.Annotations, key)
		return
	}
	if e.Annotations == nil {
		e.Annotations = map[string]string{}
	}
	e.Annotations[key] = value
}

// write makes or replaces Endpoints, and tells when that fails: nothing of a namespace that goes.
func write(service *corev1.Service, have, next *corev1.Endpoints) engine.Write {
	w, reason, text := engine.NewUpdate(Resource(), next, ""), "FailedToUpdateEndpoint", fmt.Sprintf("Failed to update endpoint %s/%s", service.Namespace, service.Name)
	if have == nil {
		w, reason, text = engine.NewCreate(Resource(), next), "FailedToCreateEndpoint", fmt.Sprintf("Failed to create endpoint for service %s/%s", service.Namespace, service.Name)
	}
	w.Event = func(_ kinds.Object, err error) *engine.Event {
		if err == nil || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil
		}
		return &engine.Event{About: engine.Refer("v1", "Endpoints", next), Type: corev1.EventTypeWarning, Reason: reason, Message: fmt.Sprintf("%s: %v", text, err)}
	}
	return w
}

// current says that Endpoints say so already. Those that are truncated never do.
func current(have *corev1.Endpoints, subsets []corev1.EndpointSubset, labels map[string]string) bool {
	mine, wanted := maps.Clone(have.Labels), maps.Clone(labels)
	delete(mine, corev1.IsHeadlessService)
	delete(wanted, corev1.IsHeadlessService)
	_, over := have.Annotations[corev1.EndpointsOverCapacity]
	ready, others := count(subsets)
	if ready+others > capacity {
		cut := make([]corev1.EndpointSubset, len(subsets))
		copy(cut, subsets)
		truncate(cut)
		return over && maps.Equal(mine, wanted) && equality.Semantic.DeepEqual(have.Subsets, cut)
	}
	return !over && maps.Equal(mine, wanted) && (equality.Semantic.DeepEqual(have.Subsets, subsets) || equality.Semantic.DeepEqual(Repack(have.Subsets), subsets))
}

// subsetsOf are the pods under each of the service's ports, a subset each.
func subsetsOf(service *corev1.Service, selected []*corev1.Pod) (list []corev1.EndpointSubset) {
	for _, pod := range selected {
		a, ok := addressOf(service, pod)
		if !ok {
			continue
		}
		add := func(ports ...corev1.EndpointPort) {
			s := corev1.EndpointSubset{NotReadyAddresses: []corev1.EndpointAddress{a}, Ports: ports}
			if service.Spec.PublishNotReadyAddresses || pods.Ready(pod) {
				s.Addresses, s.NotReadyAddresses = s.NotReadyAddresses, nil
			}
			list = append(list, s)
		}
		if len(service.Spec.Ports) == 0 && service.Spec.ClusterIP == corev1.ClusterIPNone {
			add()
		}
		for i := range service.Spec.Ports {
			p := &service.Spec.Ports[i]
			if n, ok := endpointslice.Port(pod, p); ok {
				add(corev1.EndpointPort{Name: p.Name, Port: n, Protocol: p.Protocol, AppProtocol: p.AppProtocol})
			}
		}
	}
	return list
}

// addressOf is a pod's address of the service's first family; false: it has none.
func addressOf(service *corev1.Service, pod *corev1.Pod) (a corev1.EndpointAddress, ok bool) {
	family := discoveryv1.AddressTypeIPv4
	_, ofService := endpointslice.Address(service.Spec.ClusterIP)
	_, ofPod := endpointslice.Address(pod.Status.PodIP)
	switch {
	case len(service.Spec.IPFamilies) > 0:
		family = discoveryv1.AddressType(service.Spec.IPFamilies[0])
	case ofService != "":
		family = ofService
	case ofPod != "":
		family = ofPod
	}
	for _, ip := range pod.Status.PodIPs {
		text, of := endpointslice.Address(ip.IP)
		if of != family {
			continue
		}
		node := pod.Spec.NodeName
		a = corev1.EndpointAddress{IP: text, NodeName: &node, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}}
		if endpointslice.Named(pod, service) {
			a.Hostname = pod.Spec.Hostname
		}
		return a, true
	}
	return a, false
}

func count(subsets []corev1.EndpointSubset) (ready, others int) {
	for _, s := range subsets {
		ready, others = ready+len(s.Addresses), others+len(s.NotReadyAddresses)
	}
	return ready, others
}

// truncate leaves as many addresses as there may be, of each subset its part, rounded up while there is room, and says whether there were more.
func truncate(subsets []corev1.EndpointSubset) bool {
	ready, others := count(subsets)
	if ready+others <= capacity {
		return false
	}
	room, of := capacity-ready, others
	if ready > capacity {
		room, of = capacity, ready
	}
	left := room
	for i := range subsets {
		s := &subsets[i]
		list := &s.NotReadyAddresses
		if ready > capacity {
			list, s.NotReadyAddresses = &s.Addresses, nil
		}
		n := min(left, int(math.Ceil(float64(len(*list))/float64(of)*float64(room))), len(*list))
		*list = (*list)[:n]
		left -= n
	}
	return true
}

// triggered is when the first pod became ready, or not, of those that Endpoints newly say so of; "" when nobody knows.
func triggered(service *corev1.Service, have *corev1.Endpoints, selected []*corev1.Pod) string {
	if have == nil {
		return service.CreationTimestamp.UTC().Format(time.RFC3339Nano)
	}
	said := map[string]bool{} // whether a pod was ready
	for _, s := range have.Subsets {
		for i, list := range [][]corev1.EndpointAddress{s.NotReadyAddresses, s.Addresses} {
			for _, a := range list {
				if a.TargetRef != nil {
					said[string(a.TargetRef.UID)] = i == 1
				}
			}
		}
	}
	var first time.Time
	for _, pod := range selected {
		was, known := said[string(pod.UID)]
		c := pods.Condition(pod, corev1.PodReady)
		if c == nil || known && was == pods.Ready(pod) || c.LastTransitionTime.IsZero() {
			continue
		}
		if first.IsZero() || c.LastTransitionTime.Time.Before(first) {
			first = c.LastTransitionTime.Time
		}
	}
	if first.IsZero() {
		return ""
	}
	return first.UTC().Format(time.RFC3339Nano)
}
