package podgc

import "github.com/prometheus/client_golang/prometheus"

// Why pods are forced away, as the metrics' label says it.
const (
	reasonTerminated   = "terminated"
	reasonOutOfService = "out-of-service"
	reasonOrphaned     = "orphaned"
	reasonUnscheduled  = "unscheduled"
)

// Metrics count pods that were forced away, by upstream's names. It is a prometheus.Collector and safe for concurrent use.
type Metrics struct{ all, failed *prometheus.CounterVec }

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that tell nothing until a controller was given them.
func NewMetrics() *Metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: "pod_gc_collector", Name: name, Help: help}, []string{"namespace", "reason"})
	}
	return &Metrics{counter("force_delete_pods_total", "Pods that were to be forced away."), counter("force_delete_pod_errors_total", "Pods that could not be forced away.")}
}

func (m *Metrics) count(namespace, reason string, err error) {
	m.all.WithLabelValues(namespace, reason).Inc()
	if err != nil {
		m.failed.WithLabelValues(namespace, reason).Inc()
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	m.all.Describe(out)
	m.failed.Describe(out)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.all.Collect(out)
	m.failed.Collect(out)
}
