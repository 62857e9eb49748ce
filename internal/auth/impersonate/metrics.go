package impersonate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/observe"
)

// Metrics count attempts and the rights that they ask for, by upstream's names. Make one for an Impersonator and register it; it is safe for concurrent use.
type Metrics struct {
	observe.Collectors
	attempts, questions    *prometheus.CounterVec
	attemptsTook, askTooks *prometheus.HistogramVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	by := []string{"mode", "decision"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_impersonation_" + name + "_total", Help: help}, by)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		buckets := prometheus.ExponentialBuckets(0.001, 2, 15)
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "apiserver_impersonation_" + name + "_duration_seconds", Help: help, Buckets: buckets}, by)
	}
	m := &Metrics{
		attempts:     counter("attempts", "Attempts to act as another user."),
		attemptsTook: histogram("attempts", "Time until an attempt to act as another user was decided."),
		questions:    counter("authorization_attempts", "Rights that such attempts asked for."),
		askTooks:     histogram("authorization_attempts", "Time until such a right was decided."),
	}
	m.Collectors = observe.Collectors{m.attempts, m.attemptsTook, m.questions, m.askTooks}
	return m
}

func (m *Metrics) attempt(mode, decision string, took time.Duration) {
	if m != nil {
		m.attempts.WithLabelValues(mode, decision).Inc()
		m.attemptsTook.WithLabelValues(mode, decision).Observe(seconds(took))
	}
}

func (m *Metrics) asked(mode string, decision auth.Decision, took time.Duration) {
	if m == nil {
		return
	}
	label := denied
	if decision == auth.Allow {
		label = allowed
	}
	m.questions.WithLabelValues(mode, label).Inc()
	m.askTooks.WithLabelValues(mode, label).Observe(seconds(took))
}
