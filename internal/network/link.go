package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime"
)

// inside is the name of a sandbox's own end, as every CNI plug-in names it.
const inside = "eth0"

// connect makes what is missing of a sandbox's link, addresses and routes. Each step may be repeated.
func (n *Network) connect(pod runtime.PodNetwork, addr netip.Addr) error {
	ns, in, done, err := enter(pod.NetNSPath)
	if err != nil {
		return err
	}
	defer done()
	name := n.linkName(pod.ID)
	outer, err := n.ends(in, ns, name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	if err := n.insideEnd(in, addr); err != nil {
		return fmt.Errorf("link %s, inside: %w", name, err)
	}
	if err := n.hostEnd(outer, addr); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nil
}

// ends returns the host end of the pair, and makes the pair when either end is missing.
func (n *Network) ends(in *netlink.Handle, ns netns.NsHandle, name string) (netlink.Link, error) {
	outer, err := n.host.LinkByName(name)
	if err == nil {
		if _, err := in.LinkByName(inside); err == nil {
			return outer, nil
		}
		if err := n.removeLink(name); err != nil {
			return nil, err
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Flags = name, net.FlagUp
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: inside, PeerNamespace: netlink.NsFd(ns)}
	if err := n.host.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("making the pair: %w", err)
	}
	return n.host.LinkByName(name)
}

// insideEnd brings the sandbox's side up: loopback, address, and the way to everything through the node.
func (n *Network) insideEnd(in *netlink.Handle, addr netip.Addr) error {
	if err := loopbackUp(in); err != nil {
		return err
	}
	eth, err := in.LinkByName(inside)
	if err != nil {
		return err
	}
	if err := ignoreExisting(in.AddrAdd(eth, hostAddress(addr))); err != nil {
		return fmt.Errorf("address %s: %w", addr, err)
	}
	if err := in.LinkSetUp(eth); err != nil {
		return err
	}
	index := eth.Attrs().Index
	gateway := &netlink.Route{LinkIndex: index, Scope: netlink.SCOPE_LINK, Dst: single(n.gateway)}
	if err := in.RouteReplace(gateway); err != nil {
		return fmt.Errorf("route to the node: %w", err)
	}
	_, everywhere, _ := net.ParseCIDR("0.0.0.0/0")
	if err := in.RouteReplace(&netlink.Route{LinkIndex: index, Gw: n.gateway.AsSlice(), Dst: everywhere}); err != nil {
		return fmt.Errorf("default route: %w", err)
	}
	return nil
}

func loopbackUp(in *netlink.Handle) error {
	lo, err := in.LinkByName("lo")
	if err == nil {
		err = in.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// RaiseLoopback brings the loopback of the network namespace at path up. It may be repeated.
func RaiseLoopback(path string) error {
	_, in, done, err := enter(path)
	if err != nil {
		return err
	}
	defer done()
	return loopbackUp(in)
}

// enter opens a network namespace and a socket in it, until done.
func enter(path string) (ns netns.NsHandle, in *netlink.Handle, done func(), err error) {
	if ns, err = netns.GetFromPath(path); err != nil {
		return ns, nil, nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	if in, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE); err != nil {
		ns.Close()
		return ns, nil, nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	return ns, in, func() { in.Close(); ns.Close() }, nil
}

// hostEnd gives the node its address on the link, and the route to the sandbox.
func (n *Network) hostEnd(outer netlink.Link, addr netip.Addr) error {
	own := hostAddress(n.gateway)
	own.Flags = unix.IFA_F_NOPREFIXROUTE
	if err := ignoreExisting(n.host.AddrAdd(outer, own)); err != nil {
		return fmt.Errorf("address %s: %w", n.gateway, err)
	}
	if err := n.host.LinkSetUp(outer); err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: outer.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: single(addr), Src: n.gateway.AsSlice()}
	if err := n.host.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %s: %w", addr, err)
	}
	return nil
}

func single(addr netip.Addr) *net.IPNet {
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(32, 32)}
}

func hostAddress(addr netip.Addr) *netlink.Addr { return &netlink.Addr{IPNet: single(addr)} }

func ignoreExisting(err error) error {
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// removeLink removes a pair by its host end; its addresses and routes go with it. One that is not there is no error.
func (n *Network) removeLink(name string) error {
	link, err := n.host.LinkByName(name)
	if err == nil {
		err = n.host.LinkDel(link)
	}
	var unknown netlink.LinkNotFoundError
	if errors.As(err, &unknown) || errors.Is(err, unix.ENODEV) || err == nil {
		return nil
	}
	return fmt.Errorf("removing link %s: %w", name, err)
}

// links are the host ends of this network by index.
func (n *Network) links() (map[int]string, error) {
	all, err := whole(n.host.LinkList)
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	own := map[int]string{}
	for _, l := range all {
		if a := l.Attrs(); strings.HasPrefix(a.Name, n.prefix) {
			own[a.Index] = a.Name
		}
	}
	return own, nil
}

// findLost keeps the addresses that links lead to though their record is lost: those sandboxes may live, and nobody else may get them.
func (n *Network) findLost() error {
	own, err := n.links()
	if err != nil || len(own) == 0 {
		return err
	}
	routes, err := whole(func() ([]netlink.Route, error) { return n.host.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("listing routes: %w", err)
	}
	for _, r := range routes {
		link, ok := own[r.LinkIndex]
		if !ok || r.Dst == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP.To4())
		if ok && n.addresses.foundOn(link, addr) {
			n.Log.Warn("an address is in use that is not written down; it is kept for its sandbox", "address", addr, "link", link)
		}
	}
	return nil
}

// listings is how often a list is asked for that changes while the kernel gives it. With another program that makes and removes links
// without a pause, three lists in a hundred were interrupted, none of them twice.
const listings = 10

// whole asks until the kernel says that nothing changed on the way: other programs have links and routes too.
func whole[T any](list func() ([]T, error)) (items []T, err error) {
	for range listings {
		if items, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return items, err
		}
	}
	return nil, err
}
