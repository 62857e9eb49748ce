package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/accounttokens"
	"github.com/floe-k8s/floe/internal/controller/apiservice"
	"github.com/floe-k8s/floe/internal/controller/attachdetach"
	"github.com/floe-k8s/floe/internal/controller/bootstraptoken"
	csr "github.com/floe-k8s/floe/internal/controller/certificates"
	"github.com/floe-k8s/floe/internal/controller/clusterroleaggregation"
	"github.com/floe-k8s/floe/internal/controller/cronjob"
	"github.com/floe-k8s/floe/internal/controller/daemonset"
	"github.com/floe-k8s/floe/internal/controller/deployment"
	"github.com/floe-k8s/floe/internal/controller/devicetainteviction"
	"github.com/floe-k8s/floe/internal/controller/disruption"
	older "github.com/floe-k8s/floe/internal/controller/endpoints"
	"github.com/floe-k8s/floe/internal/controller/endpointslice"
	"github.com/floe-k8s/floe/internal/controller/endpointslicemirroring"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/ephemeralvolume"
	"github.com/floe-k8s/floe/internal/controller/garbage"
	"github.com/floe-k8s/floe/internal/controller/job"
	"github.com/floe-k8s/floe/internal/controller/legacytoken"
	"github.com/floe-k8s/floe/internal/controller/namespace"
	"github.com/floe-k8s/floe/internal/controller/nodeipam"
	"github.com/floe-k8s/floe/internal/controller/nodelifecycle"
	"github.com/floe-k8s/floe/internal/controller/nodettl"
	"github.com/floe-k8s/floe/internal/controller/podautoscaler"
	"github.com/floe-k8s/floe/internal/controller/podgc"
	"github.com/floe-k8s/floe/internal/controller/policystatus"
	"github.com/floe-k8s/floe/internal/controller/replicaset"
	"github.com/floe-k8s/floe/internal/controller/replicationcontroller"
	"github.com/floe-k8s/floe/internal/controller/resourceclaim"
	"github.com/floe-k8s/floe/internal/controller/resourcequota"
	"github.com/floe-k8s/floe/internal/controller/rootca"
	"github.com/floe-k8s/floe/internal/controller/serviceaccount"
	"github.com/floe-k8s/floe/internal/controller/servicecidr"
	"github.com/floe-k8s/floe/internal/controller/servicerepair"
	"github.com/floe-k8s/floe/internal/controller/statefulset"
	"github.com/floe-k8s/floe/internal/controller/tainteviction"
	"github.com/floe-k8s/floe/internal/controller/ttlafterfinished"
	"github.com/floe-k8s/floe/internal/controller/volumebinding"
	"github.com/floe-k8s/floe/internal/controller/volumeexpansion"
	"github.com/floe-k8s/floe/internal/controller/volumeprotection"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/node"
	"github.com/floe-k8s/floe/internal/pki"
	"github.com/floe-k8s/floe/internal/runtime"
	"github.com/floe-k8s/floe/internal/runtime/image"
)

// Streams of the random source, one for each component that draws from it.
const (
	randomAPI uint64 = iota + 1
	randomEngine
	randomScheduler
	randomNode
	randomInstance
	randomAudit
)

// reviewLasts is how long a controller waits for a review, which webhooks may take part in.
const reviewLasts = 30 * time.Second

// components are the parts that use the API: controllers, scheduler, node.
func (s *server) components() ([]part, error) {
	controllers, err := s.controllers()
	if err != nil {
		return nil, err
	}
	if s.scheduler, err = s.newScheduler(); err != nil {
		return nil, err
	}
	list := []part{marked(&s.running.controllers, part{"controllers", controllers.Run}), {"node port repair", s.nodePorts().Run}}
	if !s.Config.Scheduler.Disabled {
		list = append(list, marked(&s.running.scheduler, part{"scheduler", s.scheduler.Run}))
	}
	if s.Config.Simulation.wanted() {
		simulated, err := s.simulated()
		if err != nil {
			return nil, err
		}
		list = append(list, simulated)
	}
	if s.Config.Node.Disabled {
		return list, nil
	}
	own, err := s.nodeParts()
	return append(list, own...), err
}

