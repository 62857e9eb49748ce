package nodeipam

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// ErrNoneLeft says that all ranges that nodes may have are taken. The text is upstream's.
var ErrNoneLeft = errors.New("CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range")

// deepest is how many bits nodes' ranges of IPv6 may be longer than the cluster's, as upstream: 65,536 of them.
const deepest = 16

// pool is one range of the cluster, divided into nodes' ranges of one size. It is used by one goroutine at a time.
type pool struct {
	whole netip.Prefix
	bits  int // of a node's range
	used  []uint64
	taken int // ones in used
	next  int // where the search for a free one begins
}

// newPool divides whole into ranges of bits.
func newPool(whole netip.Prefix, bits int) (*pool, error) {
	depth := bits - whole.Bits()
	if depth < 0 || bits > whole.Addr().BitLen() {
		return nil, fmt.Errorf("a node's range of /%d does not lie in %s", bits, whole)
	}
	if depth > deepest && (whole.Addr().Is6() || depth > 24) {
		return nil, fmt.Errorf("%s has too many ranges of /%d", whole, bits)
	}
	return &pool{whole: whole, bits: bits, used: make([]uint64, (1<<depth+63)/64)}, nil
}

func (p *pool) size() int { return 1 << (p.bits - p.whole.Bits()) }

// nth is the node's range of an index.
func (p *pool) nth(i int) netip.Prefix {
	if a := p.whole.Addr(); a.Is4() {
		four := a.As4()
		binary.BigEndian.PutUint32(four[:], binary.BigEndian.Uint32(four[:])|uint32(i)<<(32-p.bits))
		return netip.PrefixFrom(netip.AddrFrom4(four), p.bits)
	}
	sixteen := p.whole.Addr().As16()
	high, low := binary.BigEndian.Uint64(sixteen[:8]), binary.BigEndian.Uint64(sixteen[8:])
	shift := uint(128 - p.bits) // a shift by 64 and more gives 0
	low |= uint64(i) << shift
	if shift >= 64 {
		high |= uint64(i) << (shift - 64)
	} else {
		high |= uint64(i) >> (64 - shift)
	}
	binary.BigEndian.PutUint64(sixteen[:8], high)
	binary.BigEndian.PutUint64(sixteen[8:], low)
	return netip.PrefixFrom(netip.AddrFrom16(sixteen), p.bits)
}

// index is which of the nodes' ranges an address of the whole lies in.
func (p *pool) index(a netip.Addr) int {
	i, from := 0, p.whole.Bits()
	bytes := a.AsSlice()
	for bit := from; bit < p.bits; bit++ {
		i = i<<1 | int(bytes[bit/8]>>(7-bit%8)&1)
	}
	return i
}

// mark takes or frees all nodes' ranges that overlap r; false: none does.
func (p *pool) mark(r netip.Prefix, take bool) bool {
	if !r.IsValid() || r.Addr().Is4() != p.whole.Addr().Is4() || !r.Overlaps(p.whole) {
		return false
	}
	first, count := 0, p.size()
	if r.Bits() > p.whole.Bits() {
		first, count = p.index(r.Addr()), 1<<max(p.bits-r.Bits(), 0)
	}
	for i := first; i < first+count; i++ {
		p.set(i, take)
	}
	return true
}

func (p *pool) set(i int, take bool) {
	word, bit := &p.used[i/64], uint64(1)<<(i%64)
	switch {
	case take && *word&bit == 0:
		*word |= bit
		p.taken++
	case !take && *word&bit != 0:
		*word &^= bit
		p.taken--
	}
}

// take is the next range that is free, and how many that are not were passed.
func (p *pool) take() (r netip.Prefix, tries int, err error) {
	if p.taken == p.size() {
		return netip.Prefix{}, 0, ErrNoneLeft
	}
	i := p.next
	for ; p.used[i/64]&(1<<(i%64)) != 0; tries++ {
		i = (i + 1) % p.size()
	}
	p.next = (i + 1) % p.size()
	p.set(i, true)
	return p.nth(i), tries, nil
}
