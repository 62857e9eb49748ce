package main

import (
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/cluster"
)

// serverFlags binds the flags of floe server to the fields of its configuration. docs/configuration.md names the field of each.
func serverFlags(flags *pflag.FlagSet, cfg *cluster.Config, file *string) {
	storeFlags(flags, cfg, file)
	flags.StringVar(&cfg.BindAddress, "bind-address", cfg.BindAddress, "address that the API listens on; 0.0.0.0 or :: means all")
	flags.IntVar(&cfg.SecurePort, "secure-port", cfg.SecurePort, "port of the API; 0 takes a free one")
	flags.StringVar(&cfg.WriteKubeconfig, "write-kubeconfig", cfg.WriteKubeconfig, "file for a copy of the administrator's kubeconfig (DATA-DIR/admin.kubeconfig is always written)")
	servingFlags(flags, &cfg.Serving)
	apiFlags(flags, &cfg.API)
	edgeFlags(flags, &cfg.API)
	authenticationFlags(flags, &cfg.Authentication)
	aggregationFlags(flags, &cfg.Aggregation)
	authorizationFlags(flags, &cfg.API.Authorization)
	auditFlags(flags, &cfg.API.Audit)
	flags.StringVar(&cfg.API.TracingConfigFile, "tracing-config-file", cfg.API.TracingConfigFile,
		"file (apiserver.config.k8s.io/v1, kind TracingConfiguration) that says to which collector spans of requests are sent, and of how many")
	networkFlags(flags, &cfg.Network)
	controllerFlags(flags, &cfg.Controllers)
	flags.StringVar(&cfg.Scheduler.ConfigFile, "scheduler-config", cfg.Scheduler.ConfigFile,
		"file (kubescheduler.config.k8s.io/v1, kind KubeSchedulerConfiguration) that says how pods are scheduled: profiles, plug-ins, extenders")
	flags.BoolVar(&cfg.Scheduler.Disabled, "no-scheduler", cfg.Scheduler.Disabled, "schedule no pods: another scheduler does, or nobody")
	flags.BoolVar(&cfg.Node.Disabled, "no-node", cfg.Node.Disabled, "run no pods on this machine")
	registryFlag(flags, &cfg.Node.RegistryConfigDir)
	handlersFlag(flags, &cfg.Node.RuntimeHandlers)
	devicesFlag(flags, &cfg.Node.CDISpecDirs)
	pluginFlags(flags, &cfg.Node.CNIConfDir, &cfg.Node.CNIBinDir)
	flags.StringVar(&cfg.Node.ImageArchives, "image-archives", cfg.Node.ImageArchives, "directory of archives of images to load at the start (default DATA-DIR/archives)")
	flags.IntVar(&cfg.Simulation.Nodes, "simulate-nodes", cfg.Simulation.Nodes, "nodes that do not exist and run pods all the same, sim-0 and on (docs/simulation.md)")
	flags.StringVar(&cfg.Simulation.ConfigFile, "simulate-config", cfg.Simulation.ConfigFile,
		"file that says how simulated nodes and their pods behave: config.floe.dev/v1alpha1, kind SimulationConfiguration, and Stages of kwok")
	loggingFlags(flags, &cfg.Logging)
	refuseFlags(flags, upstreamFlags())
}

// loggingFlags say what the log says, and how.
func loggingFlags(flags *pflag.FlagSet, cfg *cluster.Logging) {
	flags.IntVarP(&cfg.Verbosity, "v", "v", cfg.Verbosity, "how much the log says: 0 information, each step more shows more")
	flags.StringVar(&cfg.VModule, "vmodule", cfg.VModule, "a --v of some files of the sources: PATTERN=N,... (text only)")
	flags.StringVar(&cfg.Format, "logging-format", cfg.Format, "text or json")
}

// storeFlags are those of every command that opens the cluster's state.
func storeFlags(flags *pflag.FlagSet, cfg *cluster.Config, file *string) {
	flags.StringVar(&cfg.DataDir, "data-dir", cfg.DataDir, "directory that holds everything the server keeps")
	flags.StringVar(file, "config", *file, "configuration file (config.floe.dev/v1alpha1, kind ServerConfiguration); flags that are given win over it")
	flags.StringVar(&cfg.Store.EncryptionProviderConfig, "encryption-provider-config", cfg.Store.EncryptionProviderConfig,
		"file (apiserver.config.k8s.io/v1, kind EncryptionConfiguration) that says how values are encrypted where they are stored")
	flags.BoolVar(&cfg.Store.EncryptionProviderConfigAutomaticReload, "encryption-provider-config-automatic-reload", cfg.Store.EncryptionProviderConfigAutomaticReload,
		"read that file again when it changes")
	etcd := &cfg.Store.Etcd
	flags.StringSliceVar(&etcd.Servers, "etcd-servers", etcd.Servers, "client URLs of an etcd that holds the cluster's state instead of the data directory")
	flags.StringVar(&etcd.CAFile, "etcd-cafile", etcd.CAFile, "authority of etcd's certificates")
	flags.StringVar(&etcd.CertFile, "etcd-certfile", etcd.CertFile, "client certificate for etcd")
	flags.StringVar(&etcd.KeyFile, "etcd-keyfile", etcd.KeyFile, "key of the client certificate for etcd")
}

