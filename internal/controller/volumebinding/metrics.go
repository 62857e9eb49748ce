package volumebinding

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// unknown stands for a plug-in that has no name.
const unknown = "N/A"

// remembered bounds the operations that are timed at once; those beyond it are not.
const remembered = 65536

// Metrics count volumes and claims when they are asked, and operations as they go, by upstream's names and with its buckets. It is a prometheus.Collector and safe
// for concurrent use. A nil one counts nothing.
type Metrics struct {
	view func() client.View // nil when there is nothing to see yet

	volumes, boundVolumes, unboundVolumes, boundClaims, unboundClaims *prometheus.Desc
	errors, olderErrors                                               *prometheus.CounterVec
	classes, classErrors                                              prometheus.Counter
	times                                                             *prometheus.HistogramVec

	mu      sync.Mutex           // guards started; a leaf
	started map[string]operation // by namespace/name of a claim, or name of a volume
}

// operation is what somebody was asked to do, and when.
type operation struct {
	plugin, name string
	at           time.Time
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics of the volumes and claims that view shows.
func NewMetrics(view func() client.View) *Metrics {
	gauge := func(n, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pv_collector_"+n, help, labels, nil)
	}
	counter := func(n, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: n, Help: help})
	}
	of := []string{"plugin_name", "operation_name"}
	const errors, claim = "Provisionings and deletions of volumes that failed.", "Claims that have no class and were given the default one"
	return &Metrics{
		view:           view,
		volumes:        gauge("total_pv_count", "Volumes.", "plugin_name", "volume_mode"),
		boundVolumes:   gauge("bound_pv_count", "Volumes that are bound.", "storage_class"),
		unboundVolumes: gauge("unbound_pv_count", "Volumes that are not bound.", "storage_class"),
		boundClaims:    gauge("bound_pvc_count", "Claims that are bound.", "namespace", "storage_class", "volume_attributes_class"),
		unboundClaims:  gauge("unbound_pvc_count", "Claims that are not bound.", "namespace", "storage_class", "volume_attributes_class"),
		errors:         prometheus.NewCounterVec(prometheus.CounterOpts{Name: "volume_operation_errors_total", Help: errors}, of),
		olderErrors:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "volume_operation_total_errors", Help: errors}, of),
		classes:        counter("retroactive_storageclass_total", claim+"."),
		classErrors:    counter("retroactive_storageclass_errors_total", claim+", in vain."),
		times: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "volume_operation_total_seconds", Help: "How long it takes from asking for a volume, or for its deletion, until it is there, or gone, in seconds.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 15, 25, 50, 120, 300, 600},
		}, of),
		started: map[string]operation{},
	}
}

// told is what a write calls with its outcome; it tells nothing to anybody else.
type told = func(stored kinds.Object, err error) *engine.Event

// assigned counts a claim that was given the default class.
func (m *Metrics) assigned(err error) {
	if m == nil {
		return
	}
	m.classes.Inc()
	if err != nil {
		m.classErrors.Inc()
	}
}

// begins times an operation from when a write asks for it.
func (m *Metrics) begins(key, plugin, name string, now time.Time) told {
	return func(_ kinds.Object, err error) *engine.Event {
		if m == nil || err != nil {
			return nil
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if _, there := m.started[key]; !there && len(m.started) < remembered {
			m.started[key] = operation{plugin, name, now}
		}
		return nil
	}
}

// refused counts a write that failed as an error of the operation that it belongs to, if any.
func (m *Metrics) refused(key string) told {
	return func(_ kinds.Object, err error) *engine.Event {
		if m == nil || err == nil {
			return nil
		}
		m.mu.Lock()
		op, ok := m.started[key]
		m.mu.Unlock()
		if ok {
			m.errors.WithLabelValues(op.plugin, op.name).Inc()
			m.olderErrors.WithLabelValues(op.plugin, op.name).Inc()
		}
		return nil
	}
}

// ends ends the time of an operation when a write that completes it succeeds.
func (m *Metrics) ends(key string, now time.Time) told {
	return func(_ kinds.Object, err error) *engine.Event {
		if op, ok := m.take(key, err == nil); ok {
			m.times.WithLabelValues(op.plugin, op.name).Observe(now.Sub(op.at).Seconds())
		}
		return nil
	}
}

// gone ends the time of what concerned an object that is there no longer: a volume's deletion is done, what a claim waited for is not.
func (m *Metrics) gone(key engine.Key, now time.Time) {
	if op, ok := m.take(key.String(), true); ok && key.Resource == volumes() {
		m.times.WithLabelValues(op.plugin, op.name).Observe(now.Sub(op.at).Seconds())
	}
}

// take forgets an operation.
func (m *Metrics) take(key string, done bool) (op operation, ok bool) {
	if m == nil || !done {
		return op, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	op, ok = m.started[key]
	delete(m.started, key)
	return op, ok
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.volumes, m.boundVolumes, m.unboundVolumes, m.boundClaims, m.unboundClaims} {
		out <- d
	}
	for _, c := range m.counters() {
		c.Describe(out)
	}
}

func (m *Metrics) counters() []prometheus.Collector {
	return []prometheus.Collector{m.errors, m.olderErrors, m.classes, m.classErrors, m.times}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.counters() {
		c.Collect(out)
	}
	view := m.view()
	if view == nil {
		return
	}
	count := map[*prometheus.Desc]map[[3]string]int{}
	add := func(d *prometheus.Desc, labels [3]string) {
		if count[d] == nil {
			count[d] = map[[3]string]int{}
		}
		count[d][labels]++
	}
	for obj := range view.List(volumes(), "") {
		v := obj.(*corev1.PersistentVolume)
		add(m.volumes, [3]string{pluginOf(v), string(ptr.Deref(v.Spec.VolumeMode, corev1.PersistentVolumeFilesystem))})
		add(pick(v.Status.Phase == corev1.VolumeBound, m.boundVolumes, m.unboundVolumes), [3]string{v.Spec.StorageClassName})
	}
	for obj := range view.List(claims(), "") {
		c := obj.(*corev1.PersistentVolumeClaim)
		add(pick(c.Status.Phase == corev1.ClaimBound, m.boundClaims, m.unboundClaims),
			[3]string{c.Namespace, volume.GetPersistentVolumeClaimClass(c), ptr.Deref(c.Spec.VolumeAttributesClassName, "")})
	}
	for d, n := range map[*prometheus.Desc]int{m.volumes: 2, m.boundVolumes: 1, m.unboundVolumes: 1, m.boundClaims: 3, m.unboundClaims: 3} {
		for labels, v := range count[d] {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels[:n]...)
		}
	}
}

func pick(yes bool, a, b *prometheus.Desc) *prometheus.Desc {
	if yes {
		return a
	}
	return b
}

// pluginOf is the plug-in that upstream's controller knows a volume by: it knows two.
func pluginOf(v *corev1.PersistentVolume) string {
	switch {
	case v.Spec.HostPath != nil:
		return inTree + "host-path"
	case v.Spec.NFS != nil:
		return inTree + "nfs"
	}
	return unknown
}
