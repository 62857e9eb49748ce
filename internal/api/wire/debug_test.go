package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/api/wire"
)

// page is what a client sees of one that is no object.
type page struct {
	request string // as scripts have it
	code    int
	media   string
	body    string // the beginning of it
}

func (d *door) try(t *testing.T, client *http.Client, p page) {
	t.Helper()
	line, body, _ := strings.Cut(p.request, "\n\n")
	line, header, _ := strings.Cut(line, "\n")
	method, path, _ := strings.Cut(line, " ")
	resp := d.ask(t, client, method, path, header, body)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if media := resp.Header.Get("Content-Type"); resp.StatusCode != p.code || media != p.media || !strings.HasPrefix(string(data), p.body) {
		t.Errorf("%s: %d %s %.200q\nwant %d %s %.200q", p.request, resp.StatusCode, media, data, p.code, p.media, p.body)
	}
}

// TestDebugPages asks for what upstream serves with --profiling.
func TestDebugPages(t *testing.T) {
	verbosity := -1
	d := open(t, func(cfg *wire.Config) { cfg.Profiling, cfg.SetVerbosity = true, func(level int) { verbosity = level } })
	const plain, text, binary, asJSON = "text/plain", "text/plain; charset=utf-8", "application/octet-stream", "application/json"
	flags := "<html>\n<head>\n<title>/debug/flags/</title>\n</head>\n<body>\n/debug/flags/<br>\n<br>\nflags:<br>\n<table>\n<tr>v<br>\n</table>\n<br>\nfull flags configurable<br>\n</body>\n</html>\n"
	for _, protocol := range protocols {
		client := d.client(t, protocol)
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for _, p := range []page{
			{"GET /debug/pprof", 302, "text/html; charset=utf-8", `<a href="/debug/pprof/">Found</a>.`},
			{"GET /debug/pprof/", 200, "text/html; charset=utf-8", "<html>\n<head>\n<title>/debug/pprof/</title>"},
			{"GET /debug/pprof/heap", 200, binary, "\x1f\x8b"},
			{"GET /debug/pprof/goroutine?debug=1", 200, text, "goroutine profile: total "},
			{"GET /debug/pprof/trace?seconds=0.01", 200, binary, "go 1."},
			{"GET /debug/pprof/symbol", 200, text, "num_symbols: 1\n"},
			{"POST /debug/pprof/symbol\n\n0x1", 200, text, "num_symbols: 1\n"},
			{"GET /debug/pprof/cmdline", 404, text, "Unknown profile\n"},
			{"GET /debug/pprof/nothing", 404, text, "Unknown profile\n"},
			{"GET /debug/flags", 200, "text/html; charset=utf-8", flags},
			{"GET /debug/flags/", 200, "text/html; charset=utf-8", flags},
			{"GET /debug/flags/v", 406, plain, "unsupported http method"},
			{"PUT /debug/flags/v\n\nx", 400, plain, `strconv.ParseUint: parsing "x": invalid syntax`},
			{"PUT /debug/flags/v\n\n3", 200, plain, "successfully set klog.logging.verbosity to 3"},
			{"GET /debug/nothing", 404, text, "404 page not found\n"},
			{"GET /debug/pprof/heap\nX-User: somebody", 403, asJSON, `{"kind":"Status"`},
			{"PUT /debug/flags/v\nX-User: somebody\n\n5", 403, asJSON, `{"kind":"Status"`},
		} {
			d.try(t, client, p)
		}
	}
	if verbosity != 3 {
		t.Errorf("the verbosity is %d, want 3", verbosity)
	}
	without := open(t, nil)
	without.try(t, without.client(t, protocols[0]), page{"GET /debug/pprof/heap", 404, text, "404 page not found\n"})
}

