package nodelifecycle

import "github.com/prometheus/client_golang/prometheus"

// Metrics tell of zones, by upstream's names. It is a prometheus.Collector and safe for concurrent use.
type Metrics struct {
	health, size, unhealthy *prometheus.GaugeVec
	evictions               *prometheus.CounterVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that tell nothing until a controller was given them.
func NewMetrics() *Metrics {
	label := []string{"zone"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Subsystem: "node_collector", Name: name, Help: help}, label)
	}
	return &Metrics{
		health:    gauge("zone_health", "Percentage of nodes that are ready, by zone."),
		size:      gauge("zone_size", "Registered nodes, by zone."),
		unhealthy: gauge("unhealthy_nodes_in_zone", "Nodes that are not ready, by zone."),
		evictions: prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: "node_collector", Name: "evictions_total",
			Help: "Nodes that were tainted so that their pods are evicted, by zone."}, label),
	}
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.health, m.size, m.unhealthy, m.evictions}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(out)
	}
}

// show tells of a zone; one without nodes is well.
func (m *Metrics) show(name string, z *zone) {
	size, share := z.ready+z.unready, 100.0
	if size > 0 {
		share = 100 * float64(z.ready) / float64(size)
	}
	m.size.WithLabelValues(name).Set(float64(size))
	m.health.WithLabelValues(name).Set(share)
	m.unhealthy.WithLabelValues(name).Set(float64(z.unready))
}
