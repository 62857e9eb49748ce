package webhook

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

	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/floe-k8s/floe/internal/observe/trace"
)

const (
	mostTime    = 30 * time.Second // that a call takes when nobody says less
	maxAnswer   = 16 << 20         // bytes that are read of an answer
	idle        = 90 * time.Second
	idleMost    = 25 // connections to one hook
	defaultPort = 443
	userAgent   = "kube-apiserver-admission"
)

// Resolver says where a port of a service is now. It is safe for concurrent use.
type Resolver func(namespace, name string, port int32) (*url.URL, error)

// connection returns what makes a hook's client when it is first needed, and what closes its idle connections.
func connection(name string, to registrationv1.WebhookClientConfig, resolve Resolver, as *Credentials) (client func() (*rest.RESTClient, error), end func()) {
	var transport *http.Transport
	client = sync.OnceValues(func() (*rest.RESTClient, error) {
		config := &rest.Config{QPS: -1, WarningHandler: rest.NoWarnings{}}
		config.NegotiatedSerializer, config.ContentType = codec(), runtime.ContentTypeJSON
		var err error
		if transport, err = transportTo(name, to, config, resolve); err != nil {
			return nil, err
		}
		known, err := as.identify(hostOf(config.Host), transport)
		if err != nil {
			return nil, err
		}
		return rest.UnversionedRESTClientForConfigAndClient(config, &http.Client{Transport: bounded{trace.Transport(known)}, Timeout: mostTime})
	})
	return client, func() {
		if _, err := client(); err == nil {
			transport.CloseIdleConnections()
		}
	}
}

// codec reads and writes reviews of both versions.
func codec() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	if err := errors.Join(admissionv1beta1.AddToScheme(scheme), admissionv1.AddToScheme(scheme)); err != nil {
		panic(fmt.Sprintf("reviews cannot be registered: %v", err))
	}
	legacy := serializer.NewCodecFactory(scheme).LegacyCodec(admissionv1beta1.SchemeGroupVersion, admissionv1.SchemeGroupVersion)
	return serializer.NegotiatedSerializerWrapper(runtime.SerializerInfo{Serializer: legacy})
}

// transportTo completes config with where the hook answers, and makes the way there.
func transportTo(name string, to registrationv1.WebhookClientConfig, config *rest.Config, resolve Resolver) (*http.Transport, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if len(to.CABundle) > 0 {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(to.CABundle) {
			return nil, errors.New("unable to load root certificates: unable to parse bytes as PEM block")
		}
	}
	transport := &http.Transport{TLSClientConfig: trust, TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: idleMost, IdleConnTimeout: idle}
	if to.Service != nil {
		host := service(to.Service, config, trust)
		transport.DialContext = dialing(to.Service, host, resolve)
		return transport, nil
	}
	if to.URL == nil || *to.URL == "" {
		return nil, &callError{name: name, reason: errors.New("webhook configuration must have either service or URL")}
	}
	u, err := url.Parse(*to.URL)
	if err != nil {
		//lint:ignore ST1005 upstream's words
		return nil, &callError{name: name, reason: fmt.Errorf("Unparsable URL: %w", err)}
	}
	config.Host, config.APIPath = u.Scheme+"://"+u.Host, u.Path
	if local(u) {
		trust.NextProtos, transport.ForceAttemptHTTP2 = nil, true
	}
	return transport, nil
}

// hostOf is the host and port of where a hook answers.
func hostOf(server string) string {
	_, host, _ := strings.Cut(server, "://")
	host, _, _ = strings.Cut(host, "/")
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(defaultPort))
	}
	return host
}

// service completes config with a service's name, by which its server is known, and returns its host and port.
func service(s *registrationv1.ServiceReference, config *rest.Config, trust *tls.Config) (host string) {
	trust.ServerName = s.Name + "." + s.Namespace + ".svc"
	host = net.JoinHostPort(trust.ServerName, strconv.Itoa(int(portOf(s))))
	config.Host = "https://" + host
	if s.Path != nil {
		config.APIPath = *s.Path
	}
	return host
}

func portOf(s *registrationv1.ServiceReference) int32 {
	if s.Port == nil || *s.Port == 0 {
		return defaultPort
	}
	return *s.Port
}

// dialing goes to where the service is now, and to every other host, as a redirection may name it, by its name.
func dialing(s *registrationv1.ServiceReference, host string, resolve Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == host {
			at, err := resolve(s.Namespace, s.Name, portOf(s))
			if err != nil {
				return nil, err
			}
			address = at.Host
		}
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, address)
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