// apiFlags have kube-apiserver's names and meanings.
func apiFlags(flags *pflag.FlagSet, cfg *cluster.API) {
	flags.Var(&cfg.FeatureGates, "feature-gates", "upstream's features to switch on or off; a name that is unknown, or that floe does not have in that state, is an error")
	flags.Var(&cfg.RuntimeConfig, "runtime-config", "API versions to switch on or off: GROUP/VERSION, GROUP/VERSION/RESOURCE, api/all, api/ga, api/beta, api/alpha (the core group is /v1)")
	flags.StringSliceVar(&cfg.EnableAdmissionPlugins, "enable-admission-plugins", nil, "admission plug-ins to switch on besides those that are on by default")
	flags.StringSliceVar(&cfg.DisableAdmissionPlugins, "disable-admission-plugins", nil, "admission plug-ins to switch off, also those that are on by default")
	flags.StringVar(&cfg.EgressSelectorConfigFile, "egress-selector-config-file", "", "upstream's EgressSelectorConfiguration: proxies through which the cluster, the control plane and etcd are reached")
	flags.BoolVar(cfg.EnablePriorityAndFairness, "enable-priority-and-fairness", *cfg.EnablePriorityAndFairness,
		"let requests in by flow schemas and priority levels, which share the sum of the next two; else each of these bounds its own")
	flags.StringVar(&cfg.AdmissionControlConfigFile, "admission-control-config-file", "", "upstream's AdmissionConfiguration: settings of admission plug-ins")
	flags.Int64Var(&cfg.DefaultNotReadyTolerationSeconds, "default-not-ready-toleration-seconds", cfg.DefaultNotReadyTolerationSeconds,
		"seconds that pods which do not say so stay on a node that is not ready")
	flags.Int64Var(&cfg.DefaultUnreachableTolerationSeconds, "default-unreachable-toleration-seconds", cfg.DefaultUnreachableTolerationSeconds,
		"seconds that pods which do not say so stay on a node that nobody reaches")
	flags.IntVar(&cfg.MaxRequestsInflight, "max-requests-inflight", cfg.MaxRequestsInflight, "requests in flight that change nothing, at most; 0 bounds nothing")
	flags.IntVar(&cfg.MaxMutatingRequestsInflight, "max-mutating-requests-inflight", cfg.MaxMutatingRequestsInflight, "requests in flight that change something, at most; 0 bounds nothing")
	flags.DurationVar(&cfg.RequestTimeout.Duration, "request-timeout", cfg.RequestTimeout.Duration, "how long a request may take that is no watch and follows nothing")
	flags.IntVar(&cfg.HTTP2MaxStreamsPerConnection, "http2-max-streams-per-connection", cfg.HTTP2MaxStreamsPerConnection, "requests at once on one HTTP/2 connection")
	flags.IntVar(&cfg.MinRequestTimeout, "min-request-timeout", cfg.MinRequestTimeout, "seconds that a watch lasts at least, and at most twice as long; 0: as long as its client likes")
	flags.StringSliceVar(&cfg.DisabledMetrics, "disabled-metrics", cfg.DisabledMetrics, "metrics that /metrics leaves out, by their full names")
	flags.StringToStringVar(&cfg.AllowMetricLabels, "allow-metric-labels", cfg.AllowMetricLabels,
		`values that labels may have in /metrics, others are told as "unexpected", such as metric1,label1='v1,v2',metric1,label2='v3'`)
	flags.StringVar(&cfg.AllowMetricLabelsManifest, "allow-metric-labels-manifest", cfg.AllowMetricLabelsManifest,
		`YAML file that says the same, with lines such as "metric1,label1": "v1,v2"`)
	flags.DurationVar(&cfg.EventTTL.Duration, "event-ttl", cfg.EventTTL.Duration, "how long an event is kept after it was last seen; 0: for ever")
	flags.StringVar(&cfg.ExternalHostname, "external-hostname", cfg.ExternalHostname, "host that discovery names; by default the advertised address")
	flags.Int64Var(&cfg.MaxConnectionBytesPerSec, "max-connection-bytes-per-sec", cfg.MaxConnectionBytesPerSec, "bytes a second that each connection to a pod, service or node through the API carries; 0 bounds nothing")
	flags.BoolVar(cfg.Profiling, "profiling", *cfg.Profiling, "serve /debug/pprof and /debug/flags to administrators")
	flags.BoolVar(&cfg.ContentionProfiling, "contention-profiling", cfg.ContentionProfiling, "record where goroutines block, if profiles are served")
	flags.StringVar(&cfg.DebugSocketPath, "debug-socket-path", cfg.DebugSocketPath, "unix socket at which profiles are served to whoever may open it: the server's own user")
}

