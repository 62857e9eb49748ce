package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/api/managed"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/observe/trace"
	"github.com/floe-k8s/floe/internal/store"
)

// Config is what a Server is made from. All fields but Random and Tokens are needed.
type Config struct {
	Store *store.Store
	// Kinds are those that are always served; Extend adds others while the server runs.
	Kinds []*kinds.Kind
	// Kept are kinds that are served to nobody: kube-apiserver keeps such objects beside the others, and claims read and write them.
	Kept       []*kinds.Kind
	Authorizer auth.Authorizer
	Rules      auth.Resolver // of the same policy as Authorizer
	Clock      clock.WithDelayedExecution
	Log        *slog.Logger
	Random     io.Reader // of names and UIDs, safe for concurrent use; nil: the system's
	// Plugins are the admission plug-ins besides those of the kinds, in any order.
	Plugins []admission.Plugin
	// NoAdmission names the admission plug-ins, as upstream calls them, that are switched off.
	NoAdmission []string
	// AdmissionMetrics are told how long plug-ins take; nil: nobody is.
	AdmissionMetrics *admission.Metrics
	// Tokens are those of service accounts; without Issue nobody gets one.
	Tokens kinds.Tokens
	// Audit records requests; nil: nothing is recorded. Those who call the verbs begin and end the records.
	Audit *audit.Trail
	// Count counts a request that comes in process in the metrics of priority and fairness, until what it returns is called; nil: nobody counts.
	Count func(user auth.User, attributes auth.Attributes) (end func())
	// Answers serve the kinds of which nothing is stored, but v1 Binding, which the Server answers itself.
	Answers Answers
}

// Server answers requests for all kinds. It is safe for concurrent use, and runs nothing by itself.
type Server struct {
	Config
	catalogs *kinds.Catalogs
	kept     map[schema.GroupVersionResource]*kinds.Kind
	fields   *managed.Tracker
	pages    pages
	chain    admission.Chain // of Config.Plugins that are on
	// extending orders calls of Extend, whose kinds are added. The store's own lock and the catalogs' are taken under it.
	extending sync.Mutex
	added     []*kinds.Kind
	// answers are Config.Answers and the Server's own.
	answers Answers
}

// New returns a server over cfg.Store, which must have the collections that Collections names.
func New(cfg Config) *Server {
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	s := &Server{
		Config: cfg, catalogs: kinds.NewCatalogs(cfg.Kinds), kept: byResource(cfg.Kept), pages: pages{clock: cfg.Clock}, fields: managed.NewTracker(),
		chain: admission.NewChain(cfg.Plugins, cfg.NoAdmission, cfg.AdmissionMetrics),
	}
	s.answers = Answers{corev1.SchemeGroupVersion.WithResource("bindings"): s.bindings()}
	maps.Copy(s.answers, cfg.Answers)
	return s
}

func byResource(list []*kinds.Kind) map[schema.GroupVersionResource]*kinds.Kind {
	out := map[schema.GroupVersionResource]*kinds.Kind{}
	for _, k := range list {
		out[k.GVR()] = k
	}
	return out
}

// known is Kind for those too that are kept only.
func (s *Server) known(res schema.GroupVersionResource) *kinds.Kind {
	if k := s.Kind(res); k != nil {
		return k
	}
	return s.kept[res]
}

// Kind returns the kind that is served as res; nil when there is none.
func (s *Server) Kind(res schema.GroupVersionResource) *kinds.Kind { return s.Catalog().Find(res) }

// Catalog is what is served now.
func (s *Server) Catalog() *kinds.Catalog { return s.catalogs.Now() }

