package apiservice_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/apiservice"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

var (
	apiServices = apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")
	services    = corev1.SchemeGroupVersion.WithResource("services")
	slicesOf    = discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
)

const name = "v1.x.example.com"

// servers answer with err.
type servers struct {
	err    error
	forgot []string
	asked  int
}

func (s *servers) Check(*apiregistrationv1.APIService) error {
	s.asked++
	return s.err
}

func (s *servers) Forget(name string) { s.forgot = append(s.forgot, name) }

// world is a bed with an API service whose server is n/s.
type world struct {
	*bed.Bed
	servers *servers
	ctl     engine.Controller
}

func newWorld(t *testing.T) *world {
	w := &world{Bed: bed.New(t, 1), servers: &servers{}}
	w.ctl = apiservice.New(w.servers)
	w.Put(apiServices, &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: apiregistrationv1.APIServiceSpec{
		Group: "x.example.com", Version: "v1", GroupPriorityMinimum: 100, VersionPriority: 10,
		Service: &apiregistrationv1.ServiceReference{Namespace: "default", Name: "s", Port: new(int32(8443))},
	}})
	return w
}

// look reconciles once, carries the status out, and returns what it says.
func (w *world) look() string {
	w.Helper()
	plan := w.Reconcile(w.ctl, engine.Key{Resource: apiServices, Name: name}, w.Clock.Now())
	for _, write := range plan.Writes {
		if _, err := w.Client.Update(w.Context(), write.Resource, write.Object, write.Subresource); err != nil {
			w.Fatal(err)
		}
	}
	svc := bed.Get[*apiregistrationv1.APIService](w.Bed, apiServices, "", name)
	if len(svc.Status.Conditions) != 1 {
		w.Fatalf("%d conditions", len(svc.Status.Conditions))
	}
	c := svc.Status.Conditions[0]
	return fmt.Sprintf("%s %s: %s; after %v, failed %v", c.Status, c.Reason, c.Message, plan.After, plan.Failed)
}

// TestAvailability goes through everything that can be said of a server, in upstream's words.
func TestAvailability(t *testing.T) {
	w := newWorld(t)
	want := func(what, text string) {
		t.Helper()
		if got := w.look(); got != text {
			t.Errorf("%s: got %s\nwant %s", what, got, text)
		}
	}
	want("no service", `False ServiceNotFound: service/s in "default" is not present; after 30s, failed <nil>`)
	w.Put(services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "https", Port: 443}}}})
	want("another port", `False ServicePortError: service/s in "default" is not listening on port 8443; after 30s, failed <nil>`)
	bed.Change(w.Bed, services, "default", "s", "", func(s *corev1.Service) { s.Spec.Ports[0].Port = 8443 })
	want("no slices", `False EndpointsNotFound: cannot find endpointslices for service/s in "default"; after 30s, failed <nil>`)
	ready := discoveryv1.EndpointConditions{Ready: new(false)}
	w.Put(slicesOf, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "s-1", Labels: map[string]string{discoveryv1.LabelServiceName: "s"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: new("https"), Port: new(int32(8443))}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.1.1"}, Conditions: ready}},
	})
	missing := `False MissingEndpoints: endpointslices for service/s in "default" have no addresses with port name "https"; after 30s, failed <nil>`
	want("not ready", missing)
	change := func(f func(*discoveryv1.EndpointSlice)) { bed.Change(w.Bed, slicesOf, "default", "s-1", "", f) }
	change(func(s *discoveryv1.EndpointSlice) {
		s.Endpoints[0].Conditions.Ready = nil
		s.Ports[0].Name = new("other")
	})
	want("port of another name", missing)
	if w.servers.asked != 0 {
		t.Errorf("asked %d times in vain", w.servers.asked)
	}
	change(func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = new("https") })
	w.servers.err = errors.New("failing or missing response")
	want("no answer", `False FailedDiscoveryCheck: failing or missing response; after 0s, failed failing or missing response`)
	w.servers.err = nil
	want("answer", `True Passed: all checks passed; after 30s, failed <nil>`)
	before := bed.Get[*apiregistrationv1.APIService](w.Bed, apiServices, "", name).ResourceVersion
	want("answer again", `True Passed: all checks passed; after 30s, failed <nil>`)
	if after := bed.Get[*apiregistrationv1.APIService](w.Bed, apiServices, "", name).ResourceVersion; after != before {
		t.Error("written without need")
	}
	bed.Change(w.Bed, services, "default", "s", "", func(s *corev1.Service) {
		s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}
	})
	w.Remove(slicesOf, "default", "s-1")
	want("outside of the cluster", `True Passed: all checks passed; after 30s, failed <nil>`)
	bed.Change(w.Bed, apiServices, "", name, "", func(s *apiregistrationv1.APIService) { s.Spec.Service = nil })
	want("local", `True Local: Local APIServices are always available; after 0s, failed <nil>`)
	w.Remove(apiServices, "", name)
	w.Reconcile(w.ctl, engine.Key{Resource: apiServices, Name: name}, w.Clock.Now())
	if !slices.Equal(w.servers.forgot, []string{name, name}) {
		t.Errorf("forgot %v", w.servers.forgot)
	}
}

// TestFollows: a change of the service or of its endpoints makes the controller look at who needs it, and at nobody else.
func TestFollows(t *testing.T) {
	w := newWorld(t)
	view, err := w.Client.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := func(obj kinds.Object, input int) string {
		return fmt.Sprint(w.ctl.Inputs[input].Keys(view, client.Change{New: obj}))
	}
	object := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "s"}}
	}
	for want, got := range map[string]string{
		"[v1.x.example.com]": keys(&corev1.Service{ObjectMeta: object("default", "s")}, 1), "[]": keys(&corev1.Service{ObjectMeta: object("other", "s")}, 1),
		"[v1.x.example.com] ": keys(&discoveryv1.EndpointSlice{ObjectMeta: object("default", "s-1")}, 2) + " ", "[] ": keys(&discoveryv1.EndpointSlice{ObjectMeta: object("other", "s-1")}, 2) + " ",
		"[v1.y]": keys(&apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1.y"}}, 0),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
