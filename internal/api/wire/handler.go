package wire

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/aggregate"
	"github.com/floe-k8s/floe/internal/api/fairness"
	"github.com/floe-k8s/floe/internal/api/history"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/impersonate"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/observe/aside"
	"github.com/floe-k8s/floe/internal/observe/trace"
)

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
	// Proxy reaches pods, services and other ports of nodes; nil: their addresses as they are.
	Proxy http.RoundTripper
	// Dial connects to pods, services and nodes where Proxy is nil; nil: directly.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Snapshot writes a snapshot of the whole store; nil: the API gives none.
	Snapshot func(ctx context.Context, w io.Writer) error
	// Why says why a pod has the node that it has, or none, as a value for JSON; nil: nobody knows. Its errors are the API's.
	Why func(ctx context.Context, namespace, pod string) (any, error)
	// Serves says of a kind of API whether it is served at all; nil: all are.
	Serves  func(schema.GroupVersionResource) bool
	Metrics *Metrics            // nil: nothing is counted
	Gather  prometheus.Gatherer // what /metrics tells; nil: it is not served
	// Rand spreads the ends of watches, so that clients do not all come back at once. The handler alone uses it.
	Rand *rand.Rand
	// Deadlines times how long clients may take nothing; nil: the machine's clock, by which connections have their deadlines too.
	Deadlines clock.WithDelayedExecution
	Limits    Limits
	// Fairness lets requests in; nil: Limits.Reading and Limits.Changing bound those in flight (--enable-priority-and-fairness).
	Fairness *fairness.Controller
	// Tracing tells where the time of requests goes; nil: nobody asks.
	Tracing *trace.Provider
	// Hooks name what is done once after the API has begun to answer, by upstream's names without "poststarthook/" and in upstream's order. The health
	// pages fail until Done was called for each, or SetReady; nil: all of upstream's.
	Hooks []string
	// CBORServingAndStorage is the feature gate of that name: application/cbor is spoken.
	CBORServingAndStorage bool
	// OldImpersonation says that the feature gate ConstrainedImpersonation is off.
	OldImpersonation bool
	// Profiling serves /debug/pprof and /debug/flags to those who may get these paths (--profiling).
	Profiling bool
	// SetVerbosity changes how much is logged, as --v does; nil: it cannot be changed.
	SetVerbosity func(level int)
	// Flags are the program's, with their values, for /flagz; nil: it is not served.
	Flags func() map[string]string
	// Statusz serves /statusz, which tells of the program.
	Statusz bool
	// Edge is what is done to every request.
	Edge Edge
	// ExternalAddress is the host and port that discovery names; "": what the client has asked (--external-hostname).
	ExternalAddress string
	// MaxBytesPerSec bounds what each upgraded connection through the API carries; 0: nothing does (--max-connection-bytes-per-sec).
	MaxBytesPerSec int64
	// Documents are further pages, for those who may get their paths.
	Documents []Document
	// Checks are further checks of /healthz and /livez and, as upstream, /readyz.
	Checks []Check
	// Aggregate leads to those who answer for groups and versions that this server does not; nil: nobody does.
	Aggregate *aggregate.Proxy
	// LiveGrace is how long after New /livez takes Hooks for done that are not yet (--livez-grace-period).
	LiveGrace time.Duration
}

// Build says from what a program was made; what is not known is "".
type Build struct {
	Commit string // of its sources
	Date   string // RFC 3339
}

// Handler answers all paths of the API. It is safe for concurrent use.
type Handler struct {
	Config
	hooks             []*hook
	checked           *checkMetrics
	reading, changing chan struct{} // a place for each call in flight; nil: no bound
	connections       *connections
	departing         *departing
	closing           context.Context
	stop              context.CancelFunc // ends watches and what follows
	view              atomic.Pointer[view]
	impersonator      *impersonate.Impersonator
	traced            http.Handler // nil without Tracing
	speaks            languages
	pools             pools
	began             time.Time  // of this program's documents, which never change
	randMu            sync.Mutex // guards Config.Rand
	rounds            rounds
	pieces            sync.Pool // of *[]byte, for outlets
}

// spread returns a random time below most.
func (h *Handler) spread(most time.Duration) time.Duration {
	h.randMu.Lock()
	defer h.randMu.Unlock()
	return time.Duration(h.Rand.Int63n(int64(most)))
}

