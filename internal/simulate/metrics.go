package simulate

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what a simulation does. They are safe for concurrent use.
type Metrics struct {
	nodes *prometheus.GaugeVec
	pods  prometheus.Gauge
	queue *prometheus.GaugeVec

	work, beats prometheus.Gauge // of queue
	writes      *prometheus.CounterVec
}

// NewMetrics returns metrics that are all zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		nodes: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "floe_simulation_nodes", Help: "Simulated nodes: up, down (failed), absent (not registered, or deleted)."}, []string{"state"}),
		pods:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "floe_simulation_pods", Help: "Pods of simulated nodes of which something is due."}),
		queue: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "floe_simulation_queue", Help: "Writes of the simulation that wait for a writer."}, []string{"of"}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "floe_simulation_writes_total", Help: "Writes of the simulation: register, node, remove, lease, pod, delete, stage.",
		}, []string{"what", "result"}),
	}
	m.work, m.beats = m.queue.WithLabelValues("work"), m.queue.WithLabelValues("heartbeats")
	return m
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.nodes, m.pods, m.queue, m.writes} {
		c.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.nodes, m.pods, m.queue, m.writes} {
		c.Collect(out)
	}
}

func (m *Metrics) wrote(what string, err error) {
	result := "success"
	if err != nil {
		result = "error"
	}
	m.writes.WithLabelValues(what, result).Inc()
}
