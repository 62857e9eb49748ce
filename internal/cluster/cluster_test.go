package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/observe"
)

func TestConfigErrorsNameFieldValueAndRange(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"defaults", func(*Config) {}, ""},
		{"port", func(c *Config) { c.SecurePort = 70000 }, "securePort: 70000: must be a port from 0 to 65535"},
		{"node port", func(c *Config) { c.Node.Port = -1 }, "node.port: -1"},
		{"address", func(c *Config) { c.BindAddress = "everywhere" }, `bindAddress: "everywhere"`},
		{"no directory", func(c *Config) { c.DataDir = "" }, `dataDir: ""`},
		{"format", func(c *Config) { c.Logging.Format = "xml" }, `logging.format: "xml": must be text or json`},
		{"modules", func(c *Config) { c.Logging.VModule = "server" }, `logging.vmodule: "server": must be PATTERN=N,...`},
		{"modules in JSON", func(c *Config) { c.Logging.VModule, c.Logging.Format = "server=3", "json" }, `logging.vmodule: "server=3": must be empty: only supported for text log format`},
		{"node name", func(c *Config) { c.Node.Name = "Not_A_Name" }, `node.name: "Not_A_Name"`},
		{"range not masked", func(c *Config) { c.Node.PodCIDR = "10.244.0.7/24" }, `node.podCIDR: "10.244.0.7/24"`},
		{"range too small", func(c *Config) { c.Node.PodCIDR = "10.244.0.0/31" }, `node.podCIDR`},
		{"pods elsewhere", func(c *Config) { c.Node.PodCIDR = "10.1.0.0/24" }, "node.podCIDR: 10.1.0.0/24: must lie in network.clusterCIDR, which is 10.244.0.0/16"},
		{"services nowhere", func(c *Config) { c.Network.ServiceClusterIPRange = nil }, `network.serviceClusterIPRange: "": must be one range`},
		{"services not masked", func(c *Config) { c.Network.ServiceClusterIPRange = []string{"10.96.0.1/12"} }, `network.serviceClusterIPRange: "10.96.0.1/12": must be a range such as`},
		{"services in few", func(c *Config) { c.Network.ServiceClusterIPRange = []string{"10.96.0.0/31"} }, "network.serviceClusterIPRange: 10.96.0.0/31: must be from /8 to /30"},
		{"services in very many", func(c *Config) { c.Network.ServiceClusterIPRange = []string{"fd00::/48"} }, "network.serviceClusterIPRange: fd00::/48: must be from"},
		{"one family twice", func(c *Config) { c.Network.ServiceClusterIPRange = []string{"10.96.0.0/16", "10.97.0.0/16"} }, `network.serviceClusterIPRange: "10.96.0.0/16,10.97.0.0/16": must be of two families`},
		{"two families", func(c *Config) { c.Network.ServiceClusterIPRange = []string{"fd00::/112", "10.96.0.0/16"} }, ""},
		{"pods among services", func(c *Config) { c.Network.ClusterCIDR = []string{"10.96.0.0/16"} }, "network.clusterCIDR: 10.96.0.0/16: must not overlap network.serviceClusterIPRange, which is 10.96.0.0/12"},
		{"ports", func(c *Config) { c.Network.ServiceNodePortRange = "3-1" }, `network.serviceNodePortRange: "3-1": must be a range of ports from 1 to 65535`},
		{"node port of the API", func(c *Config) { c.Network.KubernetesServiceNodePort = 6443 }, "network.kubernetesServiceNodePort: 6443: must be 0 (none), or a port of network.serviceNodePortRange, which is 30000-32767"},
		{"domain", func(c *Config) { c.Network.ClusterDomain = "a_b" }, `network.clusterDomain: "a_b": must be a DNS domain`},
		{"advertised", func(c *Config) { c.Network.AdvertiseAddress = "127.0.0.1" }, `network.advertiseAddress: "127.0.0.1": must be an IP address that others reach`},
		{"reconciler", func(c *Config) { c.Network.EndpointReconcilerType = "master-count" }, `network.endpointReconcilerType: "master-count": must be lease or none`},
		{"no seats", func(c *Config) { c.API.MaxRequestsInflight, c.API.MaxMutatingRequestsInflight = 0, 0 }, "MaxRequestsInFlight=0 and MaxMutatingRequestsInFlight=0; they must add up to something positive"},
		{"no node, no check of it", func(c *Config) { c.Node = Node{Disabled: true, RootDir: "/r", LogDir: "/l"} }, ""},
	} {
		cfg := DefaultConfig()
		cfg.Node.Name = "one"
		c.change(&cfg)
		err := cfg.Complete()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestConfigFile(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"good", "apiVersion: config.floe.dev/v1alpha1\nkind: ServerConfiguration\nsecurePort: 7443\nnode: {podCIDR: 10.1.0.0/24}\n", ""},
		{"unknown field", "apiVersion: config.floe.dev/v1alpha1\nkind: ServerConfiguration\nport: 1\n", "port"},
		{"no kind", "securePort: 1\n", "want apiVersion"},
		{"not YAML", "a: [", "yaml"},
	} {
		path := filepath.Join(t.TempDir(), "floe.yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := DefaultConfig()
		err := cfg.LoadFile(path)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || !reflect.DeepEqual(cfg, DefaultConfig()) {
				t.Errorf("%s: got %v, want an error with %q and nothing changed", c.name, err, c.want)
			}
			continue
		}
		if err != nil || cfg.SecurePort != 7443 || cfg.Node.PodCIDR != "10.1.0.0/24" || cfg.Node.Port != 10250 {
			t.Errorf("%s: error %v, got %+v", c.name, err, cfg)
		}
	}
}

func TestDataDirIsOursAndLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	first, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server: got %v, want that it is in use", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openDataDir(path)
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	defer again.close()

	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "photos"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(foreign); err == nil || !strings.Contains(err.Error(), "photos") {
		t.Errorf("a foreign directory: got %v, want an error that names what is in it", err)
	}
	newer := t.TempDir()
	if err := os.WriteFile(filepath.Join(newer, "VERSION"), []byte("floe data directory, format 9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(newer); err == nil || !strings.Contains(err.Error(), "format 9") {
		t.Errorf("a newer directory: got %v, want an error that names its format", err)
	}
}

func TestPartsStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var stopped []string
		wait := func(name string) part {
			return part{name, func(ctx context.Context) error {
				<-ctx.Done()
				mu.Lock()
				defer mu.Unlock()
				stopped = append(stopped, name)
				return ctx.Err()
			}}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- runSequence(ctx, clock.RealClock{}, observe.Discard(), []part{wait("log"), wait("api"), wait("node")})
		}()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if want := []string{"node", "api", "log"}; !slices.Equal(stopped, want) {
			t.Errorf("stopped in order %v, want %v", stopped, want)
		}
	})
}

func TestAFailedPartStopsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		err := runSequence(t.Context(), clock.RealClock{}, observe.Discard(), []part{
			{"api", func(ctx context.Context) error { <-ctx.Done(); return nil }},
			{"log", func(context.Context) error { return boom }},
		})
		if !errors.Is(err, boom) || !strings.Contains(err.Error(), "log: boom") {
			t.Errorf("got %v, want the failed part's error with its name", err)
		}
	})
}
