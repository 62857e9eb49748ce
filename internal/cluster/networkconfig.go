package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"

	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

// Network says which addresses the cluster has. Where kube-apiserver or kube-controller-manager has a flag for it, the flag has its name.
type Network struct {
	// ServiceClusterIPRange is where services' addresses come from: one range, or one of each family; the family of the first is that of
	// services that do not say. It is the ServiceCIDR "kubernetes", which stays as it was made when this changes later, except that a second
	// range is added to it. Default 10.96.0.0/12.
	ServiceClusterIPRange []string `json:"serviceClusterIPRange,omitempty"`
	// ServiceNodePortRange is where ports of nodes come from, such as 30000-32767, which is the default.
	ServiceNodePortRange string `json:"serviceNodePortRange,omitempty"`
	// KubernetesServiceNodePort is the port of nodes at which default/kubernetes answers when it is made; one of ServiceNodePortRange. Default 0: none.
	KubernetesServiceNodePort int32 `json:"kubernetesServiceNodePort,omitempty"`
	// ClusterCIDR is where pods' addresses come from: one range, or one of each family. Default 10.244.0.0/16.
	ClusterCIDR []string `json:"clusterCIDR,omitempty"`
	// ClusterDomain is the DNS domain of the cluster. Default cluster.local.
	ClusterDomain string `json:"clusterDomain,omitempty"`
	// AdvertiseAddress is the address at which other machines and pods reach this server's API. Default: BindAddress, or the host's
	// first global address when that is all addresses.
	AdvertiseAddress string `json:"advertiseAddress,omitempty"`
	// EndpointReconcilerType is lease, or none: then nobody keeps the endpoints of the service default/kubernetes. Default lease.
	EndpointReconcilerType string `json:"endpointReconcilerType,omitempty"`
}

// Kinds of endpoint reconcilers.
const (
	reconcileByLease = "lease"
	reconcileNone    = "none"
)

func defaultNetwork() Network {
	return Network{
		ServiceClusterIPRange: []string{"10.96.0.0/12"}, ServiceNodePortRange: allocation.DefaultPorts.String(),
		ClusterCIDR: []string{"10.244.0.0/16"}, ClusterDomain: "cluster.local", EndpointReconcilerType: reconcileByLease,
	}
}

// Widest ranges that services' addresses come from, by family, in bits of the prefix: IPv4 as kubeadm's, IPv6 as upstream's limit.
const (
	widestIPv4 = 8
	widestIPv6 = 64
)

func (n *Network) validate() (errs []error) {
	services, bad := prefixes("network.serviceClusterIPRange", n.ServiceClusterIPRange)
	errs = append(errs, bad...)
	for _, p := range services {
		r, ok := allocation.NewRange(p)
		if !ok || p.Addr().Is4() && p.Bits() < widestIPv4 || r.Size() < 2 {
			errs = append(errs, fmt.Errorf("network.serviceClusterIPRange: %s: must be from /%d to /30 (IPv4) or from /%d to /126 (IPv6)", p, widestIPv4, widestIPv6))
		}
	}
	pods, bad := prefixes("network.clusterCIDR", n.ClusterCIDR)
	errs = append(errs, bad...)
	for _, p := range pods {
		if i := slices.IndexFunc(services, p.Overlaps); i >= 0 {
			errs = append(errs, fmt.Errorf("network.clusterCIDR: %s: must not overlap network.serviceClusterIPRange, which is %s", p, services[i]))
		}
	}
	ports, err := utilnet.ParsePortRange(n.ServiceNodePortRange)
	if err != nil || ports.Size < 1 || ports.Base < 1 {
		errs = append(errs, fmt.Errorf("network.serviceNodePortRange: %q: must be a range of ports from 1 to 65535, such as %s", n.ServiceNodePortRange, allocation.DefaultPorts.String()))
	} else if port := n.KubernetesServiceNodePort; port != 0 && !ports.Contains(int(port)) {
		errs = append(errs, fmt.Errorf("network.kubernetesServiceNodePort: %d: must be 0 (none), or a port of network.serviceNodePortRange, which is %s", port, ports))
	}
	if msgs := utilvalidation.IsDNS1123Subdomain(n.ClusterDomain); len(msgs) > 0 {
		errs = append(errs, fmt.Errorf("network.clusterDomain: %q: must be a DNS domain, such as cluster.local: %s", n.ClusterDomain, msgs[0]))
	}
	if a, err := netip.ParseAddr(n.AdvertiseAddress); n.AdvertiseAddress != "" && (err != nil || a.IsUnspecified() || a.IsLoopback()) {
		errs = append(errs, fmt.Errorf("network.advertiseAddress: %q: must be an IP address that others reach, neither 0.0.0.0 nor a loopback one", n.AdvertiseAddress))
	}
	if t := n.EndpointReconcilerType; t != reconcileByLease && t != reconcileNone {
		errs = append(errs, fmt.Errorf("network.endpointReconcilerType: %q: must be %s or %s", t, reconcileByLease, reconcileNone))
	}
	return errs
}

