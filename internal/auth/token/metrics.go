package token

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/observe"
)

// Metrics count tokens that are checked, under upstream's names. A nil *Metrics counts nothing. It is safe for concurrent use.
type Metrics struct {
	observe.Collectors
	legacy, auto, manual, marked, stale, fresh prometheus.Counter
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that have counted nothing.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "serviceaccount_" + name, Help: help})
	}
	m := &Metrics{
		legacy: counter("legacy_tokens_total", "Tokens without an audience that were used."),
		auto:   counter("legacy_auto_token_uses_total", "Uses of tokens in secrets that their account lists."),
		manual: counter("legacy_manual_token_uses_total", "Uses of tokens in secrets that somebody made."),
		marked: counter("invalid_legacy_auto_token_uses_total", "Uses of tokens in secrets that are marked as invalid."),
		stale:  counter("stale_tokens_total", "Pods' tokens that were used later than they should have been renewed."),
		fresh:  counter("valid_tokens_total", "Pods' tokens that were used in time."),
	}
	m.Collectors = observe.Collectors{m.legacy, m.auto, m.manual, m.marked, m.stale, m.fresh}
	return m
}

func (m *Metrics) count(which func(*Metrics) prometheus.Counter) {
	if m != nil {
		which(m).Inc()
	}
}