// checked is what has been counted of two failed pages, and of a third that leaves out what fails. Checks that are asked for alone do not count.
const checked = `# HELP kubernetes_healthcheck 1 when a check passed last, 0 when it failed.
# TYPE kubernetes_healthcheck gauge
kubernetes_healthcheck{name="etcd",type="livez"} 1
kubernetes_healthcheck{name="etcd",type="readyz"} 1
kubernetes_healthcheck{name="etcd-readiness",type="readyz"} 1
kubernetes_healthcheck{name="informer-sync",type="readyz"} 1
kubernetes_healthcheck{name="log",type="livez"} 1
kubernetes_healthcheck{name="log",type="readyz"} 1
kubernetes_healthcheck{name="loopback-serving-certificate",type="livez"} 1
kubernetes_healthcheck{name="ping",type="livez"} 1
kubernetes_healthcheck{name="ping",type="readyz"} 1
kubernetes_healthcheck{name="poststarthook/rbac/bootstrap-roles",type="livez"} 0
kubernetes_healthcheck{name="poststarthook/rbac/bootstrap-roles",type="readyz"} 0
kubernetes_healthcheck{name="poststarthook/start-system-namespaces-controller",type="livez"} 0
kubernetes_healthcheck{name="poststarthook/start-system-namespaces-controller",type="readyz"} 0
kubernetes_healthcheck{name="shutdown",type="readyz"} 1
# HELP kubernetes_healthchecks_total Checks that were made.
# TYPE kubernetes_healthchecks_total counter
kubernetes_healthchecks_total{name="etcd",status="success",type="livez"} 2
kubernetes_healthchecks_total{name="etcd",status="success",type="readyz"} 1
kubernetes_healthchecks_total{name="etcd-readiness",status="success",type="readyz"} 1
kubernetes_healthchecks_total{name="informer-sync",status="success",type="readyz"} 1
kubernetes_healthchecks_total{name="log",status="success",type="livez"} 2
kubernetes_healthchecks_total{name="log",status="success",type="readyz"} 1
kubernetes_healthchecks_total{name="loopback-serving-certificate",status="success",type="livez"} 2
kubernetes_healthchecks_total{name="ping",status="success",type="livez"} 2
kubernetes_healthchecks_total{name="ping",status="success",type="readyz"} 1
kubernetes_healthchecks_total{name="poststarthook/rbac/bootstrap-roles",status="error",type="livez"} 1
kubernetes_healthchecks_total{name="poststarthook/rbac/bootstrap-roles",status="error",type="readyz"} 1
kubernetes_healthchecks_total{name="poststarthook/start-system-namespaces-controller",status="error",type="livez"} 1
kubernetes_healthchecks_total{name="poststarthook/start-system-namespaces-controller",status="error",type="readyz"} 1
kubernetes_healthchecks_total{name="shutdown",status="success",type="readyz"} 1
`

// TestHealthPages follows a server from its start: what is not done fails, by name.
func TestHealthPages(t *testing.T) {
	const text = "text/plain; charset=utf-8"
	d := open(t, func(cfg *wire.Config) {
		cfg.Hooks, cfg.Gather = []string{wire.StartSystemNamespaces, "rbac/bootstrap-roles"}, prometheus.NewRegistry()
	})
	client := d.client(t, "HTTP/2.0")
	hooks := func(first, second string) string {
		return fmt.Sprintf("%spoststarthook/%s%s\n%spoststarthook/%s%s\n", first[:3], wire.StartSystemNamespaces, first[3:], second[:3], "rbac/bootstrap-roles", second[3:])
	}
	const begin, ready = "[+]ping ok\n[+]log ok\n[+]etcd ok\n", "[+]etcd-readiness ok\n[+]informer-sync ok\n"
	const live = "[+]ping ok\n[+]log ok\n[+]loopback-serving-certificate ok\n[+]etcd ok\n"
	const ok, bad = "[+] ok", "[-] failed: reason withheld"
	for _, p := range []page{
		{"GET /readyz", 500, text, begin + ready + hooks(bad, bad) + "[+]shutdown ok\nreadyz check failed\n"},
		{"GET /livez", 500, text, live + hooks(bad, bad) + "livez check failed\n"},
		{"GET /livez/ping", 200, text, "ok"},
		{"GET /livez/poststarthook/rbac/bootstrap-roles", 500, text, "internal server error: not finished\n"},
		{"GET /livez?exclude=poststarthook/rbac/bootstrap-roles&exclude=poststarthook/start-system-namespaces-controller", 200, text, "ok"},
	} {
		d.try(t, client, p)
	}
	d.try(t, client, page{"GET /metrics/slis", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", checked})
	d.handler.Done(wire.StartSystemNamespaces)
	d.try(t, client, page{"GET /healthz", 500, text, live + hooks(ok, bad) + "healthz check failed\n"})
	d.handler.Done("rbac/bootstrap-roles")
	for _, p := range []page{
		{"GET /readyz", 200, text, "ok"},
		{"POST /healthz", 200, text, "ok"},
		{"GET /healthz?verbose", 200, text, live + hooks(ok, ok) + "healthz check passed\n"},
		{"GET /readyz?verbose&exclude=etcd&exclude=x&exclude=a", 200, text, strings.Replace(begin, "etcd ok", "etcd excluded: ok", 1) + ready + hooks(ok, ok) +
			"[+]shutdown ok\nwarn: some health checks cannot be excluded: no matches for \"a\",\"x\"\nreadyz check passed\n"},
		{"GET /readyz/shutdown", 200, text, "ok"},
		{"GET /livez/shutdown", 404, text, "404 page not found\n"},
		{"GET /readyz/", 404, text, "404 page not found\n"},
	} {
		d.try(t, client, p)
	}
}

// TestDebugSocket: whoever can open the socket gets the pages, and nothing else; its end is the server's.
func TestDebugSocket(t *testing.T) {
	d := open(t, nil)
	path := filepath.Join(t.TempDir(), "debug.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- d.handler.ServeDebug(ctx, listener) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	for path, want := range map[string]int{"/debug/pprof/goroutine?debug=1": 200, "/debug/flags": 200, "/debug/nothing": 404, "/api/v1/secrets": 404, "/metrics": 404} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://debug"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	cancel()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
