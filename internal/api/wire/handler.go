package wire

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/history"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	maxBody      = 3 << 20 // bytes of one request, as upstream
	callTimeout  = time.Minute
	watchAtLeast = 30 * time.Minute
)

// Limits bound the calls. The zero value bounds their number by nothing and their time by upstream's defaults.
type Limits struct {
	Reading, Changing int           // calls in flight that change nothing, and that change something, watches not counted; 0: no bound
	Call              time.Duration // of a call that is no watch and follows nothing; 0: a minute
	Watch             time.Duration // of a watch without a timeout of the client's: between this and twice as long; 0: half an hour
}

// Config is what a Handler is made from. Node may be nil when nothing runs pods; the rest is needed.
type Config struct {
	API           *api.Server
	Authenticator auth.Authenticator
	Clock         clock.WithDelayedExecution
	Log           *slog.Logger
	GitVersion    string // of the Kubernetes API, "v1.36.3"
	Build         Build  // of this program
	// Node returns how to reach the API of the named node.
	Node func(ctx context.Context, name string) (*url.URL, http.RoundTripper, error)
	// Snapshot writes a snapshot of the whole store; nil: the API gives none.
	Snapshot func(ctx context.Context, w io.Writer) error
	// Serves says of a kind of API whether it is served at all; nil: all are.
	Serves  func(schema.GroupVersionResource) bool
	Limits  Limits
	Metrics *Metrics            // nil: nothing is counted
	Gather  prometheus.Gatherer // what /metrics tells; nil: it is not served
	// Rand spreads the ends of watches, so that clients do not all come back at once. The handler alone uses it.
	Rand *rand.Rand
}

// Build says from what a program was made; what is not known is "".
type Build struct {
	Commit string // of its sources
	Date   string // RFC 3339
}

// Handler answers all paths of the API. It is safe for concurrent use.
type Handler struct {
	Config
	ready             atomic.Bool
	reading, changing chan struct{} // a place for each call in flight; nil: no bound
	closing           context.Context
	stop              context.CancelFunc // ends watches and what follows
	discovery         discovery
	began             time.Time  // of this program's documents, which never change
	randMu            sync.Mutex // guards Config.Rand
}

// spread returns a random time below most.
func (h *Handler) spread(most time.Duration) time.Duration {
	h.randMu.Lock()
	defer h.randMu.Unlock()
	return time.Duration(h.Rand.Int63n(int64(most)))
}

// New returns a handler that says it is not ready yet.
func New(cfg Config) *Handler {
	if cfg.Limits.Call == 0 {
		cfg.Limits.Call = callTimeout
	}
	if cfg.Limits.Watch == 0 {
		cfg.Limits.Watch = watchAtLeast
	}
	if cfg.Serves == nil {
		cfg.Serves = func(schema.GroupVersionResource) bool { return true }
	}
	h := &Handler{Config: cfg, began: cfg.Clock.Now(), reading: places(cfg.Limits.Reading), changing: places(cfg.Limits.Changing)}
	h.closing, h.stop = context.WithCancel(context.Background())
	h.discovery = newDiscovery(slices.DeleteFunc(slices.Clone(cfg.API.Config.Kinds), func(k *kinds.Kind) bool { return !cfg.Serves(k.GVR()) }))
	return h
}

// places has room for n calls; nil bounds nothing.
func places(n int) chan struct{} {
	if n == 0 {
		return nil
	}
	return make(chan struct{}, n)
}

// SetReady lets /readyz succeed.
func (h *Handler) SetReady() { h.ready.Store(true) }

