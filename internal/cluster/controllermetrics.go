package cluster

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/controller/nodeipam"
	"github.com/floe-k8s/floe/internal/controller/nodelifecycle"
	"github.com/floe-k8s/floe/internal/controller/podautoscaler"
	"github.com/floe-k8s/floe/internal/controller/podgc"
	"github.com/floe-k8s/floe/internal/controller/tainteviction"
)

// controllerMetrics are those of single controllers, beside their queues'.
type controllerMetrics struct {
	nodes     *nodelifecycle.Metrics
	evictions *tainteviction.Metrics
	pods      *podgc.Metrics
	scaling   *podautoscaler.Metrics
	ranges    *nodeipam.Metrics
}

func newControllerMetrics() *controllerMetrics {
	return &controllerMetrics{nodelifecycle.NewMetrics(), tainteviction.NewMetrics(), podgc.NewMetrics(), podautoscaler.NewMetrics(), nodeipam.NewMetrics()}
}

func (m *controllerMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.nodes, m.evictions, m.pods, m.scaling, m.ranges}
}
