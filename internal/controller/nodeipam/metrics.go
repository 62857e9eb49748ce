package nodeipam

import "github.com/prometheus/client_golang/prometheus"

// Metrics tell of nodes' ranges, by upstream's names. It is a prometheus.Collector and safe for concurrent use.
type Metrics struct {
	allocations, releases *prometheus.CounterVec
	most, usage           *prometheus.GaugeVec
	tries                 *prometheus.HistogramVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that tell nothing until a controller was given them.
func NewMetrics() *Metrics {
	const subsystem = "node_ipam_controller"
	label := []string{"clusterCIDR"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: subsystem, Name: name, Help: help}, label)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Subsystem: subsystem, Name: name, Help: help}, label)
	}
	return &Metrics{
		allocations: counter("cidrset_cidrs_allocations_total", "Nodes' ranges that were taken."),
		releases:    counter("cidrset_cidrs_releases_total", "Nodes' ranges that became free."),
		most:        gauge("cirdset_max_cidrs", "Nodes' ranges that there are."), // upstream's spelling
		usage:       gauge("cidrset_usage_cidrs", "Share of nodes' ranges that are taken."),
		tries: prometheus.NewHistogramVec(prometheus.HistogramOpts{Subsystem: subsystem, Name: "cidrset_allocation_tries_per_request",
			Help: "Ranges that were found taken while a free one was looked for.", Buckets: prometheus.ExponentialBuckets(1, 5, 5)}, label),
	}
}

func (m *Metrics) list() []prometheus.Collector {
	return []prometheus.Collector{m.allocations, m.releases, m.most, m.usage, m.tries}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.list() {
		c.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.list() {
		c.Collect(out)
	}
}

// show tells of a pool of which so many ranges were taken before.
func (m *Metrics) show(p *pool, before int) {
	name := p.whole.String()
	if p.taken > before {
		m.allocations.WithLabelValues(name).Add(float64(p.taken - before))
	} else if p.taken < before {
		m.releases.WithLabelValues(name).Add(float64(before - p.taken))
	}
	m.most.WithLabelValues(name).Set(float64(p.size()))
	m.usage.WithLabelValues(name).Set(float64(p.taken) / float64(p.size()))
}
