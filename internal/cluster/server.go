package cluster

import (
	"context"
	"errors"
	"log/slog"
	"math/rand"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/policy"
	"github.com/floe-k8s/floe/internal/admission/webhook"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/api/custom"
	"github.com/floe-k8s/floe/internal/api/egress"
	"github.com/floe-k8s/floe/internal/api/fairness"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/oidc"
	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/auth/token/external"
	"github.com/floe-k8s/floe/internal/carry"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/controller/accounttokens"
	"github.com/floe-k8s/floe/internal/controller/bootstrap"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/observe/trace"
	"github.com/floe-k8s/floe/internal/pki"
	"github.com/floe-k8s/floe/internal/runtime"
	"github.com/floe-k8s/floe/internal/scheduler"
	"github.com/floe-k8s/floe/internal/simulate"
	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/encryption"
)

// Environment is what a server gets from the program around it.
type Environment struct {
	Config   Config // complete
	Version  string // floe's own
	Clock    clock.WithTickerAndDelayedExecution
	Log      *slog.Logger
	Programs *carry.Programs
	// SetVerbosity changes how much Log shows, as --v does; nil: it cannot be changed while the server runs.
	SetVerbosity func(n int)
	// Flags are the program's, with their values; nil: nobody is told.
	Flags func() map[string]string
	// SetBlockProfileRate makes the process record where goroutines block, as runtime.SetBlockProfileRate does; nil: it cannot.
	SetBlockProfileRate func(rate int)
	Collector           Collector // the process's garbage collector; the zero value leaves it as it is
	Seed                uint64    // of the random source that breaks ties; 0: taken from the clock
	Files               vfs.FS    // hold the log, unless etcd does; nil: the machine's, synced. See pebble.Memory and pebble.Unsynced
	// Drain is how long calls in flight have to end when the server does. Clients' idle connections take a second of it, since HTTP/2 leaves them time to hear of
	// the end. 0: 5 s.
	Drain time.Duration
	// Ready is told once, when requests are taken and the initial namespaces are there, how the administrator reaches the API; nil: nobody is. The server
	// waits for it.
	Ready func(Administrator)
}

// server is one cluster's parts while they are put together.
type server struct {
	Environment
	kinds       []*kinds.Kind
	dir         *dataDir
	authority   *pki.Authority
	log         store.Log
	store       *store.Store
	api         *api.Server
	door        *wire.Handler
	listener    net.Listener
	nodes       *nodeDoor
	custom      *custom.Keeper              // of what CustomResourceDefinitions define
	begun       chan struct{}               // closed by bootstrap
	leaving     context.Context             // ends when the server is told to end, before its parts do; set before they run
	follow      func(context.Context) error // the authorization file; nil: there is none. Set by openTrust
	running     running
	queues      *engine.Metrics
	controlling *controllerMetrics
	lasting     accounttokens.Issue // makes the tokens of secrets; nil: nobody does. Set by tokens
	seen        *auth.Metrics       // of users
	accounts    *token.Metrics      // of their tokens
	external    *external.Signer    // of tokens; nil: they are signed here. Set by signingElsewhere
	externals   *external.Metrics   // nil with it
	audit       *audit.Trail        // nil: nothing is recorded
	audited     *audit.Metrics
	tracing     *trace.Provider // nil: nothing is traced
	traced      *trace.Metrics
	fairness    *fairness.Controller // nil: it is switched off
	issuers     *oidc.Metrics
	egress      *egress.Selector // how others are reached
	dialled     *egress.Metrics
	own         *ownCertificates
	admin       Administrator // set by writeKubeconfigs
	others      *oidc.Set     // knows users by tokens of others
	servers     *aggregation  // leads to servers of aggregated APIs; set by openAPI
	endpoints   *endpoints    // of services
	webhooks    *webhook.Metrics
	policies    *policy.Metrics
	admitted    *admission.Metrics
	sealing     *encryption.Keeper // nil: values are stored as they are

	scheduling *scheduler.Metrics
	scheduler  *scheduler.Scheduler // set by components, before requests are taken
	host       string               // this machine's name

	simulation *simulate.Metrics // of nodes that do not exist
	pulls      *runtime.PullMetrics
}

