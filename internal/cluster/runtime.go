package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/carry"
	"github.com/floe-k8s/floe/internal/network"
	"github.com/floe-k8s/floe/internal/network/cni"
	"github.com/floe-k8s/floe/internal/runtime"
	"github.com/floe-k8s/floe/internal/runtime/serve"
)

// RuntimeConfig is what a container runtime that stands alone, `floe runtime`, is made of. Fields without a stated default are required.
type RuntimeConfig struct {
	// DataDir holds what the others do not name.
	DataDir string
	// Root holds images and writable layers; default DataDir/images. State holds what runs; default DataDir/run/pods.
	Root, State string
	// Listen is the socket that CRI is served on, as unix://PATH.
	Listen string
	// CgroupParent is the cgroup of sandboxes whose request names none.
	CgroupParent string
	// PodCIDR is the range of IPv4 addresses that pods get.
	PodCIDR string
	// StreamAddress is where, on the loopback, exec, attach and port-forward are served; port 0 takes a free one.
	StreamAddress string
	// RegistryConfigDir is where mirrors and certificates of registries are told of; see Node.
	RegistryConfigDir string
	// CNIConfDir and CNIBinDir have plug-ins attach pods; see Node.
	CNIConfDir, CNIBinDir string
	// RuntimeHandlers are other OCI runtimes as NAME=PATH; see Node.
	RuntimeHandlers []string
	// CDISpecDirs are where devices that have names are described; see Node.
	CDISpecDirs string
	Logging     Logging
}

// DefaultRuntimeConfig is what `floe runtime` does unless told otherwise.
func DefaultRuntimeConfig() RuntimeConfig {
	d := DefaultConfig()
	return RuntimeConfig{
		DataDir: d.DataDir, Listen: serve.DefaultListen, CgroupParent: d.Node.CgroupRoot, PodCIDR: "10.244.0.0/24", StreamAddress: "127.0.0.1:0",
		RegistryConfigDir: d.Node.RegistryConfigDir, CNIBinDir: d.Node.CNIBinDir, CDISpecDirs: d.Node.CDISpecDirs, Logging: d.Logging,
	}
}

// RuntimeEnvironment is what a runtime that stands alone gets from the program around it.
type RuntimeEnvironment struct {
	Config   RuntimeConfig
	Version  string
	Clock    clock.WithTicker
	Log      *slog.Logger
	Programs *carry.Programs
}

// RunRuntime serves CRI until ctx ends. Containers go on without it, and the next one finds them.
func RunRuntime(ctx context.Context, env RuntimeEnvironment) error {
	cfg := env.Config
	if cfg.Root == "" {
		cfg.Root = filepath.Join(cfg.DataDir, "images")
	}
	if cfg.State == "" {
		cfg.State = filepath.Join(cfg.DataDir, "run", "pods")
	}
	shim, err := env.Programs.Path("floe-shim", filepath.Join(cfg.DataDir, "bin"))
	if err != nil {
		return err
	}
	links, containers, err := openRuntime(ctx, filepath.Join(cfg.DataDir, "run", "network"), pluginDirs{cfg.CNIConfDir, cfg.CNIBinDir}, runtime.Config{
		Root: cfg.Root, State: cfg.State, ShimPath: shim, CgroupParent: cfg.CgroupParent, PodCIDR: cfg.PodCIDR, StreamAddress: cfg.StreamAddress,
		RegistryConfigDir: cfg.RegistryConfigDir, Handlers: handlersOf(cfg.RuntimeHandlers), CDISpecDirs: cfg.CDISpecDirs, Clock: env.Clock, Log: env.Log, Version: env.Version,
	})
	if err != nil {
		return err
	}
	defer links.Close()
	listener, err := serve.Listen(ctx, cfg.Listen)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ended(ctx, containers.Run(ctx)) })
	g.Go(func() error {
		// Before anybody can make new sandboxes, which would look like ones that are gone.
		if err := collect(ctx, links, containers); err != nil {
			listener.Close()
			return ended(ctx, err)
		}
		env.Log.Info("serving CRI", "address", cfg.Listen)
		return ended(ctx, serve.Serve(ctx, listener, containers, env.Log))
	})
	return g.Wait()
}

// ended is nil for what ended because it was told to.
func ended(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// handlersOf are the runtime's handlers from NAME=PATH; what is not of that form is left for the runtime to refuse.
func handlersOf(programs []string) map[string]runtime.Handler {
	all := map[string]runtime.Handler{}
	for _, p := range programs {
		name, path, _ := strings.Cut(p, "=")
		all[name] = runtime.Handler{Program: path}
	}
	return all
}

// podNetwork is the network of a node's pods: the built-in one, or plug-ins.
type podNetwork interface {
	runtime.Network
	// Collect takes back what sandboxes have that are not among live.
	Collect(ctx context.Context, live []string) error
	Close()
}

// pluginDirs are the directories of CNI's configurations and plug-ins; no configurations means no plug-ins.
type pluginDirs struct{ conf, bin string }

// openNetwork makes the network, which keeps in state what it gave to whom.
func openNetwork(ctx context.Context, state string, with pluginDirs, cfg runtime.Config) (podNetwork, error) {
	if with.conf != "" {
		return cni.New(cni.Config{ConfDir: with.conf, BinDirs: filepath.SplitList(with.bin), State: state + "-cni"})
	}
	podCIDR, err := netip.ParsePrefix(cfg.PodCIDR)
	if err != nil {
		return nil, fmt.Errorf("the range of pod addresses: %w", err)
	}
	links, err := network.New(network.Config{PodCIDR: podCIDR, State: state, Log: cfg.Log.With("component", "network")})
	if err != nil {
		return nil, err
	}
	if err := links.Setup(ctx); err != nil {
		links.Close()
		return nil, err
	}
	return links, nil
}

// openRuntime makes the network of a node's pods and the runtime on it.
func openRuntime(ctx context.Context, networkState string, with pluginDirs, cfg runtime.Config) (podNetwork, *runtime.Runtime, error) {
	links, err := openNetwork(ctx, networkState, with, cfg)
	if err != nil {
		return nil, nil, err
	}
	cfg.Network, cfg.Log = links, cfg.Log.With("component", "runtime")
	containers, err := runtime.New(cfg)
	if err != nil {
		links.Close()
		return nil, nil, err
	}
	return links, containers, nil
}
