// Package cni gives pods their network by CNI plug-ins, in place of package network's own, on nodes that are configured so.
//
// # Story
//
// The first network configuration in ConfDir, in the order of the files' names, is the pods' network, as with every runtime that has plug-ins. It is
// read anew for each pod, so a network that is installed after floe starts is used at once; until then Ready says what is missing. Attach brings
// the loopback up itself and calls ADD for eth0. A sandbox that is attached already, after a restart of floe, is asked after with CHECK instead.
//
// # Laws
//
//   - What is asked of plug-ins is written down before they are called. So a DEL has the configuration of its ADD, whatever lies in ConfDir by
//     then, and follows an ADD that a crash cut off.
//   - A record goes when its DEL has succeeded.
//   - Collect gives back what no live sandbox has, and has plug-ins that know GC (CNI 1.1) do the same.
//
// On disk: STATE/ID.json is the record of one sandbox; STATE/results/ is libcni's cache of what plug-ins answered.
//
// # What it leaves to others
//
// Ranges of addresses, port mappings and limits of bandwidth are the plug-ins' affair: they are told of those whose capability they declare.
package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/network"
	"github.com/floe-k8s/floe/internal/runtime"
)

var _ runtime.Network = (*Network)(nil)

// inside is the name of a sandbox's own link.
const inside = "eth0"

// ErrNoConfiguration is why pods have no network before one is installed.
var ErrNoConfiguration = errors.New("no network configuration")

// Config is what a Network is made from; all fields are needed, as absolute paths.
type Config struct {
	ConfDir string   // of network configurations: *.conflist, *.conf, *.json
	BinDirs []string // of plug-ins, looked through in this order
	State   string   // a directory of its own; one network at a time uses it
}

// Network attaches sandboxes with plug-ins. Its methods may be called concurrently for different sandboxes.
type Network struct {
	cfg     Config
	plugins *libcni.CNIConfig
}

// New makes the directory for records and calls nothing.
func New(cfg Config) (*Network, error) {
	for _, dir := range append([]string{cfg.ConfDir, cfg.State}, cfg.BinDirs...) {
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("CNI: directory %q must be an absolute path", dir)
		}
	}
	if len(cfg.BinDirs) == 0 {
		return nil, errors.New("CNI: a directory of plug-ins is required")
	}
	results := filepath.Join(cfg.State, "results")
	if err := os.MkdirAll(results, 0o700); err != nil {
		return nil, fmt.Errorf("CNI: %w", err)
	}
	return &Network{cfg: cfg, plugins: libcni.NewCNIConfigWithCacheDir(cfg.BinDirs, results, nil)}, nil
}

// Close does nothing: plug-ins run only while they are called.
func (n *Network) Close() {}

// configuration reads the network's.
func (n *Network) configuration() (*libcni.NetworkConfigList, error) {
	files, err := libcni.ConfFiles(n.cfg.ConfDir, []string{".conflist", ".conf", ".json"})
	if err != nil {
		return nil, fmt.Errorf("network configuration: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w in %s: install a network add-on, or put a file there", ErrNoConfiguration, n.cfg.ConfDir)
	}
	file := slices.Min(files)
	if filepath.Ext(file) == ".conflist" {
		list, err := libcni.NetworkConfFromFile(file)
		if err != nil {
			return nil, fmt.Errorf("network configuration %s: %w", file, err)
		}
		return list, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("network configuration: %w", err)
	}
	list, err := listOf(data)
	if err != nil {
		return nil, fmt.Errorf("network configuration %s: %w", file, err)
	}
	return list, nil
}

// listOf makes a list of the configuration of a single plug-in, the older form of a network's.
func listOf(data []byte) (*libcni.NetworkConfigList, error) {
	one, err := libcni.NetworkPluginConfFromBytes(data)
	if err != nil {
		return nil, err
	}
	list, err := json.Marshal(map[string]any{"cniVersion": one.Network.CNIVersion, "name": one.Network.Name, "plugins": []json.RawMessage{data}})
	if err != nil {
		return nil, err
	}
	return libcni.NetworkConfFromBytes(list)
}

// Ready says why pods cannot be attached now; nil when they can. Plug-ins that know STATUS (CNI 1.1) are asked.
func (n *Network) Ready(ctx context.Context) error {
	list, err := n.configuration()
	if err != nil {
		return err
	}
	if err := n.plugins.GetStatusNetworkList(ctx, list); err != nil {
		return fmt.Errorf("network %s: %w", list.Name, err)
	}
	return nil
}

// record is what plug-ins were asked for one sandbox.
type record struct {
	Config  json.RawMessage    `json:"config"` // the network's configuration list
	Runtime libcni.RuntimeConf `json:"runtime"`
}

