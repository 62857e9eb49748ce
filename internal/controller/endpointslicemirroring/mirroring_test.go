//lint:file-ignore SA1019 upstream has deprecated Endpoints, and keeps them all the same

package endpointslicemirroring_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/endpointslicemirroring"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

var (
	endpoints = corev1.SchemeGroupVersion.WithResource("endpoints")
	services  = corev1.SchemeGroupVersion.WithResource("services")
	slicesOf  = discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
	meta      = metav1.ObjectMeta{Namespace: "default", Name: "db"}
)

func subset(port int32, ready, others string) corev1.EndpointSubset {
	s := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: "p", Port: port, Protocol: corev1.ProtocolTCP}}}
	for _, ip := range strings.Fields(ready) {
		s.Addresses = append(s.Addresses, corev1.EndpointAddress{IP: ip})
	}
	for _, ip := range strings.Fields(others) {
		s.NotReadyAddresses = append(s.NotReadyAddresses, corev1.EndpointAddress{IP: ip})
	}
	return s
}

func start(t *testing.T, list ...corev1.EndpointSubset) *bed.Bed {
	single := corev1.IPFamilyPolicySingleStack
	b := bed.New(t, 1)
	b.Sim.Add(endpointslicemirroring.New())
	b.Put(services, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, IPFamilyPolicy: &single, Ports: []corev1.ServicePort{{Port: 1}}}})
	e := &corev1.Endpoints{ObjectMeta: meta, Subsets: list}
	e.Labels, e.Annotations = map[string]string{"a": "b"}, map[string]string{"c": "d", corev1.LastAppliedConfigAnnotation: "{}"}
	b.Put(endpoints, e)
	b.Settle()
	return b
}

func show(b *bed.Bed) string {
	b.Helper()
	view, err := b.Client.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var out []string
	for obj := range view.List(slicesOf, "default") {
		s := obj.(*discoveryv1.EndpointSlice)
		text := fmt.Sprint(s.AddressType, " ", *s.Ports[0].Port)
		for _, e := range s.Endpoints {
			text += fmt.Sprintf(" %s=%v", e.Addresses[0], *e.Conditions.Ready)
		}
		if want := map[string]string{"a": "b", discoveryv1.LabelServiceName: "db", discoveryv1.LabelManagedBy: "endpointslicemirroring-controller.k8s.io"}; !maps.Equal(s.Labels, want) ||
			len(s.Annotations) != 1 || s.Annotations["c"] != "d" || s.OwnerReferences[0].Kind != "Endpoints" || s.GenerateName != "db-" {
			b.Errorf("a mirror is %+v", s.ObjectMeta)
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return strings.Join(out, " | ")
}

func TestMirrors(t *testing.T) {
	b := start(t, subset(1, "10.0.0.1 10.0.0.2 fd00::1", "10.0.0.3"), subset(2, "10.0.0.9", ""))
	if got, want := show(b), "IPv4 1 10.0.0.1=true 10.0.0.2=true 10.0.0.3=false | IPv4 2 10.0.0.9=true | IPv6 1 fd00::1=true"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	change := func(list ...corev1.EndpointSubset) {
		bed.Change(b, endpoints, "default", "db", "", func(e *corev1.Endpoints) { e.Subsets = list })
		b.Settle()
	}
	change(subset(3, "10.0.0.1", ""))
	if got, want := show(b), "IPv4 3 10.0.0.1=true"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	key := engine.Key{Resource: endpoints, Namespace: "default", Name: "db"}
	if plan := b.Reconcile(endpointslicemirroring.New(), key, b.Clock.Now()); len(plan.Writes)+len(plan.Events) > 0 {
		t.Errorf("what is mirrored is written again: %+v", plan)
	}
	bed.Change(b, endpoints, "default", "db", "", func(e *corev1.Endpoints) { e.Labels[discoveryv1.LabelSkipMirror] = "true" })
	b.Settle()
	if got := show(b); got != "" {
		t.Errorf("without mirrors: %s", got)
	}
}

// TestTooMany: of 1001 addresses 1000 are mirrored, and it is told.
func TestTooMany(t *testing.T) {
	var list []string
	for i := range 1001 {
		list = append(list, fmt.Sprintf("10.0.%d.%d", i/200, i%200+1))
	}
	b := start(t, subset(1, strings.Join(list, " "), ""))
	plan := b.Reconcile(endpointslicemirroring.New(), engine.Key{Resource: endpoints, Namespace: "default", Name: "db"}, b.Clock.Now())
	want := "A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. 1 addresses were skipped"
	if len(plan.Events) != 1 || plan.Events[0].Reason != "TooManyAddressesToMirror" || plan.Events[0].Message != want || strings.Count(show(b), "=") != 1000 {
		t.Errorf("got %+v", plan.Events)
	}
}

// TestServices: Endpoints are mirrored while they have a service, and it selects nothing.
func TestServices(t *testing.T) {
	b := start(t, subset(1, "10.0.0.1", ""))
	bed.Change(b, services, "default", "db", "", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"a": "b"} })
	b.Settle()
	if got := show(b); got != "" {
		t.Errorf("with a selector: %s", got)
	}
	bed.Change(b, services, "default", "db", "", func(s *corev1.Service) { s.Spec.Selector = nil })
	b.Settle()
	if got := show(b); got != "IPv4 1 10.0.0.1=true" {
		t.Errorf("without a selector: %s", got)
	}
	b.Remove(services, "default", "db")
	b.Settle()
	if got := show(b); got != "" {
		t.Errorf("without a service: %s", got)
	}
}
