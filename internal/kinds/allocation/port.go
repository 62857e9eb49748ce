package allocation

import (
	"errors"
	"fmt"
	"iter"
	"math/big"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/floe-k8s/floe/internal/kinds"
)

// PortsKept is the resource, served to nobody, and PortsName the name of the object that says which ports of nodes are taken.
var PortsKept = corev1.SchemeGroupVersion.WithResource("rangeallocations")

// PortsName is what stands after PortsKept's prefix.
const PortsName = "servicenodeports"

// DefaultPorts is upstream's range.
var DefaultPorts = utilnet.PortRange{Base: 30000, Size: 2768}

// What there is to say of a port that cannot be had, in upstream's words.
var (
	ErrFull  = errors.New("range is full")
	ErrTaken = errors.New("provided port is already allocated")
)

// OutsideError: a port is not in the range.
type OutsideError struct{ Range utilnet.PortRange }

// Error names the range.
func (e *OutsideError) Error() string {
	return fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %s", e.Range.String())
}

// Kept is the kind of PortsKept: kube-apiserver's RangeAllocation, under its key.
func Kept() *kinds.Kind {
	return &kinds.Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("RangeAllocation"), Resource: PortsKept.Resource, Singular: "rangeallocation", Storage: "ranges",
		New:     func() kinds.Object { return &corev1.RangeAllocation{} },
		NewList: func() runtime.Object { return &metav1.List{} },
	}
}

// Ports are the ports of a range that are taken. One goroutine uses them.
type Ports struct {
	Range utilnet.PortRange
	bits  *big.Int // bit i: port Base+i is taken
	used  int      // how many bits are set
}

// NewPorts returns a range of which nothing is taken.
func NewPorts(r utilnet.PortRange) *Ports { return &Ports{Range: r, bits: new(big.Int)} }

// ReadPorts returns what was stored for the range; false when it was stored for another one.
func ReadPorts(r utilnet.PortRange, stored *corev1.RangeAllocation) (*Ports, bool) {
	if stored.Range != r.String() {
		return nil, false
	}
	p := &Ports{Range: r, bits: new(big.Int).SetBytes(stored.Data)}
	for range p.All() {
		p.used++
	}
	return p, true
}

// Stored writes the ports into the object that is stored, which may be new.
func (p *Ports) Stored(obj *corev1.RangeAllocation) {
	obj.Name = "" // kube-apiserver's has none
	obj.Range, obj.Data = p.Range.String(), p.bits.Bytes()
}

// Has says whether a port is taken. One outside the range is not.
func (p *Ports) Has(port int) bool {
	return p.Range.Contains(port) && p.bits.Bit(port-p.Range.Base) == 1
}

// Take takes a port: ErrTaken, or an *OutsideError.
func (p *Ports) Take(port int) error {
	switch {
	case !p.Range.Contains(port):
		return &OutsideError{p.Range}
	case p.Has(port):
		return ErrTaken
	}
	p.bits.SetBit(p.bits, port-p.Range.Base, 1)
	p.used++
	return nil
}

// Next takes a port by chance, from the upper band while it has any: ErrFull.
func (p *Ports) Next(pick func(n int) int) (int, error) {
	lower := portBand(p.Range.Size)
	for _, band := range [2][2]int{{lower, p.Range.Size}, {0, lower}} {
		n := band[1] - band[0]
		if n == 0 {
			continue
		}
		start := pick(n)
		for i := range n {
			port := p.Range.Base + band[0] + (start+i)%n
			if p.Take(port) == nil {
				return port, nil
			}
		}
	}
	return 0, ErrFull
}

// Release gives a port back. One that is not taken, or is outside the range, is passed over.
func (p *Ports) Release(port int) {
	if p.Has(port) {
		p.bits.SetBit(p.bits, port-p.Range.Base, 0)
		p.used--
	}
}

// All goes through the ports that are taken, in order.
func (p *Ports) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range p.Range.Size {
			if p.bits.Bit(i) == 1 && !yield(p.Range.Base+i) {
				return
			}
		}
	}
}

// Used and Free count the ports that are taken, and that are not.
func (p *Ports) Used() int { return p.used }

// Free is the rest of the range.
func (p *Ports) Free() int { return p.Range.Size - p.used }

// portBand is the size of the lower band: a thirty-second of the range, within bounds.
func portBand(size int) int {
	const share, least, most = 32, 16, 128
	if size <= least {
		return 0
	}
	return min(max(size/share, least), most)
}

// PortsOf are the ports of nodes that a service has: one for each number, and again where one number serves the same protocol twice.
func PortsOf(svc *corev1.Service) (list []int) {
	type use struct {
		port     int32
		protocol corev1.Protocol
	}
	ports, uses := map[int32]bool{}, map[use]bool{}
	for _, p := range svc.Spec.Ports {
		u := use{p.NodePort, p.Protocol}
		if p.NodePort != 0 && (!ports[p.NodePort] || uses[u]) {
			list = append(list, int(p.NodePort))
		}
		ports[p.NodePort], uses[u] = true, true
	}
	if n := svc.Spec.HealthCheckNodePort; n != 0 && (!ports[n] || uses[use{n, corev1.ProtocolTCP}]) {
		list = append(list, int(n))
	}
	return list
}
