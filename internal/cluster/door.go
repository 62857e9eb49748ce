package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"

	"github.com/floe-k8s/floe/internal/api/egress"
	"github.com/floe-k8s/floe/internal/api/fairness"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/auth/authorization"
	"github.com/floe-k8s/floe/internal/features"
)

// trust is who is known, and who may do what.
type trust struct {
	may       authorization.Chain
	decisions *authorization.Metrics
	tokens    accountTokens
	users     *users
}

// openTrust reads what trust rests on: keys, token files, and the configurations of authentication and authorization.
func (s *server) openTrust(ctx context.Context) (t trust, err error) {
	t.decisions = authorization.NewMetrics()
	if t.may, s.follow, err = s.authorizers(t.decisions); err != nil {
		return t, err
	}
	if t.tokens, err = s.tokens(ctx); err != nil {
		return t, err
	}
	if t.users, err = s.users(&t.tokens); err != nil {
		return t, err
	}
	s.others = t.users.outside
	return t, nil
}

// openDoor makes what answers requests, and takes the API's port. Nothing is answered yet.
func (s *server) openDoor(ctx context.Context, served served, t trust) error {
	cfg := s.Config.API
	if cfg.fair() {
		s.fairness = fairness.New(fairness.Config{
			Clock: s.Clock, Log: s.Log.With("component", "fairness"), Seats: cfg.MaxRequestsInflight + cfg.MaxMutatingRequestsInflight,
			Processors: runtime.GOMAXPROCS(0),
		})
	}
	metrics := wire.NewMetrics()
	lists, err := readMetricLabels(cfg.AllowMetricLabels, cfg.AllowMetricLabelsManifest)
	if err != nil {
		return err
	}
	tellFeatures(metrics, served.gates)
	s.profile()
	if err := s.listen(ctx); err != nil {
		return err
	}
	external, err := s.externalAddress()
	if err != nil {
		return errors.Join(err, s.listener.Close())
	}
	s.door = wire.New(wire.Config{
		Dial: s.egress.To(egress.Cluster), Metrics: metrics, Gather: without(lists.bound(s.registry(metrics, t.decisions)), cfg.DisabledMetrics), Serves: served.apis.Serves,
		Limits: wire.Limits{
			Reading: cfg.MaxRequestsInflight, Changing: cfg.MaxMutatingRequestsInflight,
			Call: cfg.RequestTimeout.Duration, Watch: cfg.watchLasts(),
			Streams: cfg.HTTP2MaxStreamsPerConnection, Drain: s.Drain,
		},
		OldImpersonation: !served.gates.Enabled(features.ConstrainedImpersonation),
		Flags:            flagz(served.gates, s.Flags), Statusz: served.gates.Enabled(features.Statusz),
		Fairness: s.fairness, Tracing: s.tracing, Aggregate: s.servers.Proxy,
		CBORServingAndStorage: served.gates.Enabled(features.CBOR), Profiling: *cfg.Profiling, SetVerbosity: s.SetVerbosity,
		API: s.api, Clock: s.Clock, Log: s.Log.With("component", "api"), GitVersion: KubernetesVersion, Node: s.nodes.dial, Snapshot: s.snapshot, Why: s.why, Rand: s.random(randomAPI),
		Documents:     t.tokens.documents(s.Config.Authentication.ServiceAccounts.JWKSURI, external, s.Log),
		Authenticator: t.users.requests, Edge: cfg.edge(), ExternalAddress: external, Checks: s.sealingChecks(), LiveGrace: cfg.LivezGracePeriod.Duration, MaxBytesPerSec: cfg.MaxConnectionBytesPerSec,
	})
	return nil
}

// listen takes the API's port.
func (s *server) listen(ctx context.Context) (err error) {
	address := net.JoinHostPort(s.Config.BindAddress, strconv.Itoa(s.Config.SecurePort))
	config := net.ListenConfig{Control: s.Config.Serving.socket}
	if s.listener, err = config.Listen(ctx, "tcp", address); err != nil {
		return fmt.Errorf("the API cannot listen on %s: %w (another server there? choose --secure-port)", address, err)
	}
	return nil
}
