package cluster

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"

	"github.com/floe-k8s/floe/internal/pki"
)

// servingTLS is the API's side of TLS: a fresh certificate for the host's names and addresses, unless others are configured; clients may show one of
// the authority's. HTTP/2 is offered first.
func (s *server) servingTLS() (*tls.Config, error) {
	addrs, err := s.addresses()
	if err != nil {
		return nil, err
	}
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, a := range addrs {
		ips = append(ips, a.AsSlice())
	}
	network := &s.Config.Network
	for _, r := range network.serviceRanges() { // that of the service default/kubernetes
		ips = append(ips, r.First().AsSlice())
	}
	if a, err := netip.ParseAddr(network.AdvertiseAddress); err == nil {
		ips = append(ips, a.AsSlice())
	}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + network.ClusterDomain}
	if s.Config.Serving.ownCertificate() {
		names = append(names, ownName)
	}
	own, err := s.renewer("kube-apiserver", func() (pki.Identity, error) { return s.authority.Server("kube-apiserver", names, ips) })
	if err != nil {
		return nil, err
	}
	// A certificate that is not the authority's is an anonymous client or one with another credential: auth decides, as upstream does.
	return s.Config.Serving.tls(own.Certificate, s.Log.With("component", "api"))
}

// localURL is where a client on this machine finds the API.
func (s *server) localURL() string {
	addr := s.listener.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if ip, ok := netip.AddrFromSlice(addr.IP); ok && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(addr.Port))
}
