package cluster

import (
	"fmt"
	"net"
	"net/netip"
)

// hostAddresses lists the addresses of this host's links: global ones first, loopback last, link-local ones left out.
func hostAddresses() ([]netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("reading the host's addresses: %w", err)
	}
	var global, loopback []netip.Addr
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue // not an address of the Internet protocols
		}
		switch addr := prefix.Addr().Unmap(); {
		case addr.IsLoopback():
			loopback = append(loopback, addr)
		case addr.IsGlobalUnicast():
			global = append(global, addr)
		}
	}
	return append(global, loopback...), nil
}
