//lint:file-ignore SA1019 upstream has deprecated Endpoints, and keeps them all the same

package endpoints

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/endpointslice"
)

// Repack returns subsets in the one form that says the same: addresses that offer the same ports stand together, once each, sorted by address and UID, ports and
// subsets by their hashes. An address that is not ready under a port anywhere is not. The given ones are not changed.
func Repack(subsets []corev1.EndpointSubset) []corev1.EndpointSubset {
	offers := map[portID]*offer{}
	known := map[string]corev1.EndpointAddress{}
	for _, s := range subsets {
		ports := s.Ports
		if len(ports) == 0 {
			ports = []corev1.EndpointPort{{Port: -1}} // endpoints of no port
		}
		for _, port := range ports {
			key := portID{port.Name, port.Port, port.Protocol, port.AppProtocol != nil, ptr.Deref(port.AppProtocol, "")}
			if offers[key] == nil {
				offers[key] = &offer{port: port, ready: map[string]bool{}}
			}
			for _, a := range s.Addresses {
				offers[key].add(known, a, true)
			}
			for _, a := range s.NotReadyAddresses {
				offers[key].add(known, a, false)
			}
		}
	}
	together := map[string]*corev1.EndpointSubset{}
	for _, o := range offers {
		key, s := o.subset(known)
		if together[key] == nil {
			together[key] = &s
		}
		if o.port.Port > 0 {
			together[key].Ports = append(together[key].Ports, o.port)
		}
	}
	final := make([]corev1.EndpointSubset, 0, len(together))
	for _, s := range together {
		slices.SortFunc(s.Ports, func(a, b corev1.EndpointPort) int { return cmp.Compare(endpointslice.Hash(a), endpointslice.Hash(b)) })
		final = append(final, *s)
	}
	slices.SortFunc(final, func(a, b corev1.EndpointSubset) int { return cmp.Compare(endpointslice.Hash(a), endpointslice.Hash(b)) })
	return final
}

// portID is what makes two ports one.
type portID struct {
	name     string
	port     int32
	protocol corev1.Protocol
	says     bool // an application's protocol
	app      string
}

// offer is who offers a port.
type offer struct {
	port  corev1.EndpointPort
	ready map[string]bool // by id
}

// identity is what makes two addresses one: pods of one address, on their node's network, are two.
func identity(a corev1.EndpointAddress) string {
	if a.TargetRef == nil {
		return a.IP + "\x00"
	}
	return a.IP + "\x00" + string(a.TargetRef.UID)
}

func (o *offer) add(known map[string]corev1.EndpointAddress, a corev1.EndpointAddress, ready bool) {
	key := identity(a)
	if _, ok := known[key]; !ok {
		known[key] = a
	}
	was, ok := o.ready[key]
	o.ready[key] = ready && (!ok || was)
}

// subset is who offers the port, without the port, and a text that offers with the same addresses have in common.
func (o *offer) subset(known map[string]corev1.EndpointAddress) (key string, s corev1.EndpointSubset) {
	ids := make([]string, 0, len(o.ready))
	for id := range o.ready {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for i, id := range ids {
		if o.ready[id] {
			s.Addresses = append(s.Addresses, known[id])
		} else {
			s.NotReadyAddresses = append(s.NotReadyAddresses, known[id])
			ids[i] += "\x00-"
		}
	}
	return strings.Join(ids, "\x01"), s
}
