package attachdetach

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Metrics count volumes when they are asked, and what was done by force, by upstream's names. It is a prometheus.Collector and safe for concurrent use. A nil one
// counts nothing.
type Metrics struct {
	view         func() client.View // nil when there is nothing to see yet
	inUse, total *prometheus.Desc
	byForce      *prometheus.CounterVec
	times        *prometheus.HistogramVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics of what view shows.
func NewMetrics(view func() client.View) *Metrics {
	return &Metrics{
		view: view,
		inUse: prometheus.NewDesc("storage_count_attachable_volumes_in_use", "Volumes of pods that have to be attached.",
			[]string{"node", "volume_plugin"}, nil),
		total: prometheus.NewDesc("attachdetach_controller_total_volumes", "Volumes that are to be attached, and that are.",
			[]string{"plugin_name", "state"}, nil),
		byForce: prometheus.NewCounterVec(prometheus.CounterOpts{
			Subsystem: "attach_detach_controller", Name: "attachdetach_controller_forced_detaches", Help: "Volumes that were detached although they were mounted.",
		}, []string{"reason"}),
		times: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "storage_operation_duration_seconds", Help: "How long attaching takes, in seconds.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 15, 25, 50, 120, 300, 600},
		}, []string{"volume_plugin", "operation_name", "status", "migrated"}),
	}
}

// forced counts a write that detaches what is mounted.
func (m *Metrics) forced(overdue bool) func(kinds.Object, error) *engine.Event {
	return func(_ kinds.Object, err error) *engine.Event {
		reason := "out-of-service"
		if overdue {
			reason = "timeout"
		}
		if m != nil && err == nil {
			m.byForce.WithLabelValues(reason).Inc()
		}
		return nil
	}
}

// attached counts how long it took, when a write that tells the node is done.
func (m *Metrics) attached(list []*held, now time.Time) func(kinds.Object, error) *engine.Event {
	return func(_ kinds.Object, err error) *engine.Event {
		if m == nil || err != nil {
			return nil
		}
		for _, a := range list {
			m.times.WithLabelValues(pluginOf(a.Spec.Attacher), "volume_attach", "success", strconv.FormatBool(a.migrated)).
				Observe(now.Sub(a.CreationTimestamp.Time).Seconds())
		}
		return nil
	}
}

func pluginOf(driver string) string { return plugin + ":" + driver }

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.inUse
	out <- m.total
	m.byForce.Describe(out)
	m.times.Describe(out)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.byForce.Collect(out)
	m.times.Collect(out)
	view := m.view()
	if view == nil {
		return
	}
	inUse, desired, actual, seen := map[[2]string]int{}, map[[2]string]int{}, map[[2]string]int{}, map[string]bool{}
	podsOf(view, func(node string, t *target) {
		inUse[[2]string{node, pluginOf(t.driver)}]++
		if id := attachment(t.driver, t.handle, node); !seen[id] {
			seen[id] = true
			desired[[2]string{pluginOf(t.driver), "desired_state_of_world"}]++
		}
	})
	for obj := range view.List(attachments(), "") {
		actual[[2]string{pluginOf(obj.(*storagev1.VolumeAttachment).Spec.Attacher), "actual_state_of_world"}]++
	}
	tell := func(d *prometheus.Desc, counts map[[2]string]int) {
		for labels, n := range counts {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels[:]...)
		}
	}
	tell(m.inUse, inUse)
	tell(m.total, desired)
	tell(m.total, actual)
}