// controllers registers every controller with the engine.
func (s *server) controllers() (*engine.Engine, error) {
	e := engine.New(engine.Config{
		Clock: s.Clock, Log: s.Log.With("component", "controllers"), Rand: s.random(randomEngine), Catalog: s.catalog, Metrics: s.queues,
		Clients: func(user string) client.Client {
			if user == apiServer {
				return s.client(user, auth.Masters)
			}
			if !strings.HasPrefix(user, "system:serviceaccount:") {
				return s.client(user)
			}
			return s.client(user, "system:serviceaccounts", "system:serviceaccounts:kube-system")
		},
	})
	ranges, err := s.Config.Controllers.ranges(&s.Config.Network)
	if err != nil {
		return nil, err
	}
	return e, register(e, needs{
		ranges: ranges, catalog: s.catalog, authority: s.authority.CertPEM(), signer: s.authority, review: s.review, lasting: s.lasting,
		servers: s.servers, told: s.servers.told, owners: s.servers, settings: &s.Config.Controllers, metrics: s.controlling,
		samples: metricsServers{s.servers}, now: s.Clock.Now, runs: s.runs,
	})
}

// runs says whether a controller is to run. None fills secrets when there is no key for their tokens.
func (s *server) runs(controller string) bool {
	return s.Config.Controllers.runs(controller) && (s.lasting != nil || controller != accounttokens.Name)
}

// needs are what controllers work with beside the API.
type needs struct {
	catalog   engine.Catalog
	authority []byte // PEM of the certificate that the API's comes from
	signer    csr.Authority
	review    csr.Review
	lasting   accounttokens.Issue
	servers   apiservice.Servers // of aggregated APIs
	told      func() apiservice.Trust
	owners    garbage.Others // of aggregated APIs
	samples   podautoscaler.Source
	settings  *Controllers
	metrics   *controllerMetrics
	now       func() time.Time
	runs      func(name string) bool // whether a controller is wanted
	ranges    nodeipam.Config        // of nodes' pods
}

