package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"k8s.io/utils/clock"
)

const (
	maxHeader    = 64 << 10 // of an answer, in bytes
	maxRedirects = 10
	dialTimeout  = 30 * time.Second
)

// errRedirects is why a chain of redirects is not followed further.
var errRedirects = fmt.Errorf("more than %d redirects", maxRedirects)

// newHTTP makes the HTTP client for one host.
func newHTTP(h *Host, cfg *Config) (*http.Client, error) {
	trust, err := tlsConfig(h)
	if err != nil {
		return nil, err
	}
	limit := h.DialTimeout
	if limit == 0 {
		limit = dialTimeout
	}
	proxy := http.ProxyFromEnvironment
	if h.Proxy != nil {
		proxy = http.ProxyURL(h.Proxy)
	}
	dialer := &net.Dialer{Timeout: limit, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy:           proxy,
		TLSClientConfig: trust,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &patientConn{Conn: conn, clock: cfg.Clock, idle: cfg.Idle}, nil
		},
		MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		MaxResponseHeaderBytes: maxHeader, ReadBufferSize: 64 << 10, DisableCompression: true,
	}
	return &http.Client{Transport: t, CheckRedirect: redirect}, nil
}

func tlsConfig(h *Host) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if h.SkipVerify != nil {
		cfg.InsecureSkipVerify = *h.SkipVerify
	}
	if h.CA != nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("the system's authorities: %w", err)
		}
		for _, file := range h.CA {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("authority: %w", err)
			}
			if !pool.AppendCertsFromPEM(data) {
				return nil, fmt.Errorf("authority %s: it holds no certificate", file)
			}
		}
		cfg.RootCAs = pool
	}
	for _, pair := range h.Client {
		key := pair[1]
		if key == "" {
			key = pair[0]
		}
		cert, err := tls.LoadX509KeyPair(pair[0], key)
		if err != nil {
			return nil, fmt.Errorf("client certificate %s: %w", pair[0], err)
		}
		cfg.Certificates = append(cfg.Certificates, cert)
	}
	return cfg, nil
}

// redirect follows a redirect, at most ten in a row. What proves who asks, and what was configured for the host, goes to that host alone: the
// standard library keeps such headers for the same name on another port, and those it does not know for any server.
func redirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return errRedirects
	}
	if first := via[0].URL; !sameOrigin(first, req.URL) {
		for name := range via[0].Header {
			if name != "Range" && name != "Accept" && name != "User-Agent" {
				req.Header.Del(name)
			}
		}
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// patientConn is a connection that is given up when nothing comes for a while.
type patientConn struct {
	net.Conn
	clock clock.PassiveClock
	idle  time.Duration
}

// Read reads, waiting idle at most.
func (c *patientConn) Read(b []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(c.clock.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("nothing came for %v: %w", c.idle, err)
	}
	return n, err
}
