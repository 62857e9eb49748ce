package aggregate

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/auth"
)

// TestCheck: a server is there when it answers for its group and version, and the words for everything else are upstream's.
func TestCheck(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apis/x.example.com/v1" || r.Header.Get("X-Remote-User") != "system:kube-aggregator" || r.Header.Get("X-Remote-Group") != auth.Masters {
			status = http.StatusTeapot
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var unresolved error
	p := New(Config{Resolve: func(string, string, int32) (*url.URL, error) { return at, unresolved }})
	svc := &apiregistrationv1.APIService{Spec: apiregistrationv1.APIServiceSpec{
		Group: "x.example.com", Version: "v1", InsecureSkipTLSVerify: true, Service: &apiregistrationv1.ServiceReference{Namespace: "n", Name: "s"},
	}}
	page := server.URL + "/apis/x.example.com/v1"
	want := func(what, text string) {
		t.Helper()
		got := ""
		if err := p.Check(t.Context(), svc); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, text) || text == "" && got != "" {
			t.Errorf("%s: got %q, want %q", what, got, text)
		}
	}
	want("there", "")
	status = http.StatusForbidden
	want("refuses", "failing or missing response from "+page+": bad status from "+page+": 403")
	status = http.StatusFound
	want("sends elsewhere", "failing or missing response from "+page+": bad status from "+page+": 302")
	status = http.StatusOK
	svc.Spec.InsecureSkipTLSVerify = false
	want("not trusted any more", `failing or missing response from `+page+`: Get "`+page+`": tls: failed to verify certificate: x509: `)
	svc.Spec.InsecureSkipTLSVerify = true
	unresolved = errors.New(`no service port 443 found for service "s"`)
	want("nowhere", unresolved.Error())
	unresolved = nil
	server.Close()
	want("gone", `failing or missing response from `+page+`: Get "`+page+`": dial tcp `)
	p.Forget(svc.Name)
	if len(p.known) != 0 {
		t.Errorf("%d connections are known of API services that are gone", len(p.known))
	}
}

// TestIdentify: whatever a client has put there, headers say who the user is and nothing else.
func TestIdentify(t *testing.T) {
	h := http.Header{"X-Remote-User": {"boss"}, "x-remote-group": {"system:masters"}, "X-Remote-Extra-Scopes": {"all"}, "X-Remote-Uid": {"0"}, "Accept": {"a"}}
	identify(h, auth.User{Name: "jane", Groups: []string{"g", "h"}, Extra: map[string][]string{"example.com/a%b c": {"1", "2"}}})
	want := http.Header{"X-Remote-User": {"jane"}, "X-Remote-Group": {"g", "h"}, "X-Remote-Extra-Example.com%2fa%25b%20c": {"1", "2"}, "Accept": {"a"}}
	if len(h) != len(want) {
		t.Errorf("got %v, want %v", h, want)
	}
	for name, values := range want {
		if strings.Join(h[name], ",") != strings.Join(values, ",") {
			t.Errorf("%s: got %v, want %v", name, h[name], values)
		}
	}
}

// TestPlain: a path goes on only if it can be taken in one way.
func TestPlain(t *testing.T) {
	for path, want := range map[string]bool{
		"/apis/g/v1/things": true, "/apis/g/v1/things/": true, "/apis/g/v1/things/a.b..c": true, "/apis/g/v1": true,
		"/apis/g/v1/..": false, "/apis/g/v1/../x": false, "/apis/g/v1/./x": false, "/apis/g/v1//x": false, "/apis/g/v1/x//": false, "//apis/g/v1": false,
	} {
		if Plain(path) != want {
			t.Errorf("%s: got %t", path, !want)
		}
	}
}
