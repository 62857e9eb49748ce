package external

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/floe-k8s/floe/internal/observe"
)

// Metrics count calls of a signer, under upstream's names. A nil *Metrics counts nothing. It is safe for concurrent use.
type Metrics struct {
	observe.Collectors
	fetches, signs  *prometheus.CounterVec
	lasted          *prometheus.HistogramVec
	fetchedAt, data *prometheus.GaugeVec // no labels: until they are set they are not told
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that have counted nothing.
func NewMetrics() *Metrics {
	const prefix = "apiserver_externaljwt_"
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, nil)
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{"code"})
	}
	m := &Metrics{
		fetches:   counter("fetch_keys_request_total", "Questions for an external signer's keys."),
		signs:     counter("sign_request_total", "Tokens that an external signer was to sign."),
		fetchedAt: gauge("fetch_keys_success_timestamp", "When an external signer last said its keys, in seconds since 1970."),
		data:      gauge("fetch_keys_data_timestamp", "When it had them, by its own word, in seconds since 1970."),
		lasted: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "request_duration_seconds", Help: "How long an external signer took to answer.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "code"}),
	}
	m.Collectors = observe.Collectors{m.fetches, m.signs, m.fetchedAt, m.data, m.lasted}
	return m
}

// codeOf is upstream's label for an error.
func codeOf(err error) string {
	if err == nil {
		return codes.OK.String()
	}
	var answered interface{ GRPCStatus() *status.Status }
	if errors.As(err, &answered) {
		return answered.GRPCStatus().Code().String()
	}
	return "unknown-non-grpc"
}

func (m *Metrics) called(method string, err error, took time.Duration) {
	if m != nil {
		m.lasted.WithLabelValues(method, codeOf(err)).Observe(took.Seconds())
	}
}

func (m *Metrics) signed(err error) {
	if m != nil {
		m.signs.WithLabelValues(codeOf(err)).Inc()
	}
}

func (m *Metrics) fetched(err error, now time.Time) {
	if m == nil {
		return
	}
	m.fetches.WithLabelValues(codeOf(err)).Inc()
	if err == nil {
		m.fetchedAt.WithLabelValues().Set(seconds(now))
	}
}

func (m *Metrics) told(at time.Time) {
	if m != nil {
		m.data.WithLabelValues().Set(seconds(at))
	}
}

func seconds(at time.Time) float64 { return float64(at.UnixNano()) / 1e9 }
