// Package reach makes the clients by which the server asks webhooks: those of admission and those that convert custom resources.
//
// # Vocabulary
//
// A target is where a webhook answers: a service, or a URL. A review is the document that goes to it, and its answer.
//
// # Laws
//
//   - A client trusts the authorities of its target, or else the system's.
//   - Targets are spoken to by HTTP/1.1, so that the calls of a service spread over its endpoints; only what is on this machine may choose HTTP/2.
//   - No try takes longer than MostTime, and no more than 16 MiB are read of an answer.
//   - Credentials are for the host whose user they are of: a redirection elsewhere is followed as nobody.
//
// # What it leaves to others
//
// What reviews say, and how long a webhook may take on its own word: packages webhook and custom. Where a service is: the Resolver, which package cluster makes.
package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/floe-k8s/floe/internal/observe/trace"
)

// MostTime is what a try takes at most when nobody says less.
const MostTime = 30 * time.Second

const (
	handshakeTime = 10 * time.Second
	maxAnswer     = 16 << 20 // bytes that are read of an answer
	idle          = 90 * time.Second
	idleMost      = 25 // connections to one webhook
	defaultPort   = 443
	userAgent     = "kube-apiserver-admission" // upstream's name for it in conversions as well
)

// Resolver says where a port of a service is now, as the host and port of a URL. It is safe for concurrent use.
type Resolver func(namespace, name string, port int32) (*url.URL, error)

// Target is where a webhook answers. Service goes before URL.
type Target struct {
	Name    string // for messages
	URL     string
	Service *Service
	Bundle  []byte // certificates of its authorities, in PEM; empty: the system's
}

// Service is a target in the cluster.
type Service struct {
	Namespace, Name, Path string
	Port                  int32 // 0: 443
}

// ServiceOf is a service as references in APIs name it; path and port may be nil.
func ServiceOf(namespace, name string, path *string, port *int32) *Service {
	s := &Service{Namespace: namespace, Name: name}
	if path != nil {
		s.Path = *path
	}
	if port != nil {
		s.Port = *port
	}
	return s
}

// Means are what clients of one sort of webhook share. They are only read.
type Means struct {
	Resolve Resolver     // needed where targets are services
	As      *Credentials // as whom the server calls; nil: as nobody
	// ToService and ToURL connect to targets of each sort; nil: directly.
	ToService, ToURL func(ctx context.Context, network, address string) (net.Conn, error)
	Codec            runtime.NegotiatedSerializer
}

// Client asks one webhook. It is safe for concurrent use.
type Client struct {
	connect   func() (*rest.RESTClient, error)
	transport *http.Transport // once connect has made it
}

// New returns a client, which is connected when it is first needed.
func New(to Target, by Means) *Client {
	c := &Client{}
	c.connect = sync.OnceValues(func() (*rest.RESTClient, error) {
		config := &rest.Config{QPS: -1, WarningHandler: rest.NoWarnings{}}
		config.NegotiatedSerializer, config.ContentType = by.Codec, runtime.ContentTypeJSON
		var err error
		if c.transport, err = to.transport(config, by); err != nil {
			return nil, err
		}
		known, err := by.As.identify(hostOf(config.Host), c.transport)
		if err != nil {
			return nil, err
		}
		return rest.UnversionedRESTClientForConfigAndClient(config, &http.Client{Transport: bounded{trace.Transport(known)}, Timeout: MostTime})
	})
	return c
}

// REST returns what sends reviews, or why the target makes no sense.
func (c *Client) REST() (*rest.RESTClient, error) { return c.connect() }

// Close gives idle connections back. Calls that run go on, and later ones may be made.
func (c *Client) Close() {
	if _, err := c.connect(); err == nil {
		c.transport.CloseIdleConnections()
	}
}

// Codec reads and writes the reviews of versions, which add registers.
func Codec(versions []schema.GroupVersion, add ...func(*runtime.Scheme) error) runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	for _, register := range add {
		if err := register(scheme); err != nil {
			panic(fmt.Sprintf("reviews cannot be registered: %v", err))
		}
	}
	return serializer.NegotiatedSerializerWrapper(runtime.SerializerInfo{Serializer: serializer.NewCodecFactory(scheme).LegacyCodec(versions...)})
}

// Authorities reads a bundle; nil: it is empty.
func Authorities(bundle []byte) (*x509.CertPool, error) {
	if len(bundle) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, errors.New("unable to load root certificates: unable to parse bytes as PEM block")
	}
	return pool, nil
}

// transport completes config with where the webhook answers, and makes the way there.
func (to Target) transport(config *rest.Config, by Means) (*http.Transport, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	var err error
	if trust.RootCAs, err = Authorities(to.Bundle); err != nil {
		return nil, err
	}
	way := &http.Transport{TLSClientConfig: trust, TLSHandshakeTimeout: handshakeTime, MaxIdleConnsPerHost: idleMost, IdleConnTimeout: idle}
	if s := to.Service; s != nil {
		trust.ServerName = s.Name + "." + s.Namespace + ".svc"
		host := net.JoinHostPort(trust.ServerName, strconv.Itoa(int(s.port())))
		config.Host, config.APIPath = "https://"+host, s.Path
		way.DialContext = s.dialing(host, by)
		return way, nil
	}
	if to.URL == "" {
		return nil, to.unreachable(errors.New("webhook configuration must have either service or URL"))
	}
	u, err := url.Parse(to.URL)
	if err != nil {
		//lint:ignore ST1005 upstream's words
		return nil, to.unreachable(fmt.Errorf("Unparsable URL: %w", err))
	}
	config.Host, config.APIPath, way.DialContext = u.Scheme+"://"+u.Host, u.Path, by.ToURL
	if local(u) {
		trust.NextProtos, way.ForceAttemptHTTP2 = nil, true
	}
	return way, nil
}

func (to Target) unreachable(reason error) error {
	return fmt.Errorf("failed calling webhook %q: %w", to.Name, reason)
}

// hostOf is the host and port of where a webhook answers.
func hostOf(server string) string {
	_, host, _ := strings.Cut(server, "://")
	host, _, _ = strings.Cut(host, "/")
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(defaultPort))
	}
	return host
}

func (s *Service) port() int32 {
	if s.Port == 0 {
		return defaultPort
	}
	return s.Port
}

// dialing goes to where the service is now, and to every other host, as a redirection may name it, by its name.
func (s *Service) dialing(host string, by Means) func(ctx context.Context, network, address string) (net.Conn, error) {
	connect := by.ToService
	if connect == nil {
		connect = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == host {
			at, err := by.Resolve(s.Namespace, s.Name, s.port())
			if err != nil {
				return nil, err
			}
			address = at.Host
		}
		return connect(ctx, network, address)
	}
}

// local says whether a URL leads to this machine.
func local(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
}

// bounded reads no more than maxAnswer bytes of what a server answers.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

// Read fails with the first byte that is too much.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return n, err
}
