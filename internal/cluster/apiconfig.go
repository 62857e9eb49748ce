package cluster

import (
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/features"
	"github.com/floe-k8s/floe/internal/kinds"
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
	// MaxRequestsInflight and MaxMutatingRequestsInflight bound the requests in flight that change nothing, and that change something; together above 0. 0 bounds
	// nothing. Default 400 and 200.
	MaxRequestsInflight         int `json:"maxRequestsInflight"`
	MaxMutatingRequestsInflight int `json:"maxMutatingRequestsInflight"`
	// RequestTimeout is how long a request may take that is no watch and follows nothing, above 0. Default 1m.
	RequestTimeout metav1.Duration `json:"requestTimeout,omitempty"`
	// MinRequestTimeout is how many seconds a watch lasts at least, and at most twice as long, above 0. Default 1800.
	MinRequestTimeout int `json:"minRequestTimeout,omitempty"`
	// HTTP2MaxStreamsPerConnection is how many requests may be under way on one HTTP/2 connection, above 0. Default 100.
	HTTP2MaxStreamsPerConnection int `json:"http2MaxStreamsPerConnection,omitempty"`
	// Profiling serves /debug/pprof and /debug/flags to who may get these paths. Default true.
	Profiling *bool `json:"profiling,omitempty"`
}

func defaultAPI() API {
	profiling := true
	return API{
		HTTP2MaxStreamsPerConnection: 100, Profiling: &profiling,
		MaxRequestsInflight: 400, MaxMutatingRequestsInflight: 200,
		RequestTimeout: metav1.Duration{Duration: time.Minute}, MinRequestTimeout: 1800,
	}
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

// served is what follows from the switches of the API.
type served struct {
	gates features.Gates
	apis  features.APIs
	off   []string // admission plug-ins
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
	var errs [3]error
	s.gates, errs[0] = features.ParseGates(a.FeatureGates.List())
	s.apis, errs[1] = features.ParseAPIs(a.RuntimeConfig.List(), versions)
	s.off, errs[2] = features.ParsePlugins(a.EnableAdmissionPlugins, a.DisableAdmissionPlugins, api.Plugins(list))
	return s, errors.Join(errs[:]...)
}

func (a *API) validate(list []*kinds.Kind) (errs []error) {
	for field, n := range map[string]int{"api.maxRequestsInflight": a.MaxRequestsInflight, "api.maxMutatingRequestsInflight": a.MaxMutatingRequestsInflight} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("%s: %d: must be 0 (no bound) or above", field, n))
		}
	}
	if a.RequestTimeout.Duration <= 0 {
		errs = append(errs, fmt.Errorf("api.requestTimeout: %s: must be above 0", a.RequestTimeout.Duration))
	}
	if a.HTTP2MaxStreamsPerConnection <= 0 {
		errs = append(errs, fmt.Errorf("api.http2MaxStreamsPerConnection: %d: must be above 0", a.HTTP2MaxStreamsPerConnection))
	}
	if a.MinRequestTimeout <= 0 {
		errs = append(errs, fmt.Errorf("api.minRequestTimeout: %d: must be above 0", a.MinRequestTimeout))
	}
	if _, err := a.of(list); err != nil {
		errs = append(errs, err)
	}
	return errs
}
