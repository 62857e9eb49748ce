package cluster

import (
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission/configuration"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/api/egress"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/features"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

// API says what the API serves, and how much of it at once. Its fields are kube-apiserver's flags.
type API struct {
	// FeatureGates switch upstream's features, by name.
	FeatureGates Switches `json:"featureGates,omitempty"`
	// RuntimeConfig switches API versions and resources.
	RuntimeConfig Switches `json:"runtimeConfig,omitempty"`
	// EnableAdmissionPlugins and DisableAdmissionPlugins name admission plug-ins that are on, or off, other than by default.
	EnableAdmissionPlugins  []string `json:"enableAdmissionPlugins,omitempty"`
	DisableAdmissionPlugins []string `json:"disableAdmissionPlugins,omitempty"`
	// AdmissionControlConfigFile is upstream's AdmissionConfiguration: settings of single plug-ins.
	AdmissionControlConfigFile string `json:"admissionControlConfigFile,omitempty"`
	// DefaultNotReadyTolerationSeconds and DefaultUnreachableTolerationSeconds are how long pods that do not say so stay on a node that is not ready, or that
	// nobody reaches; 0 or below: not at all. Default 300.
	DefaultNotReadyTolerationSeconds    int64 `json:"defaultNotReadyTolerationSeconds"`
	DefaultUnreachableTolerationSeconds int64 `json:"defaultUnreachableTolerationSeconds"`
	// Authorization says who decides what users may do.
	Authorization Authorization `json:"authorization,omitempty"`
	// Audit says which requests are recorded, and where.
	Audit audit.Config `json:"audit"`
	// EgressSelectorConfigFile is an apiserver.k8s.io/v1beta1 EgressSelectorConfiguration: through which proxies the cluster, the control plane and etcd are
	// reached. Empty: through none.
	EgressSelectorConfigFile string `json:"egressSelectorConfigFile,omitempty"`
	// TracingConfigFile is an apiserver.config.k8s.io/v1 TracingConfiguration: where spans of requests are sent. Empty: none are made.
	TracingConfigFile string `json:"tracingConfigFile,omitempty"`
	// EnablePriorityAndFairness lets requests in by flow schemas and priority levels, which share as many seats as the next two say together. Default true.
	EnablePriorityAndFairness *bool `json:"enablePriorityAndFairness,omitempty"`
	// MaxRequestsInflight and MaxMutatingRequestsInflight bound the requests in flight that change nothing, and that change something, when nobody else does. 0
	// bounds nothing; together they must be above 0 for priority and fairness. Default 400 and 200.
	MaxRequestsInflight         int `json:"maxRequestsInflight"`
	MaxMutatingRequestsInflight int `json:"maxMutatingRequestsInflight"`
	// RequestTimeout is how long a request may take that is no watch and follows nothing, above 0. Default 1m.
	RequestTimeout metav1.Duration `json:"requestTimeout,omitempty"`
	// MinRequestTimeout is how many seconds a watch lasts at least, and at most twice as long; 0: as long as its client likes. Default 1800.
	MinRequestTimeout int `json:"minRequestTimeout"`
	// HTTP2MaxStreamsPerConnection is how many requests may be under way on one HTTP/2 connection, above 0. Default 100.
	HTTP2MaxStreamsPerConnection int `json:"http2MaxStreamsPerConnection,omitempty"`
	// Profiling serves /debug/pprof and /debug/flags to who may get these paths. Default true.
	Profiling *bool `json:"profiling,omitempty"`
	// ContentionProfiling records where goroutines block, for /debug/pprof/block, if profiles are served at all.
	ContentionProfiling bool `json:"contentionProfiling,omitempty"`
	// DebugSocketPath is a unix socket at which the same is served to whoever may open it: its owner. Empty: there is none.
	DebugSocketPath string `json:"debugSocketPath,omitempty"`
	// DisabledMetrics are left out of /metrics, by their full names.
	DisabledMetrics []string `json:"disabledMetrics,omitempty"`
	// AllowMetricLabels are the values, with commas between them, that a label may have in /metrics, by METRIC,LABEL; others are told as "unexpected". Nil, where
	// AllowMetricLabelsManifest is given: a YAML file of the same form.
	AllowMetricLabels         map[string]string `json:"allowMetricLabels,omitempty"`
	AllowMetricLabelsManifest string            `json:"allowMetricLabelsManifest,omitempty"`
	// EventTTL is how long an event is kept after it was last seen; 0: for ever. Default 1h.
	EventTTL metav1.Duration `json:"eventTTL"`
	// ExternalHostname is the host that discovery names, with the port. Default: the address that is advertised.
	ExternalHostname string `json:"externalHostname,omitempty"`
	// GoawayChance is the share of HTTP/2 requests, 0 to 0.02, with which a client is told to take another connection. Default 0.
	GoawayChance float64 `json:"goawayChance,omitempty"`
	// StrictTransportSecurityDirectives are said in every answer: max-age=SECONDS, includeSubDomains, preload. None: nothing is said.
	StrictTransportSecurityDirectives []string `json:"strictTransportSecurityDirectives,omitempty"`
	// CORSAllowedOrigins are regular expressions of the origins whose pages may use the API from a browser. Each must hold the host's begin (^ or //) and
	// its end ($ or :).
	CORSAllowedOrigins []string `json:"corsAllowedOrigins,omitempty"`
	// MaxConnectionBytesPerSec bounds what each connection to a pod, service or node through the API carries; 0: nothing does.
	MaxConnectionBytesPerSec int64 `json:"maxConnectionBytesPerSec,omitempty"`
	// LivezGracePeriod is how long after the start /livez trusts that what is done once at a start will be done.
	LivezGracePeriod metav1.Duration `json:"livezGracePeriod,omitempty"`
	// ShutdownDelayDuration is how long all is served as before after the server was told to end, while /readyz already fails.
	ShutdownDelayDuration metav1.Duration `json:"shutdownDelayDuration,omitempty"`
	// ShutdownSendRetryAfter answers new requests with 429 then until those in flight have ended.
	ShutdownSendRetryAfter bool `json:"shutdownSendRetryAfter,omitempty"`
	// ShutdownWatchTerminationGracePeriod is the time over which watches are ended then; 0: they end together.
	ShutdownWatchTerminationGracePeriod metav1.Duration `json:"shutdownWatchTerminationGracePeriod,omitempty"`
}

func defaultAPI() API {
	profiling, fair := true, true
	stay := core.DefaultStay()
	return API{
		EnablePriorityAndFairness:    &fair,
		HTTP2MaxStreamsPerConnection: 100, Profiling: &profiling,
		DefaultNotReadyTolerationSeconds: stay.NotReady, DefaultUnreachableTolerationSeconds: stay.Unreachable,
		Authorization:       defaultAuthorization(),
		MaxRequestsInflight: 400, MaxMutatingRequestsInflight: 200,
		Audit:          audit.DefaultConfig(),
		RequestTimeout: metav1.Duration{Duration: time.Minute}, MinRequestTimeout: 1800, EventTTL: metav1.Duration{Duration: core.EventTTL},
	}
}

// fair says whether priority and fairness lets requests in.
func (a *API) fair() bool { return a.EnablePriorityAndFairness == nil || *a.EnablePriorityAndFairness }

// watchLasts is how long a watch lasts at least.
func (a *API) watchLasts() time.Duration {
	if a.MinRequestTimeout == 0 {
		return wire.Endless
	}
	return time.Duration(a.MinRequestTimeout) * time.Second
}

// tellFeatures lets metrics say which features are on.
func tellFeatures(metrics *wire.Metrics, gates features.Gates) {
	for name, gate := range features.Known() {
		stage := gate.Stage
		if stage == "GA" {
			stage = ""
		}
		metrics.Feature(name, stage, gates.On(gate))
	}
}

// flagz is what /flagz tells; nil: the page is not served.
func flagz(gates features.Gates, flags func() map[string]string) func() map[string]string {
	if !gates.Enabled(features.Flagz) {
		return nil
	}
	return flags
}

// served is what follows from the switches of the API.
type served struct {
	gates features.Gates
	apis  features.APIs
	off   []string // admission plug-ins
	admit configuration.Settings
}

// of holds the switches against what there is.
func (a *API) of(list []*kinds.Kind) (served, error) {
	var versions []schema.GroupVersion
	for _, k := range list {
		if gv := k.GVK.GroupVersion(); !slices.Contains(versions, gv) {
			versions = append(versions, gv)
		}
	}
	var s served
	var errs [4]error
	s.gates, errs[0] = features.ParseGates(a.FeatureGates.List())
	s.apis, errs[1] = features.ParseAPIs(a.RuntimeConfig.List(), versions)
	s.off, errs[2] = features.ParsePlugins(a.EnableAdmissionPlugins, a.DisableAdmissionPlugins, api.Plugins(list, plugins(pluginNeeds{})))
	if s.admit, errs[3] = configuration.Read(a.AdmissionControlConfigFile); errs[3] == nil && errs[2] == nil {
		errs[3] = s.admit.Check(s.off)
	}
	return s, errors.Join(errs[:]...)
}

func (a *API) validate(list []*kinds.Kind) (errs []error) {
	bad := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("api.%s: %v: %s", field, value, want))
	}
	for field, n := range map[string]int64{
		"maxRequestsInflight": int64(a.MaxRequestsInflight), "maxMutatingRequestsInflight": int64(a.MaxMutatingRequestsInflight),
		"maxConnectionBytesPerSec": a.MaxConnectionBytesPerSec,
	} {
		if n < 0 {
			bad(field, n, "must be 0 (no bound) or above")
		}
	}
	if a.fair() && a.MaxRequestsInflight+a.MaxMutatingRequestsInflight <= 0 {
		errs = append(errs, fmt.Errorf("api: invalid configuration: MaxRequestsInFlight=%d and MaxMutatingRequestsInFlight=%d; they must add up to something positive",
			a.MaxRequestsInflight, a.MaxMutatingRequestsInflight))
	}
	for field, d := range map[string]metav1.Duration{
		"eventTTL": a.EventTTL, "livezGracePeriod": a.LivezGracePeriod, "shutdownDelayDuration": a.ShutdownDelayDuration,
		"shutdownWatchTerminationGracePeriod": a.ShutdownWatchTerminationGracePeriod,
	} {
		if d.Duration < 0 {
			bad(field, d.Duration, "can not be a negative value")
		}
	}
	if a.RequestTimeout.Duration <= 0 {
		bad("requestTimeout", a.RequestTimeout.Duration, "must be above 0")
	}
	if a.HTTP2MaxStreamsPerConnection < 0 {
		bad("http2MaxStreamsPerConnection", a.HTTP2MaxStreamsPerConnection, "must be 0 (the default) or above")
	}
	if a.MinRequestTimeout < 0 {
		bad("minRequestTimeout", a.MinRequestTimeout, "must be 0 (no bound) or above")
	}
	if a.GoawayChance < 0 || a.GoawayChance > 0.02 {
		bad("goawayChance", a.GoawayChance, "can not be less than 0 or greater than 0.02")
	}
	errs = append(errs, a.validateEdge()...)
	if err := egress.Check(a.EgressSelectorConfigFile); err != nil {
		errs = append(errs, fmt.Errorf("api.egressSelectorConfigFile: %w", err))
	}
	if _, err := readMetricLabels(a.AllowMetricLabels, a.AllowMetricLabelsManifest); err != nil {
		errs = append(errs, fmt.Errorf("api.allowMetricLabels: %w", err))
	}
	if err := a.Authorization.validate(); err != nil {
		errs = append(errs, err)
	}
	for _, err := range a.Audit.Validate() {
		errs = append(errs, fmt.Errorf("api.%w", err))
	}
	if _, err := a.of(list); err != nil {
		errs = append(errs, err)
	}
	return errs
}
