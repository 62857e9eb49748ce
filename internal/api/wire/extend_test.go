package wire_test

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
)

// gadgets are configuration maps of another group.
func gadgets(c interface {
	Kind(schema.GroupVersionResource) *kinds.Kind
}) *kinds.Kind {
	k := *c.Kind(corev1.SchemeGroupVersion.WithResource("configmaps"))
	k.GVK, k.Resource, k.Singular, k.ShortNames = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Gadget"}, "gadgets", "gadget", []string{"gd"}
	k.Storage = "example.com/gadgets"
	return &k
}

// TestKindsComeAndGo serves a kind that is added while the server runs: its objects, its discovery and its watches, also when it is defined anew, and goes.
func TestKindsComeAndGo(t *testing.T) {
	s := serve(t)
	const path = "/apis/example.com/v1/namespaces/default/gadgets"
	want := func(when, request string, code int, text string) {
		t.Helper()
		resp := s.send(t, request)
		if got := show(t, resp); resp.StatusCode != code || !strings.Contains(got, text) {
			t.Errorf("%s: %s: %d\n%s\nwant %d with %q", when, strings.SplitN(request, "\n", 2)[0], resp.StatusCode, got, code, text)
		}
	}
	want("before", "GET "+path, http.StatusNotFound, "404 page not found")
	first := gadgets(s.API)
	if err := s.API.Extend([]*kinds.Kind{first}); err != nil {
		t.Fatal(err)
	}
	want("added", "POST "+path+"\n\n"+`{"apiVersion":"example.com/v1","kind":"Gadget","metadata":{"name":"one"},"data":{"a":"b"}}`, http.StatusCreated, "kind: Gadget")
	want("added", "GET /apis/example.com/v1", http.StatusOK, "singularName: gadget")
	want("added", "GET /apis", http.StatusOK, "groupVersion: example.com/v1")
	want("added", "GET /apis/example.com", http.StatusOK, "preferredVersion")
	if err := s.API.Extend([]*kinds.Kind{first}); err != nil {
		t.Fatal(err)
	}
	again := gadgets(s.API)
	again.Singular = "thing"
	if err := s.API.Extend([]*kinds.Kind{again}); err != nil {
		t.Fatal(err)
	}
	want("defined anew", "GET "+path+"/one", http.StatusOK, "name: one")
	want("defined anew", "GET /apis/example.com/v1", http.StatusOK, "singularName: thing")
	if err := s.API.Extend(nil); err != nil {
		t.Fatal(err)
	}
	want("gone", "GET "+path+"/one", http.StatusNotFound, "404 page not found")
	want("gone", "GET /apis/example.com", http.StatusNotFound, "404 page not found")
}
