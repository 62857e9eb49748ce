package auth

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/observe"
)

// Metrics count what is authenticated, under upstream's names. A nil *Metrics counts nothing. It is safe for concurrent use.
type Metrics struct {
	observe.Collectors
	users, attempts, fetches, requests *prometheus.CounterVec
	took, cacheTook                    *prometheus.HistogramVec
	active                             *prometheus.GaugeVec
	left                               prometheus.Histogram
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that have counted nothing.
func NewMetrics() *Metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	doubling := prometheus.ExponentialBuckets(0.001, 2, 15)
	const cache = "authentication_token_cache_"
	m := &Metrics{
		users:    counter("authenticated_user_requests", "Requests of users, by the kind of their names.", "username"),
		attempts: counter("authentication_attempts", "Requests by how authentication ended.", "result"),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "authentication_duration_seconds", Help: "How long authentication took, by how it ended.", Buckets: doubling,
		}, []string{"result"}),
		fetches:   counter(cache+"fetch_total", "Tokens that were checked.", "status"),
		requests:  counter(cache+"request_total", "Tokens that were shown.", "status"),
		cacheTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: cache + "request_duration_seconds", Help: "How long a token took that was shown."}, []string{"status"}),
		active:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: cache + "active_fetch_count", Help: "Checks of tokens under way, and requests that wait for them."}, []string{"status"}),
		left: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "apiserver_client_certificate_expiration_seconds", Help: "How long the certificate that a request showed is still valid.",
			Buckets: []float64{0, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 345600, 604800, 2592000, 7776000, 15552000, 31104000},
		}),
	}
	m.Collectors = observe.Collectors{m.users, m.attempts, m.took, m.fetches, m.requests, m.cacheTook, m.active, m.left}
	return m
}

// Measure counts what a finds.
func (m *Metrics) Measure(a Authenticator, clk clock.PassiveClock) Authenticator {
	return func(r *http.Request) (User, bool, error) {
		began := clk.Now()
		user, ok, err := a(r)
		result := "success"
		switch {
		case err != nil:
			result = "error"
		case !ok:
			result = "failure"
		default:
			m.users.WithLabelValues(nameKind(user.Name)).Inc()
		}
		m.attempts.WithLabelValues(result).Inc()
		m.took.WithLabelValues(result).Observe(clk.Since(began).Seconds())
		return user, ok, err
	}
}

// nameKind is what metrics tell of a user's name: upstream's few.
func nameKind(name string) string {
	switch name {
	case "admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default":
		return name
	}
	if strings.Contains(name, "@") {
		return "email_id"
	}
	return "other"
}

// certificate is told how long a certificate is still valid.
func (m *Metrics) certificate(left time.Duration) {
	if m != nil {
		m.left.Observe(left.Seconds())
	}
}

func (m *Metrics) cached(status string, took time.Duration) {
	if m != nil {
		m.requests.WithLabelValues(status).Inc()
		m.cacheTook.WithLabelValues(status).Observe(float64(took.Milliseconds()) / 1000)
	}
}

func (m *Metrics) waits(status string, change float64) {
	if m != nil {
		m.active.WithLabelValues(status).Add(change)
	}
}

func (m *Metrics) fetched(err error) {
	if m == nil {
		return
	}
	status := "ok"
	if err != nil {
		status = "error"
	}
	m.fetches.WithLabelValues(status).Inc()
}
