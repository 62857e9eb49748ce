package observe

import "github.com/prometheus/client_golang/prometheus"

// Collectors are several collectors as one, for a part's metrics to embed. They are not changed after the part is made.
type Collectors []prometheus.Collector

var _ prometheus.Collector = Collectors(nil)

// Describe implements prometheus.Collector.
func (list Collectors) Describe(out chan<- *prometheus.Desc) {
	for _, c := range list {
		c.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (list Collectors) Collect(out chan<- prometheus.Metric) {
	for _, c := range list {
		c.Collect(out)
	}
}