// review asks, as the controller of certificates, whether somebody may do something.
func (s *server) review(spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	ctx, cancel := context.WithTimeout(s.leaving, reviewLasts)
	defer cancel()
	answer, err := s.client(csr.User, "system:serviceaccounts", "system:serviceaccounts:kube-system").Create(ctx,
		authorizationv1.SchemeGroupVersion.WithResource("subjectaccessreviews"), &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	review, ok := answer.(*authorizationv1.SubjectAccessReview)
	return ok && review.Status.Allowed, nil
}

// register gives the engine those of floe's controllers that are to run.
func register(e *engine.Engine, with needs) error {
	for _, c := range []engine.Controller{
		deployment.New(), replicaset.New(), garbage.New(with.catalog, with.owners), namespace.New(with.catalog), servicecidr.New(), servicerepair.Addresses(),
		nodelifecycle.New(with.settings.lifecycle(), with.metrics.nodes), tainteviction.New(with.metrics.evictions), nodettl.New(),
		nodeipam.New(with.ranges, with.metrics.ranges), podgc.New(with.settings.TerminatedPodGCThreshold, with.metrics.pods),
		statefulset.New(false), // the kind keeps no maxUnavailable: the gate is off
		daemonset.New(), replicationcontroller.New(),
		disruption.New(with.catalog),
		endpointslice.New(), older.New(), endpointslicemirroring.New(),
		job.New(), cronjob.New(), ttlafterfinished.New(),
		podautoscaler.New(podautoscaler.Config{
			Catalog: with.catalog, Source: with.samples, Settings: with.settings.autoscaling(), Metrics: with.metrics.scaling, Now: with.now,
		}),
		serviceaccount.New(),
		rootca.New(with.authority),
		accounttokens.New(with.lasting, with.authority), legacytoken.New(with.settings.LegacyTokenCleanUpPeriod.Duration),
		bootstraptoken.Signer(), bootstraptoken.Cleaner(),
		clusterroleaggregation.New(),
		resourcequota.New(with.catalog),
		policystatus.New(with.catalog),
		csr.Approver(with.review), csr.Signer(with.signer, with.settings.ClusterSigningDuration.Duration), csr.Cleaner(),
		apiservice.New(with.servers), apiservice.Tell(with.told),
		volumeprotection.Volumes(), volumeprotection.Claims(), volumeprotection.Classes(),
		volumebinding.New(with.metrics.volumes), ephemeralvolume.New(with.metrics.ephemeral), volumeexpansion.New(), attachdetach.New(with.metrics.attached),
		resourceclaim.New(with.metrics.claims), devicetainteviction.New(with.metrics.devices),
	} {
		if !with.runs(c.Name) {
			continue
		}
		if err := e.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// catalog is the kinds that are served.
func (s *server) catalog() (served []*kinds.Kind, changed <-chan struct{}) {
	now := s.api.Catalog()
	return now.All(), now.Changed()
}

// ControllerGraph says which resources floe's controllers read, and which fields they write, a line each.
func ControllerGraph() (string, error) {
	e := engine.New(engine.Config{})
	every := defaultControllers()
	every.AllocateNodeCIDRs = true
	for _, c := range switchables() {
		every.Enabled = append(every.Enabled, c.names[0])
	}
	err := register(e, needs{
		catalog: func() ([]*kinds.Kind, <-chan struct{}) { return nil, nil }, settings: &every, metrics: newControllerMetrics(func(string) func() client.View { return func() client.View { return nil } }), runs: every.runs,
	})
	return e.Graph(), err
}

// nodeParts are the runtime, the agent and its API for the node that this server is itself.
func (s *server) nodeParts() ([]part, error) {
	cfg := s.Config.Node
	shim, err := s.Programs.Path("floe-shim", s.dir.join("bin"))
	if err != nil {
		return nil, err
	}
	links, containers, err := openRuntime(context.Background(), s.dir.join("run", "network"), pluginDirs{cfg.CNIConfDir, cfg.CNIBinDir}, runtime.Config{
		Root: s.dir.join("images"), State: s.dir.join("run", "pods"), ShimPath: shim, CgroupParent: cfg.CgroupRoot, PodCIDR: cfg.PodCIDR,
		Clock: s.Clock, Log: s.Log, Version: s.Version, RegistryConfigDir: cfg.RegistryConfigDir,
		Handlers: handlersOf(cfg.RuntimeHandlers), CDISpecDirs: cfg.CDISpecDirs, Pulls: s.pulls,
	})
	if err != nil {
		return nil, err
	}
	addrs, err := s.addresses()
	if err != nil {
		return nil, err
	}
	nodeListener, err := net.Listen("tcp", net.JoinHostPort(s.Config.BindAddress, strconv.Itoa(cfg.Port)))
	if err != nil {
		return nil, fmt.Errorf("the node's API cannot listen: %w (set node.port in the configuration file)", err)
	}
	agent, err := node.New(node.Config{
		Name: cfg.Name, Client: s.client("system:node:"+cfg.Name, auth.Nodes), Runtime: containers, Clock: s.Clock, Rand: s.random(randomNode),
		Subscribe: func() node.Subscription { return containers.Subscribe() }, Log: s.Log.With("component", "node"),
		RootDir: cfg.RootDir, LogDir: cfg.LogDir, Addresses: addrs, PodCIDR: cfg.PodCIDR,
		Port: nodeListener.Addr().(*net.TCPAddr).Port, KubernetesVersion: KubernetesVersion,
	})
	if err != nil {
		return nil, err
	}
	serve, err := s.nodes.open(cfg.Name, nodeListener, addrs, agent.Handler())
	if err != nil {
		return nil, err
	}
	return []part{{"runtime", containers.Run}, {"image archives", s.loadArchives(containers.Images())}, {"node API", serve}, {"node", func(ctx context.Context) error {
		defer links.Close()
		// Before the agent makes new sandboxes, which would look like ones that are gone.
		if err := collect(ctx, links, containers); err != nil {
			return err
		}
		return agent.Run(ctx)
	}}}, nil
}

// loadArchives loads the archives of images that lie beside the server. What cannot be loaded is said in the log: pods may have no need of it.
func (s *server) loadArchives(images *image.Store) func(context.Context) error {
	dir := s.Config.Node.ImageArchives
	if dir == "" {
		dir = s.dir.join("archives")
	}
	return func(ctx context.Context) error {
		loaded, err := images.LoadDir(ctx, dir)
		if err != nil && ctx.Err() == nil {
			s.Log.Error("image archives", "directory", dir, "error", err)
		}
		for _, i := range loaded {
			s.Log.Info("image loaded", "names", i.Names, "id", i.ID)
		}
		<-ctx.Done()
		return nil
	}
}

// collect takes back the addresses and links of sandboxes that did not come back. It waits until the runtime has found the others.
func collect(ctx context.Context, links podNetwork, containers *runtime.Runtime) error {
	list, err := containers.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return err
	}
	var live []string
	for _, box := range list.Items {
		if box.State == runtimeapi.PodSandboxState_SANDBOX_READY {
			live = append(live, box.Id)
		}
	}
	return links.Collect(ctx, live)
}

// nodeDoor is how the API reaches the node's own API, and how that is served: mutual TLS under the cluster's authority. It is safe for concurrent use.
type nodeDoor struct {
	authority *pki.Authority
	renewed   renewer
	transport *http.Transport
	name      string // set before anything is served
	address   atomic.Pointer[url.URL]
}

func newNodeDoor(authority *pki.Authority, renewed renewer) (*nodeDoor, error) {
	own, err := renewed("kube-apiserver-kubelet-client", func() (pki.Identity, error) {
		return authority.Client("kube-apiserver-kubelet-client", "system:masters")
	})
	if err != nil {
		return nil, err
	}
	return &nodeDoor{authority: authority, renewed: renewed, transport: &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authority.Pool(), GetClientCertificate: own.Show},
		MaxIdleConns:    16, IdleConnTimeout: time.Minute,
	}}, nil
}

