package registry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/runtime/image/registry"
	"github.com/floe-k8s/floe/internal/runtime/image/registry/registrytest"
)

// hasty is the real clock with timers that fire at once, and that remember how long they were to wait.
type hasty struct {
	clock.RealClock
	waited []time.Duration
}

func (h *hasty) NewTimer(d time.Duration) clock.Timer {
	h.waited = append(h.waited, d)
	return h.RealClock.NewTimer(0)
}

// memory is a Sink in memory.
type memory struct {
	digest string
	data   []byte
	resets int
}

func (m *memory) Offset() int64               { return int64(len(m.data)) }
func (m *memory) Write(b []byte) (int, error) { m.data = append(m.data, b...); return len(b), nil }
func (m *memory) Reset() error                { m.data, m.resets = nil, m.resets+1; return nil }
func (m *memory) Verify() error {
	sum := sha256.Sum256(m.data)
	if hex.EncodeToString(sum[:]) != strings.TrimPrefix(m.digest, "sha256:") {
		return registry.ErrContent
	}
	return nil
}

func open(t *testing.T, cfg registry.Config, host string, auth registry.Auth) *registry.Repository {
	t.Helper()
	repo, err := registry.New(cfg).Open(host, "team/app", auth)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(repo.Close)
	return repo
}

var content = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)

// TestFetchThroughFaults reads a blob of 1 MiB from a registry that misbehaves in one way at a time.
func TestFetchThroughFaults(t *testing.T) {
	half := len(content) / 2
	broken := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:half]) // and then the server breaks the connection, since there is less than announced
	}
	status := func(code int, retryAfter string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			http.Error(w, "busy", code)
		}
	}
	send := func(data []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }
	}
	wrong := append([]byte("X"), content[1:]...)
	for _, c := range []struct {
		name     string
		faults   []http.HandlerFunc // of the first requests; the rest are answered well, unless forever
		forever  bool
		want     error
		says     string
		requests int // 0: any number
		waited   time.Duration
	}{
		{name: "none", requests: 1},
		{name: "broken once", faults: []http.HandlerFunc{broken}, requests: 2},
		{name: "busy", faults: []http.HandlerFunc{status(429, "7")}, requests: 2, waited: 7 * time.Second},
		{name: "down", faults: []http.HandlerFunc{status(503, ""), status(502, ""), status(500, "")}, requests: 4},
		{name: "asks to wait a day", faults: []http.HandlerFunc{status(503, "86400")}, requests: 2, waited: time.Minute},
		{name: "always down", faults: []http.HandlerFunc{status(503, "")}, forever: true, says: "503", requests: 5},
		{name: "wrong bytes", faults: []http.HandlerFunc{send(wrong)}, forever: true, want: registry.ErrContent, requests: 1},
		{name: "too few announced", faults: []http.HandlerFunc{send(content[:10])}, forever: true, want: registry.ErrContent, requests: 1},
		{name: "endless", faults: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(content); err != nil {
					return
				}
			}
		}}, forever: true, want: registry.ErrContent, requests: 1},
		{name: "redirects in a ring", faults: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}}, forever: true, says: "more than 10 redirects", requests: 10},
		{name: "absent", faults: []http.HandlerFunc{status(404, "")}, forever: true, want: registry.ErrNotFound, requests: 1},
		{name: "forbidden", faults: []http.HandlerFunc{status(403, "")}, forever: true, want: registry.ErrUnauthorized, requests: 1},
		{name: "huge header", faults: []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Huge", strings.Repeat("x", 1<<20))
		}}, forever: true, says: "header"},
		{name: "a range of its own", faults: []http.HandlerFunc{broken, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 5-%d/%d", len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
		}}},
		{name: "knows no ranges", faults: []http.HandlerFunc{broken, send(content)}, requests: 2},
		{name: "no such range", faults: []http.HandlerFunc{broken, status(416, "")}},
	} {
		r := registrytest.New(t)
		d := r.AddBlob(types.OCILayer, content)
		n := 0
		r.Before = func(w http.ResponseWriter, req *http.Request) bool {
			if n++; !c.forever && n > len(c.faults) {
				return false
			}
			c.faults[min(n, len(c.faults))-1](w, req)
			return true
		}
		clk := &hasty{}
		m := &memory{digest: d.Digest.String()}
		err := open(t, registry.Config{PlainHTTP: true, Clock: clk}, r.Host(), registry.Auth{}).Fetch(context.Background(), m.digest, d.Size, m)
		fails := c.want != nil || c.says != ""
		if (err != nil) != fails || (c.want != nil && !errors.Is(err, c.want)) || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", c.name, err)
		}
		if !fails && !bytes.Equal(m.data, content) {
			t.Errorf("%s: got %d other bytes", c.name, len(m.data))
		}
		if c.requests != 0 && len(r.Requests()) != c.requests {
			t.Errorf("%s: %d requests, want %d: %v", c.name, len(r.Requests()), c.requests, r.Requests())
		}
		if c.waited != 0 && !slices.Contains(clk.waited, c.waited) {
			t.Errorf("%s: waited %v, want %v", c.name, clk.waited, c.waited)
		}
	}
}