// authorizationFlags are those of who decides what users may do.
func authorizationFlags(flags *pflag.FlagSet, cfg *cluster.Authorization) {
	flags.StringSliceVar(&cfg.Mode, "authorization-mode", cfg.Mode,
		"who decides what users may do, in the order in which they are asked: Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny; by default Node,RBAC, as kubeadm's clusters")
	flags.StringVar(&cfg.ConfigFile, "authorization-config", cfg.ConfigFile,
		"AuthorizationConfiguration file, in place of all other --authorization flags; read again when it changes")
	flags.StringVar(&cfg.WebhookConfigFile, "authorization-webhook-config-file", cfg.WebhookConfigFile, "kubeconfig file of the server that the mode Webhook asks")
	flags.DurationVar(&cfg.WebhookCacheAuthorizedTTL.Duration, "authorization-webhook-cache-authorized-ttl", cfg.WebhookCacheAuthorizedTTL.Duration,
		"how long what the webhook allows is remembered; 0: not at all")
	flags.DurationVar(&cfg.WebhookCacheUnauthorizedTTL.Duration, "authorization-webhook-cache-unauthorized-ttl", cfg.WebhookCacheUnauthorizedTTL.Duration,
		"how long what the webhook does not allow is remembered; 0: not at all")
	flags.StringVar(&cfg.WebhookVersion, "authorization-webhook-version", cfg.WebhookVersion, "version of the reviews that the webhook is sent: v1 or v1beta1")
}

// edgeFlags are those of what is said to every client, and of how clients are sent away.
func edgeFlags(flags *pflag.FlagSet, cfg *cluster.API) {
	flags.StringSliceVar(&cfg.CORSAllowedOrigins, "cors-allowed-origins", cfg.CORSAllowedOrigins,
		`origins whose pages may use the API from a browser, as regular expressions that hold the host's begin and end, such as //example\.com(:|$)`)
	flags.StringSliceVar(&cfg.StrictTransportSecurityDirectives, "strict-transport-security-directives", cfg.StrictTransportSecurityDirectives,
		"what Strict-Transport-Security says in every answer, such as max-age=31536000,includeSubDomains,preload")
	flags.Float64Var(&cfg.GoawayChance, "goaway-chance", cfg.GoawayChance,
		"share of HTTP/2 requests, 0 to 0.02, with which a client is told to take another connection; for several servers behind a balancer")
	flags.DurationVar(&cfg.LivezGracePeriod.Duration, "livez-grace-period", cfg.LivezGracePeriod.Duration, "how long after the start /livez trusts that the start will succeed")
	flags.DurationVar(&cfg.ShutdownDelayDuration.Duration, "shutdown-delay-duration", cfg.ShutdownDelayDuration.Duration,
		"how long everything is served as before after the server was told to end, while /readyz fails")
	flags.BoolVar(&cfg.ShutdownSendRetryAfter, "shutdown-send-retry-after", cfg.ShutdownSendRetryAfter,
		"then answer new requests with 429 and Retry-After until those in flight have ended")
	flags.DurationVar(&cfg.ShutdownWatchTerminationGracePeriod.Duration, "shutdown-watch-termination-grace-period", cfg.ShutdownWatchTerminationGracePeriod.Duration,
		"then end watches one by one over this time; 0: together")
}

