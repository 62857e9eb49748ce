package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/proxy"
	"github.com/floe-k8s/floe/internal/pki"
)

// authority is one, and a way to get certificates of it.
func authority(t *testing.T, clock *clocktesting.FakePassiveClock) (*pki.Authority, func(name string) *x509.Certificate) {
	t.Helper()
	a, err := pki.Open(t.TempDir(), clock)
	if err != nil {
		t.Fatal(err)
	}
	return a, func(name string) *x509.Certificate {
		id, err := a.Client(name)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(id.CertPEM)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
}

func TestProxy(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	ours, sign := authority(t, clock)
	_, foreign := authority(t, clock)
	pool := ours.Pool()
	headers := proxy.Headers{User: []string{"X-A", "X-Remote-User"}, UID: []string{"X-Remote-Uid"}, Group: []string{"x-remote-group"}, Extra: []string{"X-Remote-Extra-"}}
	ask := proxy.Clear(auth.Any(proxy.New(proxy.Config{
		Headers: headers, Verifier: auth.NewVerifier(func() *x509.CertPool { return pool }), Names: []string{"front"}, Clock: clock,
	})), headers)
	jane := http.Header{"X-Remote-User": {"jane"}, "X-Remote-Group": {"a", "", "b"}, "X-Remote-Uid": {"7"}, "X-Remote-Extra-Acme.com%2fTeam": {"x", "y"}, "Authorization": {"Basic x"}, "X-Other": {"stays"}}
	for _, c := range []struct {
		name   string
		cert   *x509.Certificate
		header http.Header
		want   *auth.User
		err    string
	}{
		{"a proxy", sign("front"), jane, &auth.User{Name: "jane", UID: "7", Groups: []string{"a", "b"}, Extra: map[string][]string{"acme.com/team": {"x", "y"}}}, ""},
		{"of two headers the first", sign("front"), http.Header{"X-Remote-User": {"jane"}, "X-A": {"joe"}}, &auth.User{Name: "joe", Extra: map[string][]string{}}, ""},
		{"of headers the first that says something", sign("front"), http.Header{"X-Remote-User": {"jane"}, "X-A": {""}}, &auth.User{Name: "jane", Extra: map[string][]string{}}, ""},
		{"badly escaped", sign("front"), http.Header{"X-A": {"joe"}, "X-Remote-Extra-A%zz": {"x"}}, &auth.User{Name: "joe", Extra: map[string][]string{"a%zz": {"x"}}}, ""},
		{"says nothing", sign("front"), http.Header{"X-Remote-Group": {"a"}}, nil, ""},
		{"no certificate", nil, jane, nil, ""},
		{"another's certificate", foreign("front"), jane, nil, "certificate signed by unknown authority"},
		{"of no proxy", sign("jane"), jane, nil, "x509: subject with cn=jane is not in the allowed list"},
	} {
		r := &http.Request{Header: c.header.Clone()}
		if c.cert != nil {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}}
		}
		user, ok, err := ask(r)
		if ok != (c.want != nil) || ok && !reflect.DeepEqual(&user, c.want) || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %+v, %v, %v; want %+v, %q", c.name, user, ok, err, c.want, c.err)
		}
		if ok {
			c.header = http.Header{}
			if c.name == "a proxy" {
				c.header = http.Header{"X-Other": {"stays"}}
			}
		}
		if !reflect.DeepEqual(r.Header, c.header) {
			t.Errorf("%s: the headers that are left: %v, want %v", c.name, r.Header, c.header)
		}
	}
}

// FuzzHeaders: no name of a header makes the proxy's words stay, or anything panic.
func FuzzHeaders(f *testing.F) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	for _, seed := range []string{"X-Remote-Extra-A", "x-remote-extra-%", "X-REMOTE-USER", "X-Remote-Extra-", "X-Remote-Extra-%2e%2e"} {
		f.Add(seed, "v")
	}
	a, err := pki.Open(f.TempDir(), clock)
	if err != nil {
		f.Fatal(err)
	}
	id, err := a.Client("front")
	if err != nil {
		f.Fatal(err)
	}
	pair, err := id.TLS()
	if err != nil {
		f.Fatal(err)
	}
	pool := a.Pool()
	ask := proxy.Clear(proxy.New(proxy.Config{Headers: proxy.Usual(), Verifier: auth.NewVerifier(func() *x509.CertPool { return pool }), Clock: clock}))
	f.Fuzz(func(t *testing.T, name, value string) {
		r := &http.Request{Header: http.Header{"X-Remote-User": {"jane"}}, TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{pair.Leaf}}}
		r.Header.Set(name, value)
		if _, ok, _ := ask(r); !ok {
			return
		}
		for left := range r.Header {
			if strings.HasPrefix(strings.ToLower(left), "x-remote-extra-") || strings.EqualFold(left, "X-Remote-User") {
				t.Errorf("%q stays", left)
			}
		}
	})
}