// New returns a handler that says it is not ready yet.
func New(cfg Config) *Handler {
	cfg.Limits = cfg.Limits.complete()
	if cfg.Hooks == nil {
		cfg.Hooks = startHooks[:]
	}
	if cfg.Deadlines == nil {
		cfg.Deadlines = clock.RealClock{}
	}
	if cfg.Serves == nil {
		cfg.Serves = func(schema.GroupVersionResource) bool { return true }
	}
	h := &Handler{Config: cfg, began: cfg.Clock.Now(), reading: places(cfg.Limits.Reading), changing: places(cfg.Limits.Changing)}
	h.connections, h.departing, h.checked = newConnections(cfg.Dial), newDeparting(), newCheckMetrics(h.began)
	h.impersonator = impersonate.New(impersonate.Config{
		Authorizer: func(ctx context.Context, user auth.User, attrs auth.Attributes) (auth.Decision, string, error) {
			return h.API.Authorizer(ctx, user, attrs)
		},
		Clock: cfg.Clock, Constrained: !cfg.OldImpersonation, Metrics: cfg.Metrics.impersonations(),
	})
	h.traced = h.trace()
	h.closing, h.stop = context.WithCancel(context.Background())
	for _, name := range cfg.Hooks {
		h.hooks = append(h.hooks, &hook{name: name})
	}
	h.speaks = spoken
	if cfg.CBORServingAndStorage {
		h.speaks = append(slices.Clip(spoken), mediaCBOR)
	}
	cfg.Metrics.tellBuild(h.version())
	return h
}

// places has room for n calls; nil bounds nothing.
func places(n int) chan struct{} {
	if n == 0 {
		return nil
	}
	return make(chan struct{}, n)
}

// call is one request past authentication.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	user auth.User
	path target
	// speaks are the server's languages.
	speaks languages
	pools  *pools      // nil: nothing is kept
	kind   *kinds.Kind // nil when the path is no resource that is served
	codec  *codec      // the kind's
	view   *view       // what is served, throughout the call

	metrics  *Metrics // nil: nothing is counted
	ticket   fairness.Ticket
	warned   warnings
	answered recorder // w
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	growStack(r)
	defer h.recover(w, r)
	w.Header()["Audit-Id"] = []string{auditID(r)}
	v := visit{path: parse(r)}
	if h.API.Audit != nil {
		v.came = h.Clock.Now()
	}
	if v.path.outside = h.outside(r); v.path.outside != nil {
		v.path.upgrades = httpstream.IsUpgradeRequest(r)
	}
	counted, ok := h.admitted(w, r, &v.path)
	if !ok {
		return
	}
	if counted {
		defer h.departing.leave()
	}
	h.mark(w, r)
	if !v.path.long() {
		wished, err := false, error(nil)
		if v.timeout, wished, err = h.timeout(r); err != nil {
			h.speaks.refuse(w, r, err)
			return
		}
		if wished {
			h.hurry(w, v.timeout)
		}
	}
	if h.crossOrigin(w, r) {
		return
	}
	if h.Tracing != nil {
		h.serveTraced(w, r, &v)
	} else if h.authenticate(w, r, &v) {
		h.serve(w, r, &v)
	}
}

// visit is what is known of a request when its sender is.
type visit struct {
	path    target
	sender  auth.User
	timeout time.Duration // how long it may take that is not long
	came    time.Time     // when nothing is recorded, zero
	known   time.Duration // after it came its sender was; when nothing is recorded, zero
}

// authenticate notes who sent the request; false: it was refused.
func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request, v *visit) bool {
	user, ok, err := h.Authenticator(r)
	if err != nil || !ok {
		if err != nil {
			h.Log.Info("a credential was refused", "remote", r.RemoteAddr, "err", err)
		}
		h.unknown(w, r, v)
		h.speaks.refuse(w, r, apierrors.NewUnauthorized("Unauthorized"))
		return false
	}
	v.sender = user
	if h.API.Audit != nil {
		v.known = h.Clock.Since(v.came)
	}
	return true
}

