package aggregate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/auth"
)

// service is one that is available.
func service(group, version string) *apiregistrationv1.APIService {
	svc := &apiregistrationv1.APIService{Spec: apiregistrationv1.APIServiceSpec{
		Group: group, Version: version, InsecureSkipTLSVerify: true, Service: &apiregistrationv1.ServiceReference{Namespace: "n", Name: "s"},
	}}
	svc.Status.Conditions = []apiregistrationv1.APIServiceCondition{{Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue}}
	return svc
}

// asking is a proxy to a server that answers as it is told until the test ends, while svc points to a service.
func asking(t *testing.T, svc **apiregistrationv1.APIService, answer http.HandlerFunc) *Proxy {
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{
		Services: func(string) *apiregistrationv1.APIService { return *svc },
		Resolve:  func(string, string, int32) (*url.URL, error) { return at, nil },
	})
}

// TestMetadata: only an answer in the API's words says that there is no such object.
func TestMetadata(t *testing.T) {
	code, body, asked := 0, "", ""
	svc := service("x.example.com", "v1")
	p := asking(t, &svc, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("X-Remote-User") + " " + r.URL.EscapedPath()
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, body)
	})
	gvk := schema.GroupVersionKind{Group: "x.example.com", Version: "v1", Kind: "Thing"}
	ask := func(name string) string {
		found, err := p.Metadata(t.Context(), auth.User{Name: "me"}, gvk, "n", name)
		switch {
		case apierrors.IsNotFound(err):
			return "none"
		case err != nil:
			return err.Error()
		}
		return string(found.UID)
	}
	if got := ask("t"); got != "x.example.com/v1 Thing: no server answers for it" {
		t.Errorf("before discovery: %s", got)
	}
	p.added.Store(&Added{Versions: []Version{{GroupVersion: gvk.GroupVersion(), Discovery: apidiscoveryv2.APIVersionDiscovery{Resources: []apidiscoveryv2.APIResourceDiscovery{
		{Resource: "others", ResponseKind: &metav1.GroupVersionKind{Kind: "Other"}},
		{Resource: "things", ResponseKind: &metav1.GroupVersionKind{Kind: "Thing"}, Scope: apidiscoveryv2.ScopeNamespace},
	}}}}})
	for _, c := range []struct {
		code       int
		body, want string
	}{
		{200, `{"metadata":{"name":"t","uid":"u","finalizers":["f"]},"spec":{"a":1}}`, "u"},
		{200, `{"metadata":{"name":"s","uid":"u"}}`, "things t: the server answered with something else"},
		{200, `{"kind":"ThingList","items":[]}`, "things t: the server answered with something else"},
		{200, "hello", "invalid character 'h' looking for beginning of value"},
		{404, `{"kind":"Status","reason":"NotFound","details":{"name":"t","kind":"things"}}`, "none"},
		{404, `{"kind":"Status","reason":"NotFound","details":{"name":"s","kind":"things"}}`, "things t: the server answered 404"},
		{404, `{"kind":"Status","reason":"NotFound"}`, "things t: the server answered 404"},
		{404, "404 page not found", "things t: the server answered 404"},
		{403, `{"kind":"Status","reason":"Forbidden","details":{"name":"t"}}`, "things t: the server answered 403"},
		{302, "", "things t: the server answered 302"},
		{500, `{"kind":"Status","reason":"NotFound","details":{"name":"t"}}`, "things t: the server answered 500"},
	} {
		code, body = c.code, c.body
		if got := ask("t"); !strings.HasPrefix(got, c.want) {
			t.Errorf("%d %s: got %q, want %q", c.code, c.body, got, c.want)
		}
		if want := "me /apis/x.example.com/v1/namespaces/n/things/t"; asked != want {
			t.Errorf("asked as and for %s, want %s", asked, want)
		}
	}
	asked = ""
	for _, name := range []string{"..", ".", "a/b", "a%2fb"} {
		if got := ask(name); got == "none" || asked != "" {
			t.Errorf("%q: got %s, asked for %s; want an error before anything is asked", name, got, asked)
		}
	}
	svc.Status.Conditions = nil
	if got := ask("t"); got != "x.example.com/v1 Thing: no server answers for it" || asked != "" {
		t.Errorf("a server that does not answer: %s", got)
	}
}

// TestRead: what a server says at a path, in its own words when it refuses.
func TestRead(t *testing.T) {
	code, body, asked := 0, "", ""
	svc := service("metrics.k8s.io", "v1beta1")
	svc.Status.Conditions = nil
	p := asking(t, &svc, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("X-Remote-User") + " " + r.URL.String()
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, body)
	})
	read := func() string {
		var list struct{ Items []string }
		if err := p.Read(t.Context(), auth.User{Name: "me"}, schema.GroupVersion{Group: "metrics.k8s.io", Version: "v1beta1"}, "pods", "/namespaces/n/pods",
			url.Values{"labelSelector": {"a=b"}}, &list); err != nil {
			return err.Error()
		}
		return strings.Join(list.Items, " ")
	}
	if got, want := read(), "the server is currently unable to handle the request (get pods.metrics.k8s.io)"; got != want || asked != "" {
		t.Errorf("of one that is not available: %s, want %s", got, want)
	}
	svc.Status.Conditions = []apiregistrationv1.APIServiceCondition{{Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue}}
	for _, c := range []struct {
		code       int
		body, want string
	}{
		{200, `{"items":["x","y"]}`, "x y"},
		{200, "hello", "pods of metrics.k8s.io/v1beta1: the server answered with something else: invalid character"},
		{403, `{"kind":"Status","status":"Failure","message":"no","reason":"Forbidden","code":403}`, "no"},
		{500, "oh", `an error on the server ("oh") has prevented the request from succeeding (get pods.metrics.k8s.io)`},
		{302, "", "the server responded with the status code 302"},
	} {
		code, body = c.code, c.body
		if got := read(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%d %s: got %q, want %q", c.code, c.body, got, c.want)
		}
		if want := "me /apis/metrics.k8s.io/v1beta1/namespaces/n/pods?labelSelector=a%3Db"; asked != want {
			t.Errorf("asked %s, want %s", asked, want)
		}
	}
	svc = nil
	if got, want := read(), "the server could not find the requested resource (get pods.metrics.k8s.io)"; got != want {
		t.Errorf("of one that nobody serves: %s, want %s", got, want)
	}
}
