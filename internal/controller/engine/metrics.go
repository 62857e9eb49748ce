package engine

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics tell of the queues of an engine's controllers, by upstream's names and with its buckets: depth, additions, how long keys wait and
// how long they are worked on. Each queue's label is Controller.Queue. It is a prometheus.Collector and safe for concurrent use.
type Metrics struct {
	adds, retries                         *prometheus.CounterVec
	waits, works                          *prometheus.HistogramVec
	depth, limit, unfinished, longestWork *prometheus.Desc

	mu     sync.Mutex // guards queues
	queues map[string]*queue
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that tell nothing until an engine that was given them runs.
func NewMetrics() *Metrics {
	name := []string{"name"}
	buckets := prometheus.ExponentialBuckets(10e-9, 10, 10)
	counter := func(n, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: "workqueue", Name: n, Help: help}, name)
	}
	histogram := func(n, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Subsystem: "workqueue", Name: n, Help: help, Buckets: buckets}, name)
	}
	gauge := func(n, help string) *prometheus.Desc { return prometheus.NewDesc(n, help, name, nil) }
	return &Metrics{
		adds:        counter("adds_total", "Keys that were added to a queue."),
		retries:     counter("retries_total", "Keys that were added to be looked at later."),
		waits:       histogram("queue_duration_seconds", "How long keys wait in a queue, in seconds."),
		works:       histogram("work_duration_seconds", "How long the work on a key takes, in seconds."),
		depth:       gauge("workqueue_depth", "Keys that wait in a queue."),
		unfinished:  gauge("workqueue_unfinished_work_seconds", "How long the work that is going on has taken so far, all keys together, in seconds."),
		longestWork: gauge("workqueue_longest_running_processor_seconds", "How long the longest work that is going on has taken so far, in seconds."),
		limit:       gauge("floe_workqueue_limit", "Keys that may wait in a queue before its inputs are held up."),
		queues:      map[string]*queue{},
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.adds, m.retries, m.waits, m.works} {
		c.Describe(out)
	}
	for _, d := range []*prometheus.Desc{m.depth, m.unfinished, m.longestWork, m.limit} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.adds, m.retries, m.waits, m.works} {
		c.Collect(out)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, q := range m.queues {
		depth, unfinished, longest := q.load()
		for _, g := range []struct {
			desc *prometheus.Desc
			v    float64
		}{{m.depth, float64(depth)}, {m.unfinished, unfinished.Seconds()}, {m.longestWork, longest.Seconds()}, {m.limit, float64(q.limit)}} {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.v, name)
		}
	}
}

// meter returns what counts for the queue of a name; nil, which counts nothing, without metrics.
func (m *Metrics) meter(name string) *meter {
	if m == nil {
		return nil
	}
	return &meter{m.adds.WithLabelValues(name), m.retries.WithLabelValues(name), m.waits.WithLabelValues(name), m.works.WithLabelValues(name)}
}

// show makes q the queue of a name, in place of that of an engine that ran before.
func (m *Metrics) show(name string, q *queue) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues[name] = q
}

// meter counts for one queue.
type meter struct {
	adds, retries prometheus.Counter
	waits, works  prometheus.Observer
}

func (m *meter) add() {
	if m != nil {
		m.adds.Inc()
	}
}

func (m *meter) retry() {
	if m != nil {
		m.retries.Inc()
	}
}

func (m *meter) waited(d time.Duration) {
	if m != nil {
		m.waits.Observe(d.Seconds())
	}
}

func (m *meter) worked(d time.Duration) {
	if m != nil {
		m.works.Observe(d.Seconds())
	}
}