// TestIdle gives up a server that accepts and says nothing.
func TestIdle(t *testing.T) {
	r := registrytest.New(t)
	r.Before = func(_ http.ResponseWriter, req *http.Request) bool {
		<-req.Context().Done()
		return true
	}
	cfg := registry.Config{PlainHTTP: true, Clock: &hasty{}, Idle: 20 * time.Millisecond, Attempts: 2}
	_, err := open(t, cfg, r.Host(), registry.Auth{}).Manifest(context.Background(), "v1")
	if err == nil || !strings.Contains(err.Error(), "nothing came for 20ms") {
		t.Errorf("got %v", err)
	}
}

// guarded puts a registry behind tokens: realm gives "good" to who satisfies allowed.
func guarded(t *testing.T, r *registrytest.Registry, allowed func(*http.Request) bool) *httptest.Server {
	t.Helper()
	realm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !allowed(req) {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"token":"good"}`)
	}))
	t.Cleanup(realm.Close)
	r.Before = func(w http.ResponseWriter, req *http.Request) bool {
		if req.Header.Get("Authorization") == "Bearer good" {
			return false
		}
		w.Header().Add("WWW-Authenticate", `Negotiate, Bearer realm="`+realm.URL+`/token?x=1",service="reg, \"here\"",scope="repository:team/app:pull"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	return realm
}

func TestAuthentication(t *testing.T) {
	basic := func(req *http.Request) bool {
		u, p, _ := req.BasicAuth()
		q := req.URL.Query()
		return u == "me" && p == "secret" && q.Get("x") == "1" && q.Get("service") == `reg, "here"` && q.Get("scope") == "repository:team/app:pull"
	}
	identity := func(req *http.Request) bool {
		return req.Method == http.MethodPost && req.FormValue("refresh_token") == "id" && req.FormValue("grant_type") == "refresh_token"
	}
	anybody := func(*http.Request) bool { return true }
	encoded, err := registry.ParseAuth("bWU6c2VjcmV0")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		auth    registry.Auth
		allowed func(*http.Request) bool
		refused bool
	}{
		{"nobody", registry.Auth{}, anybody, false},
		{"nobody, where somebody must be", registry.Auth{}, basic, true},
		{"password", registry.Auth{Username: "me", Password: "secret"}, basic, false},
		{"wrong password", registry.Auth{Username: "me", Password: "x"}, basic, true},
		{"Docker's form", encoded, basic, false},
		{"identity token", registry.Auth{IdentityToken: "id"}, identity, false},
		{"registry token", registry.Auth{RegistryToken: "good"}, func(*http.Request) bool { return false }, false},
		{"for another server", registry.Auth{Username: "me", Password: "secret", Server: "https://elsewhere"}, basic, true},
	} {
		r := registrytest.New(t)
		d := r.AddManifest(t, "team/app:v1", types.OCIManifestSchema1, []byte(`{"schemaVersion":2,"config":{},"layers":[]}`))
		guarded(t, r, c.allowed)
		doc, err := open(t, registry.Config{PlainHTTP: true}, r.Host(), c.auth).Manifest(context.Background(), "v1")
		if c.refused {
			if !errors.Is(err, registry.ErrUnauthorized) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || doc.Digest != d.Digest.String() {
			t.Errorf("%s: %v, %v", c.name, doc, err)
		}
	}
}

