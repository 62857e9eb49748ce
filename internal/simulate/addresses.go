package simulate

import (
	"encoding/binary"
	"net/netip"
)

// mostAddresses bounds how many of a node's addresses are given to pods.
const mostAddresses = 1 << 16

// addresses are those of one node's pods: of its range all but the first, which is the node's own there, and the last.
type addresses struct {
	prefix netip.Prefix // the zero value: none are given
	used   []uint64     // a bit for each; made when first used
	next   int          // where to look, so that an address rests before it is given again
}

func (a *addresses) size() int {
	if !a.prefix.IsValid() || !a.prefix.Addr().Is4() {
		return 0
	}
	return min(1<<(32-a.prefix.Bits()), mostAddresses)
}

// take gives one out; ok is false when there is none left.
func (a *addresses) take() (ip netip.Addr, ok bool) {
	size := a.size()
	if a.used == nil {
		a.used = make([]uint64, (size+63)/64)
	}
	for range size {
		i := a.next
		a.next = (a.next + 1) % size
		if i < 2 || i == size-1 || a.used[i/64]&(1<<(i%64)) != 0 {
			continue
		}
		a.used[i/64] |= 1 << (i % 64)
		return nth(a.prefix, i), true
	}
	return netip.Addr{}, false
}

// mark notes that an address is used, or no longer. One of another range is nobody's.
func (a *addresses) mark(text string, used bool) {
	ip, err := netip.ParseAddr(text)
	if err != nil || !a.prefix.IsValid() || !a.prefix.Contains(ip) || a.size() == 0 {
		return
	}
	i := int(number(ip) - number(a.prefix.Addr()))
	if i >= a.size() {
		return
	}
	if a.used == nil {
		a.used = make([]uint64, (a.size()+63)/64)
	}
	if used {
		a.used[i/64] |= 1 << (i % 64)
	} else {
		a.used[i/64] &^= 1 << (i % 64)
	}
}

func number(ip netip.Addr) uint32 {
	raw := ip.As4()
	return binary.BigEndian.Uint32(raw[:])
}

// nth is the n-th address of a range.
func nth(p netip.Prefix, n int) netip.Addr {
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], number(p.Addr())+uint32(n))
	return netip.AddrFrom4(raw)
}