// prefixes reads one range, or one of each family.
func prefixes(field string, list []string) (out []netip.Prefix, errs []error) {
	if len(list) < 1 || len(list) > 2 {
		errs = append(errs, fmt.Errorf("%s: %q: must be one range, or one of each family", field, strings.Join(list, ",")))
	}
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Masked() != p {
			errs = append(errs, fmt.Errorf("%s: %q: must be a range such as 10.96.0.0/12 or fd00:96::/112", field, text))
			continue
		}
		out = append(out, p)
	}
	if len(out) == 2 && out[0].Addr().Is4() == out[1].Addr().Is4() {
		errs = append(errs, fmt.Errorf("%s: %q: must be of two families", field, strings.Join(list, ",")))
	}
	return out, errs
}

// firstPods is the range of the first node's pods: what a /24 is of the first range of IPv4; "" when there is none.
func (n *Network) firstPods() string {
	pods, _ := prefixes("", n.ClusterCIDR)
	for _, p := range pods {
		if p.Addr().Is4() {
			return netip.PrefixFrom(p.Addr(), max(p.Bits(), 24)).String()
		}
	}
	return ""
}

// forPods says whether a node's range lies in what pods have. Where that is not valid, it is reported for itself.
func (n *Network) forPods(part netip.Prefix) bool {
	pods, errs := prefixes("", n.ClusterCIDR)
	return len(errs) > 0 || slices.ContainsFunc(pods, func(p netip.Prefix) bool { return p.Contains(part.Addr()) && p.Bits() <= part.Bits() })
}

// serviceRanges are the valid ranges of services' addresses.
func (n *Network) serviceRanges() (list []allocation.Range) {
	out, _ := prefixes("", n.ServiceClusterIPRange)
	for _, p := range out {
		if r, ok := allocation.NewRange(p); ok {
			list = append(list, r)
		}
	}
	return list
}

// kinds is what the kinds are told.
func (c *Config) kinds() all.Config {
	events := c.API.EventTTL.Duration
	if events == 0 {
		events = core.EventsForEver
	}
	return all.Config{Services: c.Network.services(), EventTTL: events, Stay: &core.Stay{
		NotReady: c.API.DefaultNotReadyTolerationSeconds, Unreachable: c.API.DefaultUnreachableTolerationSeconds,
	}}
}

// services is what the kinds are told of it.
func (n *Network) services() core.ServiceNetwork {
	var services core.ServiceNetwork
	for _, r := range n.serviceRanges() {
		services.Families = append(services.Families, allocation.FamilyOf(r.First()))
	}
	if ports, err := utilnet.ParsePortRange(n.ServiceNodePortRange); err == nil {
		services.NodePorts = *ports
	}
	return services
}

// advertised is the address at which others reach this server: not a loopback one, if the host has another.
func (s *server) advertised() (netip.Addr, error) {
	if text := s.Config.Network.AdvertiseAddress; text != "" {
		return netip.ParseAddr(text)
	}
	bind, err := netip.ParseAddr(s.Config.BindAddress)
	if err != nil || !bind.IsUnspecified() && !bind.IsLoopback() {
		return bind, err
	}
	addrs, err := hostAddresses()
	if err != nil {
		return netip.Addr{}, err
	}
	if len(addrs) == 0 {
		return netip.Addr{}, fmt.Errorf("this host has no address for others to reach the API at: set --advertise-address")
	}
	family := allocation.FamilyOf(s.Config.Network.serviceRanges()[0].First())
	if i := slices.IndexFunc(addrs, func(a netip.Addr) bool { return allocation.FamilyOf(a) == family }); i >= 0 {
		return addrs[i], nil
	}
	return addrs[0], nil
}
