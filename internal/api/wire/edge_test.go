package wire_test

import (
	"cmp"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/internal/api/wire"
)

// TestPagesOfOtherOrigins: a page whose origin matches may ask, whoever it is, and its browser's question is answered at once; others learn nothing.
func TestPagesOfOtherOrigins(t *testing.T) {
	d := open(t, func(cfg *wire.Config) { cfg.Edge.Origins = []*regexp.Regexp{regexp.MustCompile(`//example\.com(:|$)`)} })
	granted := map[string]string{
		"Access-Control-Allow-Origin":      "https://example.com:8443",
		"Access-Control-Allow-Methods":     "POST, GET, OPTIONS, PUT, DELETE, PATCH",
		"Access-Control-Allow-Headers":     "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, If-Modified-Since",
		"Access-Control-Expose-Headers":    "Date",
		"Access-Control-Allow-Credentials": "true",
	}
	for _, c := range []struct {
		method, header string
		code           int
		want           map[string]string
	}{
		{http.MethodGet, "Origin: https://example.com:8443", http.StatusOK, granted},
		{http.MethodGet, "Origin: https://example.com:8443\nX-User: jane", http.StatusForbidden, granted},
		{http.MethodOptions, "Origin: https://example.com:8443", http.StatusNoContent, granted},
		{http.MethodGet, "Origin: https://example.community", http.StatusOK, map[string]string{}},
		{http.MethodGet, "", http.StatusOK, map[string]string{}},
	} {
		resp := d.ask(t, d.client(t, "HTTP/2.0"), c.method, configMaps, c.header, "")
		resp.Body.Close()
		got := map[string]string{}
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				got[name] = resp.Header.Get(name)
			}
		}
		if resp.StatusCode != c.code || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s with %q: got %d %v, want %d %v", c.method, c.header, resp.StatusCode, got, c.code, c.want)
		}
	}
}

// TestTransportSecurity: every answer says it, refusals too.
func TestTransportSecurity(t *testing.T) {
	d := open(t, func(cfg *wire.Config) { cfg.Edge.TransportSecurity = "max-age=31536000; preload" })
	for _, header := range []string{"", "X-User: jane"} {
		resp := d.ask(t, d.client(t, "HTTP/1.1"), http.MethodGet, configMaps, header, "")
		resp.Body.Close()
		if got := resp.Header.Get("Strict-Transport-Security"); got != "max-age=31536000; preload" {
			t.Errorf("%q: got %q", header, got)
		}
	}
}

// TestGoaway: HTTP/2 clients are sent to another connection as often as is said, and HTTP/1 clients never; each gets its answer.
func TestGoaway(t *testing.T) {
	for _, c := range []struct {
		protocol string
		chance   float64
		moved    bool
	}{{"HTTP/2.0", 1, true}, {"HTTP/2.0", 0, false}, {"HTTP/1.1", 1, false}} {
		d := open(t, func(cfg *wire.Config) { cfg.Edge.Goaway = c.chance })
		client, from := d.client(t, c.protocol), map[string]bool{}
		counted := client.Transport.(*http.Transport).Clone()
		client.Transport = counted
		dials := dialled(counted)
		for range 3 {
			resp := d.ask(t, client, http.MethodGet, configMaps, "", "")
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %d, %v", c.protocol, resp.StatusCode, err)
			}
			resp.Body.Close()
			from[resp.Proto] = true
		}
		counted.CloseIdleConnections()
		if moved := dials() > 1; moved != c.moved || !from[c.protocol] {
			t.Errorf("%s with a chance of %v: %d connections, spoke %v", c.protocol, c.chance, dials(), from)
		}
	}
}

// TestExternalAddress: discovery names what it was told to, else what the client has asked.
func TestExternalAddress(t *testing.T) {
	for _, set := range []string{"", "api.example.com:6443"} {
		d := open(t, func(cfg *wire.Config) { cfg.ExternalAddress = set })
		want := cmp.Or(set, d.address)
		if code, body, _ := d.told(t, d.client(t, "HTTP/1.1"), "/api"); code != http.StatusOK || !strings.Contains(body, `"serverAddress":"`+want+`"`) {
			t.Errorf("set %q: %d %s", set, code, body)
		}
	}
}
