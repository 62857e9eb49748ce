package cluster

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/floe-k8s/floe/internal/api/fairness"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

// registry is what /metrics tells: the process, the API's requests, the store, and the controllers' queues.
func (s *server) registry(own ...prometheus.Collector) *prometheus.Registry {
	r := prometheus.NewRegistry()
	served := func() []*kinds.Kind { return s.api.Catalog().All() }
	r.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		s.queues, s.scheduling, s.seen, s.accounts, s.issuers, s.dialled, s.own, s.audited, s.webhooks, s.policies, s.admitted, s.simulation, s.pulls,
		newStoreMetrics(s.store, s.log, served), newAllocationMetrics(s.store, s.Config.Network.services().NodePorts),
	)
	r.MustRegister(own...)
	r.MustRegister(s.controlling.all()...)
	if s.fairness != nil {
		r.MustRegister(fairness.NewMetrics(s.fairness))
	}
	if s.tracing != nil {
		r.MustRegister(s.traced)
	}
	if s.externals != nil {
		r.MustRegister(s.externals)
	}
	if s.sealing != nil {
		r.MustRegister(s.sealing.Metrics)
	}
	return r
}

// storeMetrics reads the store's numbers when it is asked. Numbers of objects have upstream's names; the rest is floe's own.
type storeMetrics struct {
	table *store.Store
	log   store.Log
	kinds func() []*kinds.Kind // that are served when it is asked

	objects, storageObjects, storageSize *prometheus.Desc
	gauges                               []gauge
}

// gauge is one number of the table's or the log's; ok false: there is none.
type gauge struct {
	desc *prometheus.Desc
	read func(store.Stats, *pebble.Stats) (v float64, ok bool)
}

func newStoreMetrics(table *store.Store, log store.Log, list func() []*kinds.Kind) *storeMetrics {
	m := &storeMetrics{
		table: table, log: log, kinds: list,
		objects:        prometheus.NewDesc("apiserver_resource_objects", "Objects that are stored.", []string{"group", "resource"}, nil),
		storageObjects: prometheus.NewDesc("apiserver_storage_objects", "Objects that are stored, by the older name.", []string{"resource"}, nil),
		storageSize:    prometheus.NewDesc("apiserver_storage_size_bytes", "Bytes of the log on disk.", []string{"storage_cluster_id"}, nil),
	}
	of := func(name, help string, read func(store.Stats) float64) {
		m.add(name, help, func(t store.Stats, _ *pebble.Stats) (float64, bool) { return read(t), true })
	}
	ofLog := func(name, help string, read func(*pebble.Stats) float64) {
		m.add(name, help, func(_ store.Stats, l *pebble.Stats) (float64, bool) {
			if l == nil {
				return 0, false
			}
			return read(l), true
		})
	}
	of("revision", "Revision of the table's state.", func(t store.Stats) float64 { return float64(t.Revision) })
	of("events", "Events kept for watchers.", func(t store.Stats) float64 { return float64(t.Events) })
	of("event_bytes", "Bytes of events kept for watchers.", func(t store.Stats) float64 { return float64(t.EventBytes) })
	of("event_limit_bytes", "Most bytes of events.", func(t store.Stats) float64 { return float64(t.EventMost) })
	of("cursors", "Readers of events.", func(t store.Stats) float64 { return float64(t.Cursors) })
	of("forms", "Cached decoded objects and encodings.", func(t store.Stats) float64 { return float64(t.Forms) })
	of("form_bytes", "Bytes of cached decoded objects and encodings.", func(t store.Stats) float64 { return float64(t.FormBytes) })
	of("form_limit_bytes", "Most bytes of cached forms.", func(t store.Stats) float64 { return float64(t.FormMost) })
	of("waiters", "Requests that wait for a revision.", func(t store.Stats) float64 { return float64(t.Waiters) })
	ofLog("log_queue", "Transactions that wait for their group.", func(l *pebble.Stats) float64 { return float64(l.Queue) })
	ofLog("history_bytes", "Bytes of values that were replaced and are kept.", func(l *pebble.Stats) float64 { return float64(l.HistoryBytes) })
	ofLog("history_limit_bytes", "Most bytes of history.", func(l *pebble.Stats) float64 { return float64(l.HistoryMax) })
	ofLog("history_floor", "Oldest revision that can be read.", func(l *pebble.Stats) float64 { return float64(l.Floor) })
	ofLog("disk_free_bytes", "Bytes free on the log's disk; -1: not known.", func(l *pebble.Stats) float64 { return float64(l.FreeBytes) })
	ofLog("full", "1 while writes are refused for want of room.", func(l *pebble.Stats) float64 {
		if l.Full {
			return 1
		}
		return 0
	})
	return m
}

func (m *storeMetrics) add(name, help string, read func(store.Stats, *pebble.Stats) (float64, bool)) {
	m.gauges = append(m.gauges, gauge{prometheus.NewDesc("floe_store_"+name, help, nil, nil), read})
}

// Describe implements prometheus.Collector.
func (m *storeMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.objects, m.storageObjects, m.storageSize} {
		out <- d
	}
	for _, g := range m.gauges {
		out <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (m *storeMetrics) Collect(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	snapshot := m.table.Snapshot()
	for _, k := range m.kinds() {
		if !k.Keeps() {
			continue
		}
		n := float64(snapshot.Count(k.Prefix()))
		res := k.GVR().GroupResource()
		send(m.objects, n, res.Group, res.Resource)
		send(m.storageObjects, n, res.String())
	}
	var local *pebble.Stats
	if log, ok := m.log.(*pebble.Log); ok {
		stats := log.Stats()
		local = &stats
		send(m.storageSize, float64(stats.DiskBytes), "")
	}
	table := m.table.Stats()
	for _, g := range m.gauges {
		if v, ok := g.read(table, local); ok {
			send(g.desc, v)
		}
	}
}
