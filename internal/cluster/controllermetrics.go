package cluster

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/controller/nodelifecycle"
	"github.com/floe-k8s/floe/internal/controller/podautoscaler"
)

// controllerMetrics are those of single controllers, beside their queues'.
type controllerMetrics struct {
	nodes       *nodelifecycle.Metrics
	autoscaling *podautoscaler.Metrics
}

func newControllerMetrics() *controllerMetrics {
	return &controllerMetrics{nodes: nodelifecycle.NewMetrics(), autoscaling: podautoscaler.NewMetrics()}
}

func (m *controllerMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.nodes, m.autoscaling}
}
