package network

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime"
)

var _ runtime.Network = (*Network)(nil)

// Config is what a Network is made from; all fields are needed.
type Config struct {
	PodCIDR netip.Prefix // IPv4, at least four addresses, masked
	State   string       // absolute path of a directory of its own; one network at a time uses it
	Log     *slog.Logger
}

// Network attaches sandboxes. Its methods may be called concurrently for different sandboxes. It works in the network namespace
// of the thread that called New.
type Network struct {
	Config
	addresses *addresses
	gateway   netip.Addr
	host      *netlink.Handle
	prefix    string // of the names of this network's links
}

// New reads what is written down and what this network's links lead to, and changes nothing on the host.
func New(cfg Config) (*Network, error) {
	p := cfg.PodCIDR
	if !p.Addr().Is4() || p.Bits() > 30 || p.Masked() != p {
		return nil, fmt.Errorf("pod range %s: must be an IPv4 range of at least four addresses, such as 10.244.0.0/24", p)
	}
	list, err := openAddresses(cfg.State, p, cfg.Log)
	if err != nil {
		return nil, err
	}
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	n := &Network{Config: cfg, addresses: list, gateway: p.Addr().Next(), host: host, prefix: "floe" + digest(filepath.Clean(cfg.State), 3)}
	if err := n.findLost(); err != nil {
		host.Close()
		return nil, err
	}
	return n, nil
}

// Close gives the socket back. Links, routes and rules stay, as sandboxes do.
func (n *Network) Close() { n.host.Close() }

func digest(s string, size int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:size]
}

// linkName is the host end of a sandbox's link: 15 bytes, the kernel's limit.
func (n *Network) linkName(id string) string { return n.prefix + digest(id, 8) }

// Setup readies the host: loopback, forwarding, and the rules that let pods out. It may be repeated. Without nf_tables pods reach each other and the
// node only, which is said once.
func (n *Network) Setup(context.Context) error {
	lo, err := n.host.LinkByName("lo")
	if err == nil {
		err = n.host.LinkSetUp(lo) // a network namespace that was just made has it down
	}
	if err != nil {
		return fmt.Errorf("bringing loopback up: %w", err)
	}
	const forward = "/proc/sys/net/ipv4/ip_forward"
	now, err := os.ReadFile(forward)
	if err == nil && strings.TrimSpace(string(now)) != "1" {
		err = os.WriteFile(forward, []byte("1\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("pods need packets to be forwarded: %w", err)
	}
	if err := masquerade(n.PodCIDR); err != nil {
		n.Log.Warn("pods cannot reach addresses outside of this node: packet rules are refused", "err", err)
	}
	return nil
}

// Attach implements runtime.Network.
func (n *Network) Attach(_ context.Context, pod runtime.PodNetwork) ([]netip.Addr, error) {
	for _, p := range pod.PortMappings {
		if p.GetHostPort() != 0 {
			return nil, fmt.Errorf("pod %s/%s: host port %d: ports of the host are not served yet", pod.Namespace, pod.Name, p.GetHostPort())
		}
	}
	addr, err := n.addresses.take(pod.ID, n.linkName(pod.ID))
	if err != nil {
		return nil, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	if err := n.connect(pod, addr); err != nil {
		return nil, fmt.Errorf("pod %s/%s: network: %w", pod.Namespace, pod.Name, err)
	}
	return []netip.Addr{addr}, nil
}

// Detach implements runtime.Network.
func (n *Network) Detach(_ context.Context, id string) error {
	link := n.linkName(id)
	if err := n.removeLink(link); err != nil {
		return err
	}
	return n.addresses.give(id, link)
}

// Ready implements runtime.Network: what New and Setup made is there as long as the node is.
func (n *Network) Ready(context.Context) error { return nil }

// Collect takes back what sandboxes have that are not among live: after a crash, and after a restart of the machine.
func (n *Network) Collect(ctx context.Context, live []string) error {
	stay := map[string]bool{}
	keep := map[string]bool{}
	for _, id := range live {
		stay[n.linkName(id)], keep[id] = true, true
	}
	var errs []error
	for _, id := range n.addresses.holders() {
		if !keep[id] {
			errs = append(errs, n.Detach(ctx, id))
		}
	}
	links, err := n.links()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, name := range links {
		if stay[name] {
			continue
		}
		if err := n.removeLink(name); err != nil {
			errs = append(errs, err)
			continue
		}
		n.addresses.forget(name)
	}
	return errors.Join(errs...)
}