// serve answers a user.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, v *visit) {
	c := &call{r: r, user: v.sender, path: v.path, speaks: h.speaks, pools: &h.pools, view: h.seen(), metrics: h.Metrics, answered: recorder{ResponseWriter: w}}
	c.w = &c.answered
	end, ok := h.record(c, v)
	if !ok {
		return
	}
	if end != nil {
		defer end()
	}
	if said := c.user.Remarks; said != nil {
		for _, text := range said.Warnings {
			c.warn(text)
		}
	}
	if !h.impersonate(c) {
		return
	}
	if h.Serves(c.path.resource) {
		c.kind = c.view.catalog.Find(c.path.resource)
		c.codec = c.view.codecs[c.kind]
	}
	if !c.path.long() {
		ctx, cancel := context.WithTimeout(c.r.Context(), v.timeout) // what it waits for its turn is part of its time
		defer cancel()
		if h.Fairness != nil {
			ctx = aside.With(ctx, &c.ticket)
		}
		c.r = c.r.WithContext(ctx)
	}
	release, retryAfter := h.admit(c, v.timeout)
	if release == nil {
		h.Metrics.refused(c)
		w.Header().Set("Retry-After", strconv.FormatInt(retryAfter, 10))
		http.Error(c.w, "Too many requests, please try again later.", http.StatusTooManyRequests)
		return
	}
	defer release()
	counting := h.Metrics.begin(c, h.Clock.Now)
	defer counting.end()
	if c.path.long() {
		c.answered.guard = h.guard(w)
		defer c.answered.guard.close()
		h.dispatch(c)
		return
	}
	if r.Body != http.NoBody && c.path.outside == nil {
		c.r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	h.dispatch(c)
}

// auditID is what names the call in logs: by the client's choice, or new.
func auditID(r *http.Request) string {
	if id := r.Header.Get("Audit-Id"); id != "" {
		return id
	}
	return uuid.NewString()
}

func (h *Handler) dispatch(c *call) {
	switch {
	case c.path.outside != nil:
		h.serveOutside(c)
	case c.path.resource.Resource == "":
		h.servePath(c)
	case c.kind == nil && !c.view.discovery.serves(c.path.resource.Group):
		h.unserved(c, c.notFound)
	case c.kind == nil:
		h.unserved(c, c.noResource)
	default:
		h.serveResource(c)
	}
}

// unserved refuses what there is not, but tells nobody more than they may know.
func (h *Handler) unserved(c *call, refuse func()) {
	if h.may(c, c.path.attributes()) {
		refuse()
	}
}

// allowed asks for the right to the call's verb on its resource, and refuses the call when there is none.
func (h *Handler) allowed(c *call) bool {
	return h.may(c, c.request().Attributes(c.path.verb))
}

// may says whether the call's user may do what attrs want; who may not is told.
func (h *Handler) may(c *call, attrs auth.Attributes) bool {
	err := h.API.Allow(c.r.Context(), c.user, attrs)
	if err != nil {
		c.fail(err)
	}
	return err == nil
}

// servePath serves what is no resource: health, version, discovery, OpenAPI.
func (h *Handler) servePath(c *call) {
	if c.path.joint && c.r.Method == http.MethodGet {
		h.serveJoint(c) // it asks for the rights to each collection
		return
	}
	if c.r.URL.Path == WhyPath && h.Why != nil && c.r.Method == http.MethodGet {
		h.serveWhy(c) // it asks for the right to get the pod
		return
	}
	if !h.may(c, auth.Attributes{Verb: strings.ToLower(c.r.Method), Path: c.r.URL.Path}) {
		return
	}
	if name, is := strings.CutPrefix(c.r.URL.Path, fairness.DumpPath); is && h.Fairness != nil {
		h.serveQueues(c, name)
		return
	}
	if h.Profiling && strings.HasPrefix(c.r.URL.Path, debugPath) {
		h.serveDebug(c)
		return
	}
	if page := h.zpage(c); page != nil {
		h.serveZpage(c, page)
		return
	}
	path := strings.TrimSuffix(c.r.URL.Path, "/")
	reads := c.r.Method == http.MethodGet || c.r.Method == http.MethodHead
	switch {
	case path == "/version", strings.HasPrefix(path, "/version/"):
		h.serveVersion(c, path)
	case h.document(path) != nil:
		h.document(path).serve(c, path)
	case isHealth(c.r.URL.Path):
		h.serveHealth(c, c.r.URL.Path)
	case path == "/metrics" && h.Gather != nil:
		promhttp.HandlerFor(h.Gather, promhttp.HandlerOpts{}).ServeHTTP(c.w, c.r)
	case path == slisPath && h.Gather != nil:
		h.checked.page.ServeHTTP(c.w, c.r)
	case !reads && (path == history.Path || path == SnapshotPath):
		c.methodNotAllowed()
	case path == history.Path:
		h.serveHistory(c)
	case path == SnapshotPath:
		h.serveSnapshot(c)
	case c.r.URL.Path == "/":
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
		h.speaks.refuse(w, r, apierrors.NewInternalError(fmt.Errorf("panic serving %s %s", r.Method, r.URL.Path)))
	}
}