// Request is a user's wish past authentication.
type Request struct {
	User        auth.User
	Kind        *kinds.Kind
	Namespace   string // "" for kinds without one, and for reads of all
	Name        string // "" for collections
	Subresource string
	Cause       string // kept in the log; honoured from floe's own identities only
	Manager     string // who owns the fields that are written, when the options do not say
	// Warn is called with what the kind and admission plug-ins tell the user beside the answer, refusals included, in the goroutine of the request. nil: nobody listens.
	Warn func(text string)
	verb string // what is done, where a kind asks for it
	said said
	// admitted: plug-ins have been asked about the request already, in another form.
	admitted bool
	together bool // the object is deleted with its collection
	// tracked: the object that is written says already who owns which field.
	tracked bool
}

// resource is the request's resource as error messages name it.
func (r Request) resource() schema.GroupResource { return r.Kind.GVR().GroupResource() }

// BodyGVK is the type of the object that the request sends and gets.
func (r Request) BodyGVK() schema.GroupVersionKind {
	for i := range r.Kind.Subresources {
		if part := &r.Kind.Subresources[i]; part.Name == r.Subresource && part.New != nil {
			return part.GVK
		}
	}
	return r.Kind.GVK
}

// key is where the request's object stands in the store.
func (r Request) key() string { return keyOf(r.Kind, r.Namespace, r.Name) }

func keyOf(k *kinds.Kind, namespace, name string) string {
	if k.Namespaced {
		return k.Prefix() + namespace + "/" + name
	}
	return k.Prefix() + name
}

// prefix is where the objects of the request's collection stand.
func (r Request) prefix() string {
	if r.Kind.Namespaced && r.Namespace != "" {
		return r.Kind.Prefix() + r.Namespace + "/"
	}
	return r.Kind.Prefix()
}

// Attributes are what the request wants, as authorization sees it.
func (r Request) Attributes(verb string) auth.Attributes {
	namespace := r.Namespace
	if r.Kind.Resource == "namespaces" && r.Kind.GVK.Group == "" {
		namespace = r.Name // roles in a namespace are about the namespace, too
	}
	return auth.Attributes{
		Verb: verb, Group: r.Kind.GVK.Group, Version: r.Kind.GVK.Version, Resource: r.Kind.Resource, Subresource: r.Subresource,
		Namespace: namespace, Name: r.Name,
	}
}

// selecting are the attributes of a call on many objects, which selects some of them. A selector of one name is the name itself, but for deletions.
func (r Request) selecting(verb, byFields, byLabels string) auth.Attributes {
	attrs := r.Attributes(verb)
	attrs.Select(byFields, byLabels)
	return attrs
}

func (s *Server) authorize(ctx context.Context, req Request, verb string) error {
	return s.Allow(ctx, req.User, req.Attributes(verb))
}

// Allow says why user must not do what attrs want, as an API status error; nil: they may.
func (s *Server) Allow(ctx context.Context, user auth.User, attrs auth.Attributes) error {
	record := audit.From(ctx)
	timed := record.Timed(audit.Authorization)
	within, span := trace.Start(ctx, "authorization")
	decision, reason, err := s.Authorizer(within, user, attrs)
	span.End()
	timed()
	record.Decide(decision == auth.Allow, reason, err)
	switch {
	case decision == auth.Allow:
		return nil
	case err != nil:
		return apierrors.NewInternalError(err)
	}
	return auth.Forbidden(user, attrs, reason)
}

func (s *Server) env(req Request) kinds.Env {
	u := req.User
	return kinds.Env{Now: s.Clock.Now(), User: u.Name, UID: u.UID, Groups: u.Groups, Extra: u.Extra, Pick: s.pick}
}

// pick returns a number from 0 to below n, each as likely.
func (s *Server) pick(n int) int {
	i, err := rand.Int(s.Random, big.NewInt(int64(n)))
	if err != nil {
		panic(fmt.Sprintf("the random source failed: %v", err)) // the system's does not
	}
	return int(i.Int64())
}

// settle waits until rev is durable, so that a refusal never rests on what a crash may take back. It keeps err unless the wait fails.
func (s *Server) settle(ctx context.Context, rev store.Revision, err error) error {
	if failed := s.Store.Wait(ctx, rev); failed != nil {
		return storeError(failed)
	}
	return err
}