// call is one request past authentication.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	user auth.User
	path target
	kind *kinds.Kind // nil when the path is no resource that is served
	// known says whether a type of objects is known at all.
	known func(schema.GroupVersionKind) bool

	answered recorder // w
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.recover(w, r)
	w.Header().Set("Cache-Control", "no-cache, private")
	user, ok, err := h.Authenticator(r)
	if err != nil || !ok {
		if err != nil {
			h.Log.Info("a credential was refused", "remote", r.RemoteAddr, "err", err)
		}
		refuse(w, r, apierrors.NewUnauthorized("Unauthorized"))
		return
	}
	if name := impersonation(r.Header); name != "" {
		// Never passed over: the call would run with the rights of who sent it, not of whom it names.
		refuse(w, r, apierrors.NewBadRequest("impersonation is not served yet: header "+name))
		return
	}
	c := &call{r: r, user: user, path: parse(r), known: h.discovery.knows, answered: recorder{ResponseWriter: w}}
	c.w = &c.answered
	if h.Serves(c.path.resource) {
		c.kind = h.API.Kind(c.path.resource)
	}
	release, ok := h.admit(c)
	if !ok {
		h.Metrics.refused(c)
		w.Header().Set("Retry-After", "1")
		refuse(w, r, apierrors.NewTooManyRequests("Too many requests, please try again later.", 1))
		return
	}
	defer release()
	defer h.Metrics.begin(c, h.Clock.Now)()
	if !c.path.long() {
		ctx, cancel := context.WithTimeout(r.Context(), c.timeout(h.Limits.Call))
		defer cancel()
		c.r = r.WithContext(ctx)
		c.r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	h.dispatch(c)
}

// impersonation is the first header by which a client asks to act as another user; "" when it does not.
func impersonation(h http.Header) string {
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			return name
		}
	}
	return ""
}

// admit takes a place among the calls in flight, or says that there is none. Watches and what follows a log do not count.
func (h *Handler) admit(c *call) (release func(), ok bool) {
	places := h.reading
	if c.path.changes() {
		places = h.changing
	}
	if c.path.long() || places == nil {
		return func() {}, true
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, true
	default:
		return nil, false
	}
}

// timeout is what the client gives the call, most at most.
func (c *call) timeout(most time.Duration) time.Duration {
	if d, err := time.ParseDuration(c.r.URL.Query().Get("timeout")); err == nil && d > 0 && d < most {
		return d
	}
	return most
}

func (h *Handler) dispatch(c *call) {
	switch {
	case c.path.resource.Resource == "":
		h.servePath(c)
	case c.kind == nil && !h.discovery.serves(c.path.resource.Group):
		h.unserved(c, c.notFound)
	case c.kind == nil:
		h.unserved(c, c.noResource)
	default:
		h.serveResource(c)
	}
}

// unserved refuses what there is not, but tells nobody more than they may know.
func (h *Handler) unserved(c *call, refuse func()) {
	attrs := c.path.attributes()
	if allowed, reason := h.API.Authorizer(c.user, attrs); !allowed {
		c.fail(api.Forbidden(c.user, attrs, reason))
		return
	}
	refuse()
}

// servePath serves what is no resource: health, version, discovery, OpenAPI.
func (h *Handler) servePath(c *call) {
	if c.path.joint && c.r.Method == http.MethodGet {
		h.serveJoint(c) // it asks for the rights to each collection
		return
	}
	attrs := auth.Attributes{Verb: strings.ToLower(c.r.Method), Path: c.r.URL.Path}
	if allowed, reason := h.API.Authorizer(c.user, attrs); !allowed {
		c.fail(api.Forbidden(c.user, attrs, reason))
		return
	}
	path := strings.TrimSuffix(c.r.URL.Path, "/")
	reads := c.r.Method == http.MethodGet || c.r.Method == http.MethodHead
	switch {
	case path == "/version", strings.HasPrefix(path, "/version/"):
		h.serveVersion(c, path)
	case path == "/healthz", path == "/livez", path == "/readyz", strings.HasPrefix(path, "/healthz/"), strings.HasPrefix(path, "/livez/"), strings.HasPrefix(path, "/readyz/"):
		h.serveHealth(c, path)
	case path == "/metrics" && h.Gather != nil:
		promhttp.HandlerFor(h.Gather, promhttp.HandlerOpts{}).ServeHTTP(c.w, c.r)
	case !reads && (path == history.Path || path == SnapshotPath):
		c.methodNotAllowed()
	case path == history.Path:
		h.serveHistory(c)
	case path == SnapshotPath:
		h.serveSnapshot(c)
	case path == "":
		h.serveRoot(c)
	case strings.HasPrefix(path, "/openapi/"):
		h.serveOpenAPI(c)
	default:
		h.serveDiscovery(c)
	}
}

// recover answers a panic with 500 and logs it; one that ends the connection on purpose goes on.
func (h *Handler) recover(w http.ResponseWriter, r *http.Request) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v)
	default:
		h.Log.Error("a request failed by a broken law", "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		refuse(w, r, apierrors.NewInternalError(fmt.Errorf("panic serving %s %s", r.Method, r.URL.Path)))
	}
}
