package aggregate

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// Upstream's limits of connections to servers.
const (
	dialTime      = 30 * time.Second
	handshakeTime = 10 * time.Second
	idleTime      = 90 * time.Second
	idlePerHost   = 25
	discoveryTime = 5 * time.Second // for a client that asks what there is
)

// connection is how the server of one API service is reached.
type connection struct {
	trust
	*http.Transport
}

// trust is what connections may be shared by.
type trust struct {
	uid, name, authorities string
	port                   int32
	insecure               bool
	shown                  *tls.Certificate // by this server; another one begins new connections, or one that is never idle would outlive it
}

func trustOf(svc *apiregistrationv1.APIService) trust {
	s := &svc.Spec
	return trust{string(svc.UID), s.Service.Name + "." + s.Service.Namespace + ".svc", string(s.CABundle), port(svc), s.InsecureSkipTLSVerify, nil}
}

// transport reaches the server of svc. Transports for what it was before are given up.
func (p *Proxy) transport(svc *apiregistrationv1.APIService) (*http.Transport, error) {
	want := trustOf(svc)
	if p.Certificate != nil {
		var err error
		if want.shown, err = p.Certificate(); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.known[svc.Name]
	if was != nil && was.trust == want {
		return was.Transport, nil
	}
	config, err := p.config(want)
	if err != nil {
		return nil, err
	}
	if was != nil {
		was.CloseIdleConnections()
	}
	made := &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true, // a client's own wish goes through
		DialContext: p.Dial, TLSHandshakeTimeout: handshakeTime,
		MaxIdleConnsPerHost: idlePerHost, IdleConnTimeout: idleTime,
	}
	if made.DialContext == nil {
		made.DialContext = (&net.Dialer{Timeout: dialTime, KeepAlive: dialTime}).DialContext
	}
	p.known[svc.Name] = &connection{want, made}
	return made, nil
}

func (p *Proxy) config(want trust) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: want.name, InsecureSkipVerify: want.insecure} //nolint:gosec // on the API service's own demand
	if want.shown != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return want.shown, nil }
	}
	if want.authorities == "" {
		return config, nil
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM([]byte(want.authorities)) {
		return nil, fmt.Errorf("unable to load root certificates: %w", malformed([]byte(want.authorities)))
	}
	return config, nil
}

// malformed says why there is no certificate in text.
func malformed(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New("unable to parse bytes as PEM block")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return fmt.Errorf("failed to parse certificate: %w", err)
	}
	return errors.New("no valid certificate authority data seen")
}

// Forget gives up the connections of an API service that is gone.
func (p *Proxy) Forget(name string) {
	p.mu.Lock()
	was := p.known[name]
	delete(p.known, name)
	p.mu.Unlock()
	if was != nil {
		was.CloseIdleConnections()
	}
}
