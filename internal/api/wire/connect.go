package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/proxy"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/kinds"
)

// This file is calls that become connections with something else: a container, a port, or whatever a proxy leads to. They last as long as both ends want,
// and no longer than the server runs.

const maxConnections = 1000 // at once

// connections are those that are open. It is safe for concurrent use.
type connections struct {
	places chan struct{}
	open   sync.WaitGroup // calls; Handler.Serve waits for them when it has ended what they hold
	direct *http.Transport
}

func newConnections(dial func(ctx context.Context, network, address string) (net.Conn, error)) *connections {
	if dial == nil {
		dial = (&net.Dialer{Timeout: headerTime}).DialContext
	}
	return &connections{places: make(chan struct{}, maxConnections), direct: &http.Transport{
		// What pods and services serve has certificates that nobody here knows, as upstream.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}, //nolint:gosec
		DialContext:     dial, TLSHandshakeTimeout: headerTime, MaxIdleConns: 16, IdleConnTimeout: idleTime,
	}}
}

// place takes room for one connection; ok false: there is none.
func (n *connections) place() (release func(), ok bool) {
	select {
	case n.places <- struct{}{}:
		n.open.Add(1)
		return func() {
			<-n.places
			n.open.Done()
		}, true
	default:
		return nil, false
	}
}

// connects says that the path is about such a connection.
func (t *target) connects() bool {
	if t.resource.Group != "" || t.name == "" {
		return false
	}
	switch t.subresource {
	case "proxy":
		return slices.Contains([]string{"pods", "services", "nodes"}, t.resource.Resource)
	case "exec", "attach", "portforward":
		return t.resource.Resource == "pods"
	}
	return false
}

// serveStream hands the call over to the node that runs the pod, as an upgraded connection.
func (h *Handler) serveStream(c *call, part *kinds.Subresource) {
	obj, err := h.API.Parent(c.r.Context(), c.request(), c.path.verb)
	if err == nil && c.path.verb != "create" { // a WebSocket begins with a GET, and runs a command all the same
		err = h.API.Authorize(c.r.Context(), c.request(), "create")
	}
	if err != nil {
		c.fail(err)
		return
	}
	if !h.mayConnect(c, part) {
		return
	}
	name, path, query, err := part.Node(obj, c.r.URL.Query())
	if err != nil {
		c.fail(err)
		return
	}
	target, transport, err := h.reach(c, name)
	if err != nil {
		c.fail(err)
		return
	}
	to := *target
	to.Path, to.RawQuery = path, query.Encode()
	h.connect(c, &to, transport, true)
}

// serveProxy hands the call over to where the object listens, and rewrites links in its answer so that they lead here.
func (h *Handler) serveProxy(c *call, part *kinds.Subresource) {
	req := c.request()
	if err := h.API.Authorize(c.r.Context(), req, cmpVerb(c.path.verb)); err != nil {
		c.fail(err)
		return
	}
	if !h.mayConnect(c, part) {
		return
	}
	place, err := h.API.Place(req, part)
	if err != nil {
		c.fail(err)
		return
	}
	to, transport := place.URL, h.Proxy
	if transport == nil {
		transport = h.connections.direct
	}
	if place.Node != "" {
		if to, transport, err = h.reach(c, place.Node); err != nil {
			c.fail(err)
			return
		}
	}
	at := url.URL{Scheme: to.Scheme, Host: to.Host, Path: c.below("/proxy")}
	h.connect(c, &at, transport, false)
}

// cmpVerb is the verb of a proxied call for authorization; methods without one have none upstream either.
func cmpVerb(verb string) string {
	if verb == "" {
		return strings.ToLower(http.MethodOptions)
	}
	return verb
}

// below is what of the call's path follows the subresource, its last slash included.
func (c *call) below(part string) string {
	_, rest, _ := strings.Cut(c.r.URL.Path, "/"+c.path.resource.Resource+"/"+c.path.name+part)
	return rest
}

// connect carries the call to its target. upgrade: it must ask for another protocol.
func (h *Handler) connect(c *call, to *url.URL, transport http.RoundTripper, upgrade bool) {
	h.carry(c, func(w http.ResponseWriter, r *http.Request) {
		r.Header = r.Header.Clone()
		r.Header.Del("Authorization") // it is for this server only
		handler := proxy.NewUpgradeAwareHandler(to, transport, !upgrade, upgrade, c)
		handler.FlushInterval = -1 // what comes goes on at once
		handler.MaxBytesPerSec = h.MaxBytesPerSec
		handler.ServeHTTP(w, r)
	})
}

// carry lets a call through until either side, or the server, ends it.
func (h *Handler) carry(c *call, through func(http.ResponseWriter, *http.Request)) {
	release, ok := h.connections.place()
	if !ok {
		c.fail(apierrors.NewTooManyRequests("too many connections are open, please try again later", 1))
		return
	}
	defer release()
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	defer context.AfterFunc(h.closing, cancel)()
	w := &seized{ResponseWriter: c.w, ctx: ctx}
	defer w.end()
	through(w, c.r.WithContext(ctx))
}

var _ proxy.ErrorResponder = (*call)(nil)

// Error answers with what went wrong between here and the target.
func (c *call) Error(_ http.ResponseWriter, _ *http.Request, err error) {
	c.fail(api.Classed(err))
}

// seized is a call's writer whose connection, once it is hijacked, ends with a context.
type seized struct {
	http.ResponseWriter
	ctx  context.Context
	stop func() bool // nil until it is hijacked
}

// Unwrap lets http.ResponseController find what it needs.
func (s *seized) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Flush sends what was written.
func (s *seized) Flush() { _ = http.NewResponseController(s.ResponseWriter).Flush() }

// Hijack implements http.Hijacker.
func (s *seized) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err == nil {
		audit.From(s.ctx).Started(http.StatusSwitchingProtocols)
		s.stop = context.AfterFunc(s.ctx, func() { conn.Close() })
	}
	return conn, buffered, err
}

func (s *seized) end() {
	if s.stop != nil {
		s.stop()
	}
}
