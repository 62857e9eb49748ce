package cluster

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/attachdetach"
	"github.com/floe-k8s/floe/internal/controller/devicetainteviction"
	"github.com/floe-k8s/floe/internal/controller/ephemeralvolume"
	"github.com/floe-k8s/floe/internal/controller/nodeipam"
	"github.com/floe-k8s/floe/internal/controller/nodelifecycle"
	"github.com/floe-k8s/floe/internal/controller/podautoscaler"
	"github.com/floe-k8s/floe/internal/controller/podgc"
	"github.com/floe-k8s/floe/internal/controller/resourceclaim"
	"github.com/floe-k8s/floe/internal/controller/tainteviction"
	"github.com/floe-k8s/floe/internal/controller/volumebinding"
)

// controllerMetrics are those of single controllers, beside their queues'.
type controllerMetrics struct {
	nodes     *nodelifecycle.Metrics
	evictions *tainteviction.Metrics
	pods      *podgc.Metrics
	scaling   *podautoscaler.Metrics
	ranges    *nodeipam.Metrics
	volumes   *volumebinding.Metrics
	ephemeral *ephemeralvolume.Metrics
	attached  *attachdetach.Metrics
	claims    *resourceclaim.Metrics
	devices   *devicetainteviction.Metrics
}

// newControllerMetrics returns metrics, some of which look at what a user sees when they are asked: nil when nothing can be seen.
func newControllerMetrics(seenBy func(user string) func() client.View) *controllerMetrics {
	return &controllerMetrics{
		nodes: nodelifecycle.NewMetrics(), evictions: tainteviction.NewMetrics(), pods: podgc.NewMetrics(), scaling: podautoscaler.NewMetrics(), ranges: nodeipam.NewMetrics(),
		volumes: volumebinding.NewMetrics(seenBy(volumebinding.User)), ephemeral: ephemeralvolume.NewMetrics(),
		attached: attachdetach.NewMetrics(seenBy(attachdetach.User)), claims: resourceclaim.NewMetrics(seenBy(resourceclaim.User)),
		devices: devicetainteviction.NewMetrics(),
	}
}

// seenBy returns what shows a user everything as it is now; nil when it cannot be seen.
func (s *server) seenBy(user string) func() client.View {
	return func() client.View {
		if view, err := s.client(user).View(context.Background()); err == nil {
			return view
		}
		return nil
	}
}

func (m *controllerMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.nodes, m.evictions, m.pods, m.scaling, m.ranges, m.volumes, m.ephemeral, m.attached, m.claims, m.devices,
	}
}
