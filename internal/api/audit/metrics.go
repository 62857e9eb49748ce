package audit

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/observe"
)

// Metrics are the trail's, with upstream's names. They are safe for concurrent use.
type Metrics struct {
	observe.Collectors
	events, rejected prometheus.Counter
	errors, levels   *prometheus.CounterVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "apiserver_audit_" + name, Help: help}
	}
	m := &Metrics{
		events:   prometheus.NewCounter(opts("event_total", "Audit events that were made and given to the backends.")),
		rejected: prometheus.NewCounter(opts("requests_rejected_total", "Requests that were refused since they could not be recorded.")),
		errors:   prometheus.NewCounterVec(opts("error_total", "Audit events that were lost, by the plug-in that lost them."), []string{"plugin"}),
		levels:   prometheus.NewCounterVec(opts("level_total", "Requests by the level that the audit policy has for them."), []string{"level"}),
	}
	m.Collectors = observe.Collectors{m.events, m.rejected, m.errors, m.levels}
	return m
}
