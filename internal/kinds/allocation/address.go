package allocation

import (
	"encoding/binary"
	"iter"
	"math"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	netutils "k8s.io/utils/net"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Manager is upstream's name of what takes addresses for services, which the label managed-by says.
const Manager = "ipallocator.k8s.io"

// Addresses and Ranges are the resources of taken addresses, and of where they come from.
var (
	Addresses = networkingv1.SchemeGroupVersion.WithResource("ipaddresses")
	Ranges    = networkingv1.SchemeGroupVersion.WithResource("servicecidrs")
)

// Range is where addresses come from: all of a prefix but its first, and but its last of IPv4.
type Range struct {
	Prefix netip.Prefix
	first  netip.Addr
	size   uint64 // of IPv6 as far as 64 bits count
	lower  uint64 // how many addresses the lower band has; less than size, or 0
}

// How large the lower band of a range is: a sixteenth, within bounds.
const (
	bandShare = 16
	bandLeast = 16
	bandMost  = 256
)

// NewRange returns a prefix's range. Those of IPv6 that are wider than a /64 are none: ok is false.
func NewRange(prefix netip.Prefix) (r Range, ok bool) {
	addr, hosts := prefix.Masked().Addr(), prefix.Addr().BitLen()-prefix.Bits()
	if !prefix.IsValid() || hosts > 64 {
		return Range{}, false
	}
	r = Range{Prefix: prefix, first: addr.Next(), size: math.MaxUint64}
	all := uint64(math.MaxInt64) // enough to be wide
	if hosts < 63 {
		all = 1 << hosts
	}
	if hosts < 64 {
		r.size = 1<<hosts - 1
	}
	if addr.Is4() && r.size > 0 {
		r.size--
	}
	if all > bandLeast {
		r.lower = min(max(all/bandShare, bandLeast), bandMost)
	}
	return r, true
}

// Size is how many addresses the range has.
func (r Range) Size() uint64 { return r.size }

// Contains says whether addr may be taken from the range.
func (r Range) Contains(addr netip.Addr) bool {
	return r.Prefix.Contains(addr) && addr.Compare(r.first) >= 0 && (r.size > 0 && addr.Compare(r.at(r.size-1)) <= 0)
}

// First is the range's first address.
func (r Range) First() netip.Addr { return r.first }

// at is the i-th address, from 0. It stays within the prefix, whose host part is 64 bits wide at most.
func (r Range) at(i uint64) netip.Addr {
	bytes := r.first.As16()
	low := bytes[8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)+i)
	addr := netip.AddrFrom16(bytes)
	if r.first.Is4() {
		return addr.Unmap()
	}
	return addr
}

// Search goes through every address once, from a place that pick chooses: first the upper band, then the lower one.
func (r Range) Search(pick func(n int) int) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, band := range [2][2]uint64{{r.lower, r.size}, {0, min(r.lower, r.size)}} {
			from, n := band[0], band[1]-min(band[0], band[1])
			if n == 0 {
				continue
			}
			start := uint64(pick(int(min(n, math.MaxInt64))))
			for i := range n {
				if !yield(r.at(from + (start+i)%n)) {
					return
				}
			}
		}
	}
}

// Ready returns the ranges of one family that addresses may be taken from now, by the names of their objects.
func Ready(see kinds.Reader, family corev1.IPFamily) (list []Range) {
	see.Each(Ranges, "", func(obj kinds.Object) bool {
		c := obj.(*networkingv1.ServiceCIDR)
		if !isReady(c) {
			return true
		}
		for _, r := range RangesOf(c) {
			if FamilyOf(r.Prefix.Addr()) == family {
				list = append(list, r)
			}
		}
		return true
	})
	return list
}

// RangesOf returns the ranges that an object names. What is none is passed over: it was validated.
func RangesOf(c *networkingv1.ServiceCIDR) (list []Range) {
	for _, text := range c.Spec.CIDRs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			continue
		}
		if r, ok := NewRange(prefix); ok {
			list = append(list, r)
		}
	}
	return list
}

// isReady says that the range may be taken from: one that nobody has judged yet may, so that a cluster without its controllers works too.
func isReady(c *networkingv1.ServiceCIDR) bool {
	if c.DeletionTimestamp != nil {
		return false
	}
	for _, cond := range c.Status.Conditions {
		if cond.Type == networkingv1.ServiceCIDRConditionReady {
			return cond.Status == metav1.ConditionTrue
		}
	}
	return true
}

// FamilyOf is an address's family.
func FamilyOf(addr netip.Addr) corev1.IPFamily {
	if addr.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// Parse reads an address of a service, which older clients may have written with leading zeros; false when it is none.
func Parse(text string) (netip.Addr, bool) {
	addr, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(text))
	return addr.Unmap(), ok
}

// NewAddress is the object that says that svc has addr.
func NewAddress(addr netip.Addr, svc *corev1.Service) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: addr.String(), Labels: map[string]string{
			networkingv1.LabelIPAddressFamily: string(FamilyOf(addr)), networkingv1.LabelManagedBy: Manager,
		}},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: svc.Namespace, Name: svc.Name}},
	}
}

// IsOf says whether an address belongs to the service of a namespace and name.
func IsOf(ip *networkingv1.IPAddress, namespace, name string) bool {
	p := ip.Spec.ParentRef
	return p != nil && p.Group == "" && p.Resource == "services" && p.Namespace == namespace && p.Name == name
}