// Run builds a server, runs it until ctx ends, and stops it in order. Containers keep running.
func Run(ctx context.Context, env Environment) (err error) {
	if env.Seed == 0 {
		env.Seed = uint64(env.Clock.Now().UnixNano())
	}
	s := &server{Environment: env, kinds: all.KindsFor(env.Config.kinds()), begun: make(chan struct{}), queues: engine.NewMetrics(), seen: auth.NewMetrics(), accounts: token.NewMetrics()}
	s.controlling = newControllerMetrics(s.seenBy)
	s.simulation, s.pulls = simulate.NewMetrics(), runtime.NewPullMetrics()
	s.webhooks, s.policies, s.admitted = webhook.NewMetrics(), policy.NewMetrics(), admission.NewMetrics(s.Clock)
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	s.host, s.scheduling = host, scheduler.NewMetrics()
	s.own = &ownCertificates{clock: env.Clock}
	s.issuers = oidc.NewMetrics(bootstrap.IdentityName(host))
	if err := s.openEgress(); err != nil {
		return err
	}
	if err := s.openTracing(bootstrap.IdentityName(host)); err != nil {
		return err
	}
	if s.dir, err = openDataDir(env.Config.DataDir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.dir.close()) }()
	if s.authority, err = pki.Open(s.dir.join("pki"), env.Clock); err != nil {
		return err
	}
	if s.sealing, err = env.openSealing(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSealing(s.sealing)) }()
	if s.log, err = env.openLog(s.dir.join(logFolder), 0, codecOf(s.sealing), s.egress); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.log.Close()) }()
	defer func() { err = errors.Join(err, s.closeExternal()) }()
	if err := s.openAPI(ctx); err != nil {
		return err
	}
	parts, err := s.parts()
	if err != nil {
		return errors.Join(err, s.listener.Close())
	}
	leaving, gone, stop := s.departure(ctx)
	defer stop()
	s.leaving = leaving
	return runSequence(gone, env.Clock, env.Log, parts)
}

// openAPI reads the store and puts together what serves it. Nothing runs yet.
func (s *server) openAPI(ctx context.Context) (err error) {
	s.store, err = store.Open(ctx, s.log, store.Config{Collections: api.Collections(slices.Concat(s.kinds, all.Kept())), Clock: s.Clock})
	if err != nil {
		return err
	}
	s.endpoints = &endpoints{newest: api.NewObjects(s.store, s.kinds)}
	if s.servers, err = s.aggregating(); err != nil {
		return err
	}
	if s.nodes, err = newNodeDoor(s.authority, s.renewer); err != nil {
		return err
	}
	served, err := s.Config.API.of(s.kinds)
	if err != nil {
		return err
	}
	trust, err := s.openTrust(ctx)
	if err != nil {
		return err
	}
	if err := s.openAudit(); err != nil {
		return err
	}
	s.api = api.New(api.Config{
		Store: s.store, Kinds: s.kinds, Kept: all.Kept(), Authorizer: trust.may.Authorize, Rules: trust.may.Rules,
		Answers: s.answers(trust.may.Authorize, trust.may.Rules, trust.users), Tokens: trust.tokens.Tokens,
		Clock: s.Clock, Log: s.Log.With("component", "api"), Plugins: plugins(s.pluginNeeds(trust.may.Authorize, served.admit)), NoAdmission: served.off, AdmissionMetrics: s.admitted,
		Audit: s.audit, Count: s.count,
	})
	s.custom = custom.New(custom.Config{
		API: s.api, User: auth.User{Name: apiServer, Groups: []string{auth.Masters, auth.Authenticated}}, Clock: s.Clock,
		Log: s.Log.With("component", "definitions"), Webhooks: s.webhookMeans(),
	})
	if err := s.custom.Load(); err != nil {
		return err
	}
	return s.openDoor(ctx, served, trust)
}

// parts lists what runs, in the order in which it starts.
func (s *server) parts() ([]part, error) {
	tlsConfig, err := s.servingTLS()
	if err != nil {
		return nil, err
	}
	ways, err := s.writeKubeconfigs()
	if err != nil {
		return nil, err
	}
	list := []part{
		{"tracing", s.sendTraces},
		{"table", s.store.Run},
		{"definitions", s.custom.Run},
		{"audit", s.recordAudit},
		{"fairness", s.runFairness},
		{"encryption", s.keepSealing},
		{"api", func(ctx context.Context) error { return s.door.Serve(ctx, s.listener, tlsConfig) }},
		{"bootstrap", s.bootstrap},
		{"expiry", s.expire},
		s.afterBootstrap(part{"aggregated discovery", s.discover}),
		{"issuers", s.others.Run},
		{"collector", s.tuneCollector},
		{"kubeconfig files", s.keepKubeconfigs(ways)},
	}
	if s.external != nil {
		list = append(list, part{"token keys", s.external.Run})
	}
	if s.follow != nil {
		list = append(list, part{"authorization file", s.follow})
	}
	if s.Config.API.DebugSocketPath != "" {
		list = append(list, part{"debug socket", s.debugSocket})
	}
	components, err := s.components()
	if err != nil {
		return nil, err
	}
	for _, p := range components {
		list = append(list, s.afterBootstrap(p))
	}
	return list, nil
}

// client is the in-process way to the API for a component, as the user that upstream runs it as.
func (s *server) client(user string, groups ...string) client.Client {
	return inprocess.New(s.api, auth.User{Name: user, Groups: append(groups, auth.Authenticated)})
}

func (s *server) random(stream uint64) *rand.Rand {
	return rand.New(rand.NewSource(int64(s.Seed ^ stream<<32)))
}

// addresses are the host's addresses that the API answers on, loopback last.
func (s *server) addresses() ([]netip.Addr, error) {
	bind, err := netip.ParseAddr(s.Config.BindAddress)
	if err != nil {
		return nil, err
	}
	if !bind.IsUnspecified() {
		return []netip.Addr{bind}, nil
	}
	return hostAddresses()
}
