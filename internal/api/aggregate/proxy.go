package aggregate

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/proxy"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds/apiregistration"
	"github.com/floe-k8s/floe/internal/observe/trace"
)

// Config is what a Proxy is made from. Services and Resolve are needed; all must be safe for concurrent use.
type Config struct {
	// Services returns the newest state of an API service, shared and immutable; nil: there is none.
	Services func(name string) *apiregistrationv1.APIService
	// Resolve says where a port of a service is now.
	Resolve func(namespace, name string, port int32) (*url.URL, error)
	// Certificate is the identity, asked for at each request: the same pointer as long as it is the same. nil: none is shown.
	Certificate func() (*tls.Certificate, error)
	// Dial connects to servers; nil: directly.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// ForwardRedirects lets clients see where a server sends them; else such an answer is refused (--aggregator-reject-forwarding-redirect).
	ForwardRedirects bool
}

// Proxy leads requests on. It is safe for concurrent use.
type Proxy struct {
	Config
	added atomic.Pointer[Added]
	mu    sync.Mutex
	known map[string]*connection // by API service; guarded by mu

	reading sync.Mutex // held while a document is taken apart, and no other lock meanwhile
}

// New returns a proxy that has no connections.
func New(cfg Config) *Proxy {
	p := &Proxy{Config: cfg, known: map[string]*connection{}}
	p.added.Store(&Added{})
	return p
}

// Find returns the API service by which somebody else answers for a group and version, shared and immutable; nil: nobody does.
func (p *Proxy) Find(gv schema.GroupVersion) *apiregistrationv1.APIService {
	svc := p.Services(apiregistration.Name(gv.Group, gv.Version))
	if svc == nil || svc.Spec.Service == nil {
		return nil
	}
	return svc
}

// Plain says whether a path means the same to everyone: it has no segments that are empty, but for one at its end, nor . and ..
func Plain(path string) bool {
	path = strings.TrimSuffix(path, "/")
	return !slices.ContainsFunc(strings.Split(strings.TrimPrefix(path, "/"), "/"), func(s string) bool { return s == "" || s == "." || s == ".." })
}

// Serve answers r, which user may make and whose path is Plain, with what the server of svc says. It returns when the answer is over, or the connection
// that it became. r is not changed. Errors are plain text, as upstream's.
func (p *Proxy) Serve(w http.ResponseWriter, r *http.Request, user auth.User, svc *apiregistrationv1.APIService) {
	if !available(svc) {
		http.Error(w, unavailable, http.StatusServiceUnavailable)
		return
	}
	transport, err := p.transport(svc)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	at, err := p.resolve(svc)
	if err != nil {
		http.Error(w, unavailable, http.StatusServiceUnavailable)
		return
	}
	ctx := r.Context()
	if discovers(r.URL.Path) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, discoveryTime)
		defer cancel()
	}
	at.Path, at.RawQuery = r.URL.Path, r.URL.Query().Encode()
	next := r.WithContext(ctx)
	next.Header, next.URL, next.Host = r.Header.Clone(), at, at.Host
	next.Header.Del("Authorization") // it is for this server only
	upgrade := httpstream.IsUpgradeRequest(r)
	if upgrade { // which bypasses the round tripper
		identify(next.Header, user)
		next.Header.Set("Connection", "Upgrade") // and nothing that the next hop would take away
	}
	handler := proxy.NewUpgradeAwareHandler(at, &identified{trace.Transport(transport), user}, true, upgrade, plainly{})
	handler.RejectForwardingRedirects = !p.ForwardRedirects
	handler.FlushInterval = -1 // what comes goes on at once
	handler.ServeHTTP(w, next)
}

const unavailable = "service unavailable"

// available says whether the server is known to answer.
func available(svc *apiregistrationv1.APIService) bool {
	return slices.ContainsFunc(svc.Status.Conditions, func(c apiregistrationv1.APIServiceCondition) bool {
		return c.Type == apiregistrationv1.Available && c.Status == apiregistrationv1.ConditionTrue
	})
}

// resolve says where the server of svc is. The address is the caller's own.
func (p *Proxy) resolve(svc *apiregistrationv1.APIService) (*url.URL, error) {
	found, err := p.Resolve(svc.Spec.Service.Namespace, svc.Spec.Service.Name, port(svc))
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "https", Host: found.Host}, nil
}

func port(svc *apiregistrationv1.APIService) int32 {
	if svc.Spec.Service.Port == nil {
		return 443
	}
	return *svc.Spec.Service.Port
}

// discovers says whether a path asks what a group and version has, which everybody waits for who looks at the whole API.
func discovers(path string) bool { return len(strings.Split(strings.Trim(path, "/"), "/")) == 3 }

// plainly tells a client why there is no answer.
type plainly struct{}

var _ proxy.ErrorResponder = plainly{}

// Error implements proxy.ErrorResponder.
func (plainly) Error(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}
