package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

// TestEndpoints: with --enable-aggregator-routing the endpoints that are ready are taken in turn, those of the service's first family before others.
func TestEndpoints(t *testing.T) {
	c := apitest.New(t)
	e := &endpoints{newest: api.NewObjects(c.API.Store, all.Kinds())}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}, Spec: corev1.ServiceSpec{
		IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, Ports: []corev1.ServicePort{{Name: "https", Port: 443}},
	}}
	want := func(what string, port int32, wants ...string) {
		t.Helper()
		for _, want := range wants {
			got := ""
			if at, err := e.address(svc, port); err != nil {
				got = err.Error()
			} else {
				got = at.String()
			}
			if got != want {
				t.Errorf("%s: got %s, want %s", what, got, want)
			}
		}
	}
	put := func(name string, family discoveryv1.AddressType, list ...discoveryv1.Endpoint) {
		t.Helper()
		_, err := inprocess.New(c.API, apitest.Administrator()).Create(t.Context(), discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "s"}},
			AddressType: family, Endpoints: list, Ports: []discoveryv1.EndpointPort{{Name: new("https"), Port: new(int32(8443))}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	want("no port", 444, `no service port 444 found for service "s"`)
	want("no endpoints", 443, `no endpoints available for service "s"`)
	put("six", discoveryv1.AddressTypeIPv6, discoveryv1.Endpoint{Addresses: []string{"fd00::1"}})
	want("the other family", 443, "https://[fd00::1]:8443")
	put("four", discoveryv1.AddressTypeIPv4, discoveryv1.Endpoint{Addresses: []string{"10.1.1.1"}}, discoveryv1.Endpoint{Addresses: []string{"10.1.1.2"}},
		discoveryv1.Endpoint{Addresses: []string{"10.1.1.3"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}})
	want("in turn", 443, "https://10.1.1.1:8443", "https://10.1.1.2:8443", "https://10.1.1.1:8443")
}