// servingFlags are those of connections to the API.
func servingFlags(flags *pflag.FlagSet, cfg *cluster.Serving) {
	flags.StringVar(&cfg.TLSCertFile, "tls-cert-file", cfg.TLSCertFile, "certificate of the API, its authorities after it; by default one of the cluster's authority. Read again when it changes")
	flags.StringVar(&cfg.TLSPrivateKeyFile, "tls-private-key-file", cfg.TLSPrivateKeyFile, "key of --tls-cert-file")
	flags.StringArrayVar(&cfg.TLSSNICertKeys, "tls-sni-cert-key", cfg.TLSSNICertKeys,
		"a further certificate, for clients that ask for its names or those given: CERTFILE,KEYFILE or CERTFILE,KEYFILE:NAME,... (may be given again)")
	flags.StringSliceVar(&cfg.TLSCipherSuites, "tls-cipher-suites", cfg.TLSCipherSuites, "cipher suites of TLS 1.2 that are offered, by Go's names; by default Go's choice")
	flags.StringVar(&cfg.TLSMinVersion, "tls-min-version", cfg.TLSMinVersion, "least version of TLS: VersionTLS10 to VersionTLS13; by default VersionTLS12")
	flags.Int32SliceVar(&cfg.TLSCurvePreferences, "tls-curve-preferences", cfg.TLSCurvePreferences, "key exchanges that are offered, by their numbers in Go's crypto/tls; by default Go's choice")
	flags.BoolVar(&cfg.DisableHTTP2Serving, "disable-http2-serving", cfg.DisableHTTP2Serving, "speak HTTP/1.1 only")
	flags.BoolVar(&cfg.PermitPortSharing, "permit-port-sharing", cfg.PermitPortSharing, "let other servers listen on the same port (SO_REUSEPORT)")
	flags.BoolVar(&cfg.PermitAddressSharing, "permit-address-sharing", cfg.PermitAddressSharing, "listen also where connections of an earlier server still end (SO_REUSEADDR)")
}

// controllerFlags have the names of kube-controller-manager's.
func controllerFlags(flags *pflag.FlagSet, c *cluster.Controllers) {
	flags.StringSliceVar(&c.Enabled, "controllers", c.Enabled, "which controllers run: * for those that are on by default, NAME for one more, -NAME for one less")
	flags.DurationVar(&c.ClusterSigningDuration.Duration, "cluster-signing-duration", c.ClusterSigningDuration.Duration, "how long signed certificates last, unless less is asked for")
	flags.DurationVar(&c.LegacyTokenCleanUpPeriod.Duration, "legacy-service-account-token-clean-up-period", c.LegacyTokenCleanUpPeriod.Duration,
		"how long a token in a secret that its service account lists must be unused to be marked as invalid, and then be marked to be deleted")
	const hpa = "horizontal-pod-autoscaler-"
	for _, d := range []struct {
		name, help string
		value      *metav1.Duration
	}{
		{"sync-period", "time between two looks at a HorizontalPodAutoscaler", &c.AutoscalerSyncPeriod},
		{"downscale-stabilization", "for how long the highest recommendation counts before replicas are taken away, where an autoscaler does not say it", &c.AutoscalerDownscaleStabilization},
		{"cpu-initialization-period", "time after a pod's start in which samples of its CPU may be left out", &c.AutoscalerCPUInitialization},
		{"initial-readiness-delay", "time after a pod's start in which changes of readiness are taken for its first", &c.AutoscalerReadinessDelay},
	} {
		flags.DurationVar(&d.value.Duration, hpa+d.name, d.value.Duration, d.help)
	}
	flags.Float64Var(&c.AutoscalerTolerance, hpa+"tolerance", c.AutoscalerTolerance, "least change of the ratio of what is to what should be, from 1, that scales")
}

// networkFlags have the names of kube-apiserver's and kube-controller-manager's.
func networkFlags(flags *pflag.FlagSet, n *cluster.Network) {
	const ranges = "where services' addresses come from: one range, or one of each family, separated by a comma"
	flags.StringSliceVar(&n.ServiceClusterIPRange, "service-cluster-ip-range", n.ServiceClusterIPRange, ranges)
	flags.StringSliceVar(&n.ServiceClusterIPRange, "service-cidr", n.ServiceClusterIPRange, "the same as --service-cluster-ip-range")
	flags.StringVar(&n.ServiceNodePortRange, "service-node-port-range", n.ServiceNodePortRange, "where services' ports on nodes come from")
	flags.Int32Var(&n.KubernetesServiceNodePort, "kubernetes-service-node-port", n.KubernetesServiceNodePort, "port of nodes at which the service default/kubernetes answers when it is made; 0: none")
	flags.StringSliceVar(&n.ClusterCIDR, "cluster-cidr", n.ClusterCIDR, "where pods' addresses come from: one range, or one of each family")
	flags.StringVar(&n.ClusterDomain, "cluster-domain", n.ClusterDomain, "DNS domain of the cluster")
	flags.StringVar(&n.AdvertiseAddress, "advertise-address", n.AdvertiseAddress,
		"address at which other machines and pods reach the API; by default --bind-address, or the host's first address")
	flags.StringVar(&n.EndpointReconcilerType, "endpoint-reconciler-type", n.EndpointReconcilerType, "who keeps the endpoints of the service default/kubernetes: lease or none")
}
