package wire

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	maxHeader  = 1 << 20          // bytes of a request's line and header together, as upstream
	headerTime = 32 * time.Second // to send a request's header, as upstream
	idleTime   = 90 * time.Second
	drainTime  = 5 * time.Second // calls in flight have this long to end after a stop, unless Limits say otherwise
	streamRoom = 256 << 10       // bytes of one call's body that are taken in before its handler asks for them, as upstream
	connRoom   = 4 * streamRoom  // and of all calls of a connection
)

// Serve answers on the listener until ctx ends; then it refuses new calls, ends watches, and lets others finish for a
// bounded time. It closes the listener.
func (h *Handler) Serve(ctx context.Context, listener net.Listener, config *tls.Config) error {
	server := &http.Server{
		Handler: h, TLSConfig: config, MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime,
		ReadTimeout: h.Limits.Call, WriteTimeout: h.Limits.Call + h.Limits.Last, // long calls take them away, see guard
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: h.Limits.Streams, MaxReadFrameSize: streamRoom,
			MaxReceiveBufferPerStream: streamRoom, MaxReceiveBufferPerConnection: connRoom,
		},
		ErrorLog: stdlog.New(logWriter{h.Log, h.Metrics}, "", 0),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(listener, "", "") }()
	select {
	case err := <-ended:
		h.stop()
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	h.stop()
	limit := cmp.Or(h.Limits.Drain, drainTime)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		h.Log.Info("calls in flight were cut off", "after", limit)
		err = server.Close()
	}
	h.connections.open.Wait() // the stop has closed what they hold
	h.connections.direct.CloseIdleConnections()
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// maxRefusal is how much of a node's refusal is told, in bytes.
const maxRefusal = 50_000

// nodeRefusal turns a node's answer other than success, which is plain text, into the Status that upstream makes of it.
func (c *call) nodeRefusal(resp *http.Response) error {
	if resp.StatusCode >= http.StatusOK && resp.StatusCode <= http.StatusPartialContent {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	resp.Body.Close()
	if err != nil {
		return err
	}
	said := strings.TrimSuffix(string(text), "\n")
	switch resp.StatusCode {
	case http.StatusInternalServerError:
		return apierrors.NewInternalError(errors.New(said))
	case http.StatusBadRequest:
		return apierrors.NewBadRequest(said)
	}
	return apierrors.NewGenericServerResponse(resp.StatusCode, "", c.path.resource.GroupResource(), c.path.name, said, 0, false)
}

// logWriter takes net/http's complaints about clients, which are nobody's fault here.
type logWriter struct {
	log     *slog.Logger
	metrics *Metrics // nil: nothing is counted
}

func (l logWriter) Write(p []byte) (int, error) {
	if l.metrics != nil && bytes.Contains(p, []byte("TLS handshake error from")) {
		l.metrics.handshakes.Inc()
	}
	l.log.Debug("http", "says", string(p))
	return len(p), nil
}

// reach says how to speak to a node. One that is not there is told as upstream does, in the name of the resource that was asked for.
func (h *Handler) reach(c *call, name string) (*url.URL, http.RoundTripper, error) {
	nodes := h.API.Kind(corev1.SchemeGroupVersion.WithResource("nodes"))
	if nodes != nil && h.API.Store.Snapshot().Get(nodes.Prefix()+name) == nil {
		return nil, nil, apierrors.NewNotFound(c.path.resource.GroupResource(), name)
	}
	if h.Node == nil {
		return nil, nil, apierrors.NewServiceUnavailable("nothing here reaches nodes")
	}
	target, transport, err := h.Node(c.r.Context(), name)
	if err != nil {
		err = apierrors.NewInternalError(err)
	}
	return target, transport, err
}

// serveNode hands the call to the node that runs the object, and its answer back.
func (h *Handler) serveNode(c *call, part *kinds.Subresource) {
	obj, err := h.API.Parent(c.r.Context(), c.request(), c.path.verb)
	if err != nil {
		c.fail(err)
		return
	}
	name, path, query, err := part.Node(obj, c.r.URL.Query())
	switch {
	case err != nil:
		c.fail(err)
		return
	case name == "":
		c.w.WriteHeader(http.StatusNoContent)
		return
	}
	target, transport, err := h.reach(c, name)
	if err != nil {
		c.fail(err)
		return
	}
	c.ticket.Pause() // the node works
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	defer context.AfterFunc(h.closing, cancel)()
	proxy := httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1, ErrorLog: stdlog.New(logWriter{h.Log, nil}, "", 0),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = target.Scheme, target.Host, target.Host
			p.Out.URL.Path, p.Out.URL.RawPath, p.Out.URL.RawQuery = path, "", query.Encode()
			p.Out.Header.Del("Authorization")
			p.Out.Header.Del("Accept-Encoding")
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			var refused apierrors.APIStatus
			if !errors.As(err, &refused) {
				err = apierrors.NewInternalError(fmt.Errorf("node %s: %w", name, err))
			}
			c.fail(err)
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Del("Cache-Control")
			return c.nodeRefusal(resp)
		},
	}
	proxy.ServeHTTP(c.w, c.r.WithContext(ctx))
}
