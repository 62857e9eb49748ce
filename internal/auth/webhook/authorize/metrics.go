package authorize

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/observe"
)

// Metrics count questions, by upstream's names. One serves many Authorizers; register it. It is safe for concurrent use.
type Metrics struct {
	observe.Collectors
	evaluations, open *prometheus.CounterVec
	durations         *prometheus.HistogramVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	by := []string{"name", "result"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_authorization_webhook_" + name + "_total", Help: help}, by)
	}
	m := &Metrics{
		evaluations: counter("evaluations", "Questions that were sent to authorization webhooks."),
		open:        counter("evaluations_fail_open", "Questions that a webhook failed to answer and that others decided."),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_authorization_webhook_duration_seconds", Help: "Time until a webhook has answered, or failed to.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}, by),
	}
	m.Collectors = observe.Collectors{m.evaluations, m.open, m.durations}
	return m
}

func (m *Metrics) asked(name, result string, took time.Duration) {
	if m != nil {
		m.evaluations.WithLabelValues(name, result).Inc()
		m.durations.WithLabelValues(name, result).Observe(max(0, took.Seconds()))
	}
}

func (m *Metrics) failedOpen(name, result string) {
	if m != nil {
		m.open.WithLabelValues(name, result).Inc()
	}
}