// TestCredentialsStay has a registry with TLS that names a realm without, and one that redirects to another server.
func TestCredentialsStay(t *testing.T) {
	var leaked []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if v := req.Header.Get("Authorization") + req.Header.Get("X-Team"); v != "" {
			leaked = append(leaked, v)
		}
		_, _ = w.Write(content)
	}))
	defer elsewhere.Close()
	secure := registrytest.NewTLS(t)
	secure.Before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+elsewhere.URL+`"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	me := registry.Auth{Username: "me", Password: "secret"}
	_, err := open(t, registry.Config{}, secure.Host(), me).Manifest(context.Background(), "v1") // loopback: any certificate
	if !errors.Is(err, registry.ErrUnauthorized) || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("a realm without TLS: %v", err)
	}
	redirecting := registrytest.New(t)
	d := redirecting.AddBlob(types.OCILayer, content)
	redirecting.Before = func(w http.ResponseWriter, req *http.Request) bool {
		if req.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		http.Redirect(w, req, elsewhere.URL+"/blob", http.StatusTemporaryRedirect)
		return true
	}
	hosts := t.TempDir()
	registrytest.WriteHosts(t, hosts, redirecting.Host(), fmt.Sprintf("server = %q\n[header]\nX-Team = \"ours\"\n", redirecting.URL))
	m := &memory{digest: d.Digest.String()}
	err = open(t, registry.Config{HostsDir: hosts}, redirecting.Host(), me).Fetch(context.Background(), m.digest, d.Size, m)
	if err != nil || !bytes.Equal(m.data, content) {
		t.Errorf("through a redirect: %d bytes, %v", len(m.data), err)
	}
	if len(leaked) > 0 {
		t.Errorf("another server was told %v", leaked)
	}
}

// TestTLS trusts an authority of one's own, by hosts.toml and by Docker's files, and no other.
func TestTLS(t *testing.T) {
	r := registrytest.NewTLS(t)
	r.AddManifest(t, "team/app:v1", types.OCIManifestSchema1, []byte(`{"schemaVersion":2,"config":{},"layers":[]}`))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	for _, c := range []struct {
		name, file, text string
		ok               bool
	}{
		{"authority", "hosts.toml", fmt.Sprintf("server = %q\nca = \"ca.pem\"\n", r.URL), true},
		{"unknown authority", "hosts.toml", fmt.Sprintf("server = %q\nskip_verify = false\n", r.URL), false},
		{"unverified", "hosts.toml", fmt.Sprintf("server = %q\nskip_verify = true\n", r.URL), true},
		{"over http with TLS configured", "hosts.toml", fmt.Sprintf("server = \"http://%s\"\nca = \"ca.pem\"\n", r.Host()), true},
		{"Docker's files", "ca.crt", string(ca), true},
		{"a local registry", "", "", true},
	} {
		dir := t.TempDir()
		if c.file != "" {
			registrytest.WriteHosts(t, dir, r.Host(), "")
			for name, text := range map[string]string{"ca.pem": string(ca), c.file: c.text} {
				if err := os.WriteFile(filepath.Join(dir, r.Host(), name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, err := open(t, registry.Config{HostsDir: dir, Clock: &hasty{}}, r.Host(), registry.Auth{}).Manifest(context.Background(), "v1")
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestMirrors asks hosts in order, and for tags those only that may resolve.
func TestMirrors(t *testing.T) {
	r, mirror, down := registrytest.New(t), registrytest.New(t), registrytest.New(t)
	manifest := []byte(`{"schemaVersion":2,"config":{},"layers":[]}`)
	for _, reg := range []*registrytest.Registry{r, mirror} {
		reg.AddManifest(t, "team/app:v1", types.OCIManifestSchema1, manifest)
	}
	hosts := t.TempDir()
	registrytest.WriteHosts(t, hosts, "_default", fmt.Sprintf("server = %q\n[host.%q]\n[host.%q]\ncapabilities = ['pull']\noverride_path = true\n", r.URL, down.URL, mirror.URL+"/v2"))
	repo := open(t, registry.Config{HostsDir: hosts, Clock: &hasty{}}, "example.test", registry.Auth{})
	for _, c := range []struct {
		ref  string
		asks []*registrytest.Registry
	}{{"v1", []*registrytest.Registry{down, r}}, {registrytest.Digest(manifest), []*registrytest.Registry{down, mirror}}} {
		before := map[*registrytest.Registry]int{}
		for _, reg := range []*registrytest.Registry{r, mirror, down} {
			before[reg] = len(reg.Requests())
		}
		if _, err := repo.Manifest(context.Background(), c.ref); err != nil {
			t.Errorf("%s: %v", c.ref, err)
		}
		for _, reg := range []*registrytest.Registry{r, mirror, down} {
			asked := reg.Requests()[before[reg]:]
			if want := slices.Contains(c.asks, reg); (len(asked) > 0) != want {
				t.Errorf("%s: %s was asked %v, want %v", c.ref, reg.Host(), asked, want)
			}
			for _, q := range asked {
				if !strings.HasSuffix(q, "?ns=example.test") {
					t.Errorf("%s: a mirror was asked %q", c.ref, q)
				}
			}
		}
	}
}
