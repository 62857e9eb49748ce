package floetest

import (
	"log/slog"
	"slices"
	"strconv"

	"github.com/floe-k8s/floe/internal/cluster"
)

// Option says how a control plane differs from the one that Start makes without any. Later ones add to earlier ones, or replace them where they say so.
type Option func(*settings)

// settings are what options set.
type settings struct {
	config cluster.Config
	log    *slog.Logger
}

// serviceAccount is the admission plug-in that is off unless it is asked for.
const serviceAccount = "ServiceAccount"

func defaults() settings {
	cfg := cluster.DefaultConfig()
	cfg.BindAddress, cfg.SecurePort = "127.0.0.1", 0
	cfg.Network.EndpointReconcilerType = "none" // no endpoint may have a loopback address
	cfg.Node.Disabled, cfg.Scheduler.Disabled = true, true
	cfg.Controllers.Enabled = cluster.Housekeeping()
	cfg.API.DisableAdmissionPlugins = []string{serviceAccount}
	return settings{cfg, slog.New(slog.DiscardHandler)}
}

// Controllers replaces the controllers that run. Names are kube-controller-manager's, such as deployment-controller; "*" is all that it runs by default, "-NAME" one
// less. Controllers() is none: namespaces that are deleted stay Terminating, and owners leave their dependents behind, as with a bare kube-apiserver. Not
// concerned is what kube-apiserver itself keeps, such as the API services.
func Controllers(names ...string) Option {
	return func(s *settings) { s.config.Controllers.Enabled = slices.Clone(names) }
}

// Housekeeping are the controllers that run when no option says otherwise, for those who want one more: Controllers(append(Housekeeping(), "job-controller")...).
func Housekeeping() []string { return cluster.Housekeeping() }

// Scheduler lets pods be scheduled, as kube-scheduler's default profile does.
func Scheduler() Option { return func(s *settings) { s.config.Scheduler.Disabled = false } }

// Nodes adds n nodes that do not exist: sim-0 and on, each with 32 CPUs, 256 GiB and room for 110 pods. They renew their leases and report the pods that are bound
// to them as running and ready, and no container runs; the controller of nodes' life runs beside them. n is not negative.
func Nodes(n int) Option { return func(s *settings) { s.config.Simulation.Nodes = n } }

// Admission switches admission plug-ins on that are off by default, ServiceAccount among them: a pod then needs its namespace's service account, which a
// controller makes soon after the namespace.
func Admission(plugins ...string) Option {
	return func(s *settings) {
		api := &s.config.API
		for _, name := range plugins {
			if name == serviceAccount {
				api.DisableAdmissionPlugins = slices.DeleteFunc(slices.Clone(api.DisableAdmissionPlugins), func(off string) bool { return off == name })
				continue
			}
			api.EnableAdmissionPlugins = append(slices.Clone(api.EnableAdmissionPlugins), name)
		}
	}
}

// NoAdmission switches admission plug-ins off.
func NoAdmission(plugins ...string) Option {
	return func(s *settings) {
		s.config.API.DisableAdmissionPlugins = slices.Concat(s.config.API.DisableAdmissionPlugins, plugins)
	}
}

// FeatureGate switches one of upstream's features on or off, by upstream's name.
func FeatureGate(name string, on bool) Option {
	return func(s *settings) { s.set(&s.config.API.FeatureGates, name, on) }
}

// ServeAPI switches a version of an API on or off that upstream does not, or does, serve by default: "resource.k8s.io/v1beta1", "api/beta".
func ServeAPI(version string, on bool) Option {
	return func(s *settings) { s.set(&s.config.API.RuntimeConfig, version, on) }
}

func (*settings) set(switches *cluster.Switches, name string, on bool) {
	next := cluster.Switches{name: strconv.FormatBool(on)}
	for other, value := range *switches {
		if other != name {
			next[other] = value
		}
	}
	*switches = next
}

// Log is where the control plane's messages go; without it nobody sees them. The handler must be safe for concurrent use and outlive the test's clean-ups.
func Log(h slog.Handler) Option { return func(s *settings) { s.log = slog.New(h) } }
