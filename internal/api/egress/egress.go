// Package egress leads the server's own connections through proxies, as an EgressSelectorConfiguration says (--egress-selector-config-file, KEP-1281).
//
// # Vocabulary
//
// A destination is a network to which the server connects: the cluster (its services, pods and nodes), the control plane (webhooks by URL, token issuers, whatever
// authenticates, authorizes and audits) or etcd. A proxy is what stands between: by HTTP CONNECT over TCP, with TLS or without, or over a unix socket; or by
// konnectivity's gRPC over a unix socket.
//
// # Laws
//
//   - A destination that the file does not name, or names as Direct, is reached directly.
//   - What waits for a proxy ends with the context of who connects. The connection that it gets does not.
//   - A proxy's answer is read up to 1 MiB, and not one byte of the connection behind it is lost: a proxy that sends some early is refused.
//   - What a wrong file is told is upstream's word for word, with the line before it.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	apiserverv1beta1 "k8s.io/apiserver/pkg/apis/apiserver/v1beta1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/configfile"
)

// Destination is a network that the server connects to.
type Destination string

// The destinations, as files name them in whatever case.
const (
	Cluster      Destination = "cluster"
	ControlPlane Destination = "controlplane"
	Etcd         Destination = "etcd"
)

// Dial connects, as net.Dialer.DialContext does. It is safe for concurrent use.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Selector says how destinations are reached. nil: all directly. It is only read.
type Selector struct{ dials map[Destination]Dial }

// To is how a destination is reached; nil: directly.
func (s *Selector) To(d Destination) Dial {
	if s == nil {
		return nil
	}
	return s.dials[d]
}

// Read reads a file with its certificates; "" is no file, and nil. Nothing is connected. Dials are counted in m.
func Read(file string, m *Metrics, clk clock.PassiveClock) (*Selector, error) {
	if file == "" {
		return nil, nil
	}
	cfg, err := read(file)
	if err != nil {
		return nil, err
	}
	s := &Selector{dials: map[Destination]Dial{}}
	for _, selection := range cfg.EgressSelections {
		by, err := proxyOf(selection.Connection)
		if err != nil {
			return nil, fmt.Errorf("%s: failed to create dialer for egressSelection %q: %w", file, strings.ToLower(selection.Name), err)
		}
		if by != nil {
			s.dials[Destination(strings.ToLower(selection.Name))] = m.dial(*by, clk)
		}
	}
	return s, nil
}

// Check says what is wrong with a file, which may be "".
func Check(file string) error {
	_, err := Read(file, NewMetrics(), clock.RealClock{})
	return err
}

func read(file string) (*apiserverv1beta1.EgressSelectorConfiguration, error) {
	const kind = "EgressSelectorConfiguration"
	versions := []schema.GroupVersionKind{apiserverv1beta1.SchemeGroupVersion.WithKind(kind), {Group: apiserverv1beta1.GroupName, Version: "v1alpha1", Kind: kind}}
	cfg := &apiserverv1beta1.EgressSelectorConfiguration{}
	return cfg, configfile.Read(file, versions, cfg, validate)
}

// proxy is how one is connected, and then asked for a connection.
type proxy struct {
	protocol, transport string // as metrics call them
	connect             func(ctx context.Context) (through, error)
}

// through asks a proxy that is connected for a connection. Where it fails it closes the proxy's.
type through func(ctx context.Context, address string) (net.Conn, error)

// proxyOf is what a valid selection means; nil: there is none.
func proxyOf(c apiserverv1beta1.Connection) (*proxy, error) {
	switch c.ProxyProtocol {
	case apiserverv1beta1.ProtocolHTTPConnect:
		if c.Transport.UDS != nil {
			socket := c.Transport.UDS.UDSName
			return &proxy{"http_connect", "uds", connectHTTP(socket, func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			})}, nil
		}
		return proxyAt(c.Transport.TCP)
	case apiserverv1beta1.ProtocolGRPC:
		return &proxy{"grpc", "uds", connectGRPC(c.Transport.UDS.UDSName)}, nil
	}
	return nil, nil
}

// proxyAt is a proxy by HTTP CONNECT over TCP, under TLS where its URL says https.
func proxyAt(to *apiserverv1beta1.TCPTransport) (*proxy, error) {
	at, err := url.Parse(to.URL)
	if err != nil {
		return nil, fmt.Errorf("invalid proxy server url %q: %w", to.URL, err)
	}
	connect := new(net.Dialer).DialContext
	if to.TLSConfig != nil {
		config, err := trust(to.TLSConfig)
		if err != nil {
			return nil, err
		}
		connect = (&tls.Dialer{Config: config}).DialContext
	}
	return &proxy{"http_connect", "tcp", connectHTTP(at.Host, func(ctx context.Context) (net.Conn, error) { return connect(ctx, "tcp", at.Host) })}, nil
}

// trust reads the files by which a proxy and the server know each other.
func trust(t *apiserverv1beta1.TLSConfig) (*tls.Config, error) {
	shown, err := tls.LoadX509KeyPair(t.ClientCert, t.ClientKey)
	if err != nil {
		return nil, fmt.Errorf("failed to read key pair %s & %s, got %w", t.ClientCert, t.ClientKey, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{shown}, ServerName: t.TLSServerName}
	if t.CABundle != "" {
		bundle, err := os.ReadFile(t.CABundle)
		if err != nil {
			return nil, fmt.Errorf("failed to read cert file %s, got %w", t.CABundle, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(bundle) {
			return nil, fmt.Errorf("%s: failed to append CA cert to the cert pool", t.CABundle)
		}
	}
	return config, nil
}
