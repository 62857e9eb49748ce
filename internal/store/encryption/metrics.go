package encryption

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/observe"
)

// Metrics are those of encryption, with upstream's names. They are safe for concurrent use.
type Metrics struct {
	observe.Collectors
	operations, reloads *prometheus.CounterVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	m := &Metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_storage_transformation_operations_total", Help: "Values that were sealed (to_storage) and opened (from_storage).",
		}, []string{"resource", "transformation_type", "transformer_prefix", "status"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_encryption_config_controller_automatic_reloads_total", Help: "Reloads of the encryption configuration.",
		}, []string{"status"}),
	}
	m.Collectors = observe.Collectors{m.operations, m.reloads}
	return m
}

// transformed counts one value. Values that no rule names are not counted, as upstream.
func (m *Metrics) transformed(way, prefix, resource string, err error) {
	if prefix == "" && err == nil {
		return
	}
	status := "OK"
	if err != nil {
		status = "Unknown"
	}
	m.operations.WithLabelValues(resource, way, prefix, status).Inc()
}