func (n *Network) recordPath(id string) string { return filepath.Join(n.cfg.State, id+".json") }

// load reads a sandbox's record; os.ErrNotExist: plug-ins were never called for it.
func (n *Network) load(id string) (*libcni.NetworkConfigList, *libcni.RuntimeConf, error) {
	data, err := os.ReadFile(n.recordPath(id))
	if err != nil {
		return nil, nil, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, nil, fmt.Errorf("record of %s: %w", id, err)
	}
	list, err := libcni.NetworkConfFromBytes(r.Config)
	if err != nil {
		return nil, nil, fmt.Errorf("record of %s: %w", id, err)
	}
	return list, &r.Runtime, nil
}

func (n *Network) save(list *libcni.NetworkConfigList, rt *libcni.RuntimeConf) error {
	data, err := json.Marshal(record{Config: list.Bytes, Runtime: *rt})
	if err != nil {
		return err
	}
	path := n.recordPath(rt.ContainerID)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Attach implements runtime.Network.
func (n *Network) Attach(ctx context.Context, pod runtime.PodNetwork) ([]netip.Addr, error) {
	addresses, err := n.attach(ctx, pod)
	if err != nil {
		return nil, fmt.Errorf("pod %s/%s: network: %w", pod.Namespace, pod.Name, err)
	}
	return addresses, nil
}

func (n *Network) attach(ctx context.Context, pod runtime.PodNetwork) ([]netip.Addr, error) {
	if list, rt, err := n.load(pod.ID); err == nil {
		if result, err := n.plugins.GetNetworkListCachedResult(list, rt); err == nil && result != nil {
			return n.check(ctx, list, rt, result)
		}
	}
	list, err := n.configuration()
	if err != nil {
		return nil, err
	}
	rt, err := runtimeConf(pod)
	if err != nil {
		return nil, err
	}
	if err := n.save(list, rt); err != nil {
		return nil, err
	}
	if err := network.RaiseLoopback(pod.NetNSPath); err != nil {
		return nil, err
	}
	result, err := n.plugins.AddNetworkList(ctx, list, rt)
	if err != nil {
		return nil, fmt.Errorf("%s: ADD: %w", list.Name, err)
	}
	return addressesOf(result)
}

// check asks plug-ins whether a sandbox still has what they gave it, if their version of CNI has that question.
func (n *Network) check(ctx context.Context, list *libcni.NetworkConfigList, rt *libcni.RuntimeConf, result types.Result) ([]netip.Addr, error) {
	if asks, err := version.GreaterThanOrEqualTo(list.CNIVersion, "0.4.0"); err == nil && asks {
		if err := n.plugins.CheckNetworkList(ctx, list, rt); err != nil {
			return nil, fmt.Errorf("%s: CHECK: %w", list.Name, err)
		}
	}
	return addressesOf(result)
}

// addressesOf lists what plug-ins gave to the link inside, in their order.
func addressesOf(result types.Result) ([]netip.Addr, error) {
	r, err := current.NewResultFromResult(result)
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	for _, ip := range r.IPs {
		if i := ip.Interface; i != nil && (*i < 0 || *i >= len(r.Interfaces) || r.Interfaces[*i].Name != inside || r.Interfaces[*i].Sandbox == "") {
			continue
		}
		if a, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			all = append(all, a.Unmap())
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the plug-ins gave no address to %s", inside)
	}
	return all, nil
}

// Detach implements runtime.Network.
func (n *Network) Detach(ctx context.Context, id string) error {
	list, rt, err := n.load(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("CNI: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(rt.NetNS, &st); err != nil || st.Type != unix.NSFS_MAGIC {
		rt.NetNS = "" // it is gone, which plug-ins must be content with
	}
	if err := n.plugins.DelNetworkList(ctx, list, rt); err != nil {
		return fmt.Errorf("network %s: DEL of sandbox %s: %w", list.Name, id, err)
	}
	return os.Remove(n.recordPath(id))
}

// Collect takes back what sandboxes have that are not among live: after a crash, and after a restart of the machine.
func (n *Network) Collect(ctx context.Context, live []string) error {
	entries, err := os.ReadDir(n.cfg.State)
	if err != nil {
		return fmt.Errorf("CNI: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok && !slices.Contains(live, id) {
			errs = append(errs, n.Detach(ctx, id))
		}
	}
	list, err := n.configuration()
	if errors.Is(err, ErrNoConfiguration) {
		return errors.Join(errs...)
	}
	if err == nil {
		args := &libcni.GCArgs{}
		for _, id := range live {
			args.ValidAttachments = append(args.ValidAttachments, types.GCAttachment{ContainerID: id, IfName: inside})
		}
		err = n.plugins.GCNetworkList(ctx, list, args)
	}
	return errors.Join(append(errs, err)...)
}
