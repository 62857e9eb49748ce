package wire

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// slisPath tells, apart from all other metrics, what the health pages have found: few series, which may be read often.
const slisPath = "/metrics/slis"

// checkMetrics count the checks of health pages by upstream's names. They are safe for concurrent use.
type checkMetrics struct {
	last  *prometheus.GaugeVec
	total *prometheus.CounterVec
	page  http.Handler
}

// newCheckMetrics returns the metrics of a server that began at a time.
func newCheckMetrics(began time.Time) *checkMetrics {
	by := []string{"name", "type"}
	m := &checkMetrics{
		last:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kubernetes_healthcheck", Help: "1 when a check passed last, 0 when it failed."}, by),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kubernetes_healthchecks_total", Help: "Checks that were made."}, append(by[:2:2], "status")),
	}
	start := prometheus.NewGauge(prometheus.GaugeOpts{Name: "process_start_time_seconds", Help: "When the server began, in seconds since 1970."})
	start.Set(float64(began.UnixMilli()) / 1000)
	r := prometheus.NewRegistry()
	r.MustRegister(m.last, m.total, start)
	m.page = promhttp.HandlerFor(r, promhttp.HandlerOpts{})
	return m
}

// observe counts one check of a page.
func (m *checkMetrics) observe(name, page string, passed bool) {
	value, status := 0.0, "error"
	if passed {
		value, status = 1, "success"
	}
	m.last.WithLabelValues(name, page).Set(value)
	m.total.WithLabelValues(name, page, status).Inc()
}
