package authorization

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/webhook/authorize"
	"github.com/floe-k8s/floe/internal/observe"
)

// Metrics count decisions, and what webhooks are asked, by upstream's names. Make one for a Builder and register it; it is safe for concurrent use.
type Metrics struct {
	observe.Collectors
	decisions *prometheus.CounterVec
	webhooks  *authorize.Metrics
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	m := &Metrics{webhooks: authorize.NewMetrics(), decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_authorization_decisions_total", Help: "Decisions of each authorizer that has one.",
	}, []string{"type", "name", "decision"})}
	m.Collectors = observe.Collectors{m.decisions, m.webhooks}
	return m
}

// count makes an authorizer count its decisions. Its series are looked up once, since every request passes here.
func (m *Metrics) count(mode, name string, decide auth.Authorizer) auth.Authorizer {
	if m == nil {
		return decide
	}
	allowed, denied := m.decisions.WithLabelValues(mode, name, "allowed"), m.decisions.WithLabelValues(mode, name, "denied")
	return func(ctx context.Context, user auth.User, attrs auth.Attributes) (auth.Decision, string, error) {
		decision, reason, err := decide(ctx, user, attrs)
		switch decision {
		case auth.Allow:
			allowed.Inc()
		case auth.Deny:
			denied.Inc()
		}
		return decision, reason, err
	}
}

// asking is what webhooks count; nil: nothing.
func (m *Metrics) asking() *authorize.Metrics {
	if m == nil {
		return nil
	}
	return m.webhooks
}
