package tainteviction

import "github.com/prometheus/client_golang/prometheus"

// Metrics tell of pods that were deleted, by upstream's names. It is a prometheus.Collector and safe for concurrent use.
type Metrics struct {
	deletions prometheus.Counter
	late      prometheus.Histogram
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that tell nothing until a controller was given them.
func NewMetrics() *Metrics {
	const subsystem = "taint_eviction_controller"
	return &Metrics{
		deletions: prometheus.NewCounter(prometheus.CounterOpts{Subsystem: subsystem, Name: "pod_deletions_total", Help: "Pods that were deleted because of taints."}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{Subsystem: subsystem, Name: "pod_deletion_duration_seconds",
			Help:    "How long after it was due a pod was deleted because of taints, in seconds.",
			Buckets: []float64{0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240}}),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	m.deletions.Describe(out)
	m.late.Describe(out)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.deletions.Collect(out)
	m.late.Collect(out)
}
