package standin

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/internal/cluster"
	"github.com/floe-k8s/floe/internal/observe"
)

func TestParseChoice(t *testing.T) {
	for _, c := range []struct {
		text string
		want Choice
		err  string
	}{
		{"", Choice{}, ""},
		{"workloads,scheduler,nodes=3", Choice{Controllers: []string{"*"}, Scheduler: true, Nodes: 3}, ""},
		{" job-controller , -namespace-controller,", Choice{Controllers: []string{"job-controller", "-namespace-controller"}}, ""},
		{"nodes=0", Choice{}, ""},
		{"nodes=-1", Choice{}, `"nodes=-1": must be a number of nodes, such as nodes=3`},
		{"nodes=x", Choice{}, `"nodes=x": must be a number of nodes`},
		{"nodes", Choice{Controllers: []string{"nodes"}}, ""}, // which the configuration refuses: no controller is called so
		{"scheduler=on", Choice{}, `"scheduler=on": must be workloads, scheduler, nodes=N, or a controller's name`},
	} {
		got, err := ParseChoice(c.text)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: got %v, want an error with %s", c.text, err, c.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %v and %+v, want %+v", c.text, err, got, c.want)
		}
	}
}

// TestWhatIsChosenComesFirst: of entries that concern one controller the first counts, so that housekeeping can be left out.
func TestWhatIsChosenComesFirst(t *testing.T) {
	cfg := DefaultConfig()
	cfg.API.Authorization.Mode = []string{"RBAC"}
	Choice{Controllers: []string{"-namespace-controller"}, Scheduler: true, Nodes: 2}.apply(&cfg)
	want := slices.Concat([]string{"-namespace-controller"}, cluster.Housekeeping(), []string{"node-lifecycle-controller"})
	if got := cfg.Controllers.Enabled; !slices.Equal(got, want) {
		t.Errorf("controllers: %v", got)
	}
	if cfg.Scheduler.Disabled || cfg.Simulation.Nodes != 2 || !reflect.DeepEqual(cfg.API.Authorization.Mode, []string{"Node", "RBAC"}) {
		t.Errorf("got %+v, %+v and %v", cfg.Scheduler, cfg.Simulation, cfg.API.Authorization.Mode)
	}
}

// freeURL is one at which nobody listens.
func freeURL(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// runMember runs a member until the test ends, and returns when it answers.
func runMember(t *testing.T, place Place) (url string) {
	t.Helper()
	url = freeURL(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Member{ClientURLs: []string{url}, Place: place, Log: observe.Discard()}.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the member ended: %v", err)
		}
	})
	for {
		answer, err := http.Get(url + "/health")
		if err == nil {
			answer.Body.Close()
			return url
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the member ended: %v", err)
		default:
		}
	}
}

// TestTheServerGoesWhereEtcdSays: the place of the store is the directory that etcd was given.
func TestTheServerGoesWhereEtcdSays(t *testing.T) {
	dir := t.TempDir()
	url := runMember(t, Place{Directory: dir, Unsynced: true})
	cfg, certs := DefaultConfig(), t.TempDir()
	cfg.Store.Etcd.Servers = []string{url}
	cfg.Network.AdvertiseAddress = "127.0.0.1"
	unsynced, err := Server{CertDir: certs}.Prepare(t.Context(), &cfg)
	if err != nil || !unsynced || cfg.DataDir != dir || len(cfg.Store.Etcd.Servers) > 0 || cfg.Serving.TLSCertFile != "" {
		t.Errorf("got %v, %v, %s, %v, %q", err, unsynced, cfg.DataDir, cfg.Store.Etcd.Servers, cfg.Serving.TLSCertFile)
	}
	if err := cfg.Complete(); err != nil {
		t.Errorf("what is prepared: %v", err)
	}
	for _, name := range []string{"apiserver.crt", "apiserver.key"} {
		if err := os.WriteFile(filepath.Join(certs, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (Server{CertDir: certs}).Prepare(t.Context(), &cfg); err != nil || cfg.Serving.TLSCertFile != filepath.Join(certs, "apiserver.crt") {
		t.Errorf("with a certificate there: %v, %q", err, cfg.Serving.TLSCertFile)
	}
}

// TestAnotherEtcd: one that is none of ours is used as etcd, and one that is not there is named.
func TestAnotherEtcd(t *testing.T) {
	url, certs := runMember(t, Place{}), t.TempDir()
	cfg := DefaultConfig()
	cfg.Store.Etcd.Servers = []string{url + "/another"}
	if _, err := (Server{CertDir: certs}).Prepare(t.Context(), &cfg); err != nil || len(cfg.Store.Etcd.Servers) != 1 || cfg.DataDir != filepath.Join(certs, "floe") {
		t.Errorf("got %v, %v, %s", err, cfg.Store.Etcd.Servers, cfg.DataDir)
	}
	nobody := freeURL(t)
	cfg.Store.Etcd.Servers = []string{nobody}
	if _, err := (Server{CertDir: certs}).Prepare(t.Context(), &cfg); err == nil || !strings.Contains(err.Error(), "--etcd-servers: "+nobody+" does not answer") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestWhatAMemberRefuses(t *testing.T) {
	taken := runMember(t, Place{})
	for url, want := range map[string]string{
		"https://127.0.0.1:0": "speaks http only", "127.0.0.1:1": "must be a URL such as", taken: "address already in use",
	} {
		err := Member{ClientURLs: []string{url}, Log: observe.Discard()}.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "--listen-client-urls: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %s", url, err, want)
		}
	}
	if err := (Member{Log: observe.Discard()}).Run(t.Context()); err == nil {
		t.Error("a member without URLs runs")
	}
}

// TestLink: links are made anew, and what is no link is left.
func TestLink(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "assets")
	for range 2 {
		if got, err := Link(dir); err != nil || got != dir {
			t.Fatalf("got %v and %s", err, got)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Programs() {
		if to, err := filepath.EvalSymlinks(filepath.Join(dir, name)); err != nil || to != self {
			t.Errorf("%s leads to %s (%v), want %s", name, to, err, self)
		}
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "kubectl"), []byte("mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Link(foreign); err == nil || !strings.Contains(err.Error(), "kubectl is there, and no link") {
		t.Errorf("a directory with another's kubectl: %v", err)
	}
	if list, err := os.ReadDir(foreign); err != nil || len(list) != 1 {
		t.Errorf("got %v and %v, want that nothing was changed", err, list)
	}
}