// dial says where the named node's API is, and how to get there.
func (d *nodeDoor) dial(_ context.Context, name string) (*url.URL, http.RoundTripper, error) {
	address := d.address.Load()
	if address == nil || name != d.name {
		return nil, nil, fmt.Errorf("node %s has not connected to this server", name)
	}
	return address, d.transport, nil
}

// open returns the part that serves handler on the listener, to the API server's client certificate only.
func (d *nodeDoor) open(name string, listener net.Listener, addrs []netip.Addr, handler http.Handler) (func(context.Context) error, error) {
	ips := []net.IP{net.IPv4(127, 0, 0, 1)}
	for _, a := range addrs {
		ips = append(ips, a.AsSlice())
	}
	own, err := d.renewed("system:node:"+name, func() (pki.Identity, error) { return d.authority.Server("system:node:"+name, []string{name}, ips) })
	if err != nil {
		return nil, err
	}
	d.name = name
	d.address.Store(&url.URL{Scheme: "https", Host: net.JoinHostPort(reachable(listener), portOf(listener))})
	server := &http.Server{
		Handler: mastersOnly(handler), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: own.Serve,
			ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: d.authority.Pool(),
		},
	}
	return func(ctx context.Context) error { return serveUntil(ctx, server, listener) }, nil
}

// mastersOnly lets /healthz through to anybody and the rest to clients with a certificate of group system:masters, which the API server has.
func mastersOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			next.ServeHTTP(w, r)
			return
		}
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		for _, group := range r.TLS.VerifiedChains[0][0].Subject.Organization {
			if group == "system:masters" {
				next.ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, "Forbidden", http.StatusForbidden)
	})
}

func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(listener, "", "") }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ignoreClosed(errors.Join(server.Close(), <-ended))
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func reachable(l net.Listener) string {
	if ip := l.Addr().(*net.TCPAddr).IP; !ip.IsUnspecified() {
		return ip.String()
	}
	return "127.0.0.1"
}

func portOf(l net.Listener) string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }
