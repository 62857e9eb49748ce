package reach_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/pki"
)

// asked is a server over TLS that knows HTTP/2 and writes down by which protocol, where and by whom it was asked. shown: its certificates; none: the
// test server's own.
func asked(t *testing.T, heard *[]string, shown ...tls.Certificate) (server *httptest.Server, bundle []byte) {
	t.Helper()
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*heard = append(*heard, r.Proto+" "+r.URL.Path+" "+r.UserAgent())
		w.WriteHeader(http.StatusTeapot)
	}))
	server.EnableHTTP2, server.TLS = true, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: shown}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// TestTargets: a service is asked by HTTP/1.1 where it is, under its name and no other; what is on this machine may choose HTTP/2.
func TestTargets(t *testing.T) {
	var heard []string
	server, bundle := asked(t, &heard)
	path, port := "/convert", int32(8443)
	for name, c := range map[string]struct {
		to          reach.Target
		heard, fail string
	}{
		"this machine": {reach.Target{URL: server.URL + "/x", Bundle: bundle}, "HTTP/2.0 /x kube-apiserver-admission", ""},
		// The server's certificate is not for svc.ns.svc, which shows that the name was asked for.
		"service": {reach.Target{Service: reach.ServiceOf("ns", "svc", &path, &port), Bundle: bundle}, "", "not svc.ns.svc"},
		"absent":  {reach.Target{Service: reach.ServiceOf("ns", "none", nil, nil), Bundle: bundle}, "", "no such service ns/none:443"},
		"nowhere": {reach.Target{Name: "h"}, "", `failed calling webhook "h": webhook configuration must have either service or URL`},
		"no url":  {reach.Target{Name: "h", URL: "https://%"}, "", `failed calling webhook "h": Unparsable URL: `},
		"bundle":  {reach.Target{URL: server.URL, Bundle: []byte("x")}, "", "unable to load root certificates: unable to parse bytes as PEM block"},
	} {
		heard = nil
		client := reach.New(c.to, means(server.URL))
		err := ask(client)
		client.Close()
		if got := strings.Join(heard, ", "); got != c.heard {
			t.Errorf("%s: heard was %q, want %q", name, got, c.heard)
		}
		if c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail)) {
			t.Errorf("%s: got %v, want %q", name, err, c.fail)
		}
	}
}

// TestServicesAreAskedByHTTP1: a client that keeps one HTTP/2 connection would ask one endpoint alone.
func TestServicesAreAskedByHTTP1(t *testing.T) {
	var heard []string
	authority, err := pki.Open(t.TempDir(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := authority.Server("svc", []string{"svc.ns.svc"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(shown.CertPEM, shown.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	server, _ := asked(t, &heard, pair)
	to := reach.Target{Service: &reach.Service{Namespace: "ns", Name: "svc"}, Bundle: authority.CertPEM()}
	if err := ask(reach.New(to, means(server.URL))); err == nil {
		t.Error("a teapot has answered")
	}
	if got := strings.Join(heard, ", "); got != "HTTP/1.1 / kube-apiserver-admission" {
		t.Errorf("heard was %q", got)
	}
}

// means find two services at a server.
func means(server string) reach.Means {
	resolve := func(namespace, name string, port int32) (*url.URL, error) {
		if name == "none" {
			return nil, &absent{namespace, name}
		}
		return url.Parse(server)
	}
	return reach.Means{Resolve: resolve, Codec: reach.Codec([]schema.GroupVersion{reviewv1.SchemeGroupVersion}, reviewv1.AddToScheme)}
}

type absent struct{ namespace, name string }

func (a *absent) Error() string { return "no such service " + a.namespace + "/" + a.name + ":443" }

func ask(client *reach.Client) error {
	way, err := client.REST()
	if err != nil {
		return err
	}
	return way.Post().Body(&reviewv1.AdmissionReview{}).Do(context.Background()).Error()
}
