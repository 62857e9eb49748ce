package wire

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// component is what upstream's metrics call the API's own requests.
const component = "apiserver"

// series names what a request is counted under, by upstream's labels. What is not served is counted together, or whoever asks for names
// that do not exist could make as many series.
type series struct {
	verb, group, version, resource, subresource, scope, dryRun string
	code                                                       int
}

func (s series) labels() []string {
	return []string{s.verb, s.group, s.version, s.resource, s.subresource, s.scope, component}
}

// counted are the metrics of one series.
type counted struct {
	total                prometheus.Counter
	duration, sli, sizes prometheus.Observer
}

// Metrics are the API's, with upstream's names and labels. Make one for a Handler and register it; it is safe for concurrent use.
type Metrics struct {
	requests    *prometheus.CounterVec
	durations   *prometheus.HistogramVec
	sli         *prometheus.HistogramVec
	sizes       *prometheus.HistogramVec
	longRunning *prometheus.GaugeVec
	inflight    *prometheus.GaugeVec
	events      *prometheus.CounterVec
	terminated  *prometheus.CounterVec

	// A lookup by seven labels costs more than all of the counting.
	mu    sync.RWMutex
	known map[series]*counted
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	by := []string{"verb", "group", "version", "resource", "subresource", "scope", "component"}
	withDryRun := []string{"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"}
	histogram := func(name, help string, buckets []float64, labels []string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	gauge := func(name, help string, labels []string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string, labels []string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	durations := []float64{0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60}
	return &Metrics{
		known:       map[series]*counted{},
		requests:    counter("apiserver_request_total", "Requests that were answered.", append(withDryRun[:8:8], "code")),
		durations:   histogram("apiserver_request_duration_seconds", "Time from a request's arrival to the end of its answer.", durations, withDryRun),
		sli:         histogram("apiserver_request_sli_duration_seconds", "The same, without what others made it wait for.", durations[2:], by),
		sizes:       histogram("apiserver_response_sizes", "Bytes of answers.", prometheus.ExponentialBuckets(1000, 10, 7), by),
		longRunning: gauge("apiserver_longrunning_requests", "Requests in progress that last as long as the client wants.", by),
		inflight:    gauge("apiserver_current_inflight_requests", "Requests in progress that count towards the limit.", []string{"request_kind"}),
		events:      counter("apiserver_watch_events_total", "Events sent to watchers.", []string{"group", "version", "resource"}),
		terminated:  counter("apiserver_request_terminations_total", "Requests refused in self-defence.", append(by[:7:7], "code")),
	}
}

func (m *Metrics) each(f func(prometheus.Collector)) {
	for _, c := range []prometheus.Collector{m.requests, m.durations, m.sli, m.sizes, m.longRunning, m.inflight, m.events, m.terminated} {
		f(c)
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	m.each(func(c prometheus.Collector) { c.Describe(out) })
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.each(func(c prometheus.Collector) { c.Collect(out) })
}

func (m *Metrics) of(s series) *counted {
	m.mu.RLock()
	c := m.known[s]
	m.mu.RUnlock()
	if c != nil {
		return c
	}
	labels := s.labels()
	dry := append([]string{s.verb, s.dryRun}, labels[1:]...)
	c = &counted{
		total: m.requests.WithLabelValues(append(dry, strconv.Itoa(s.code))...), duration: m.durations.WithLabelValues(dry...),
		sli: m.sli.WithLabelValues(labels...), sizes: m.sizes.WithLabelValues(labels...),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[s] = c
	return c
}

// recorder is a response writer that knows what was answered.
type recorder struct {
	http.ResponseWriter
	code  int
	bytes int
	guard *guard // nil: the connection's own deadlines hold
}

// Unwrap lets http.ResponseController find what it needs.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	if r.guard == nil {
		n, err := r.ResponseWriter.Write(b)
		r.bytes += n
		return n, err
	}
	n := 0
	err := r.guard.during(func() (err error) {
		n, err = r.ResponseWriter.Write(b)
		return err
	})
	r.bytes += n
	return n, err
}

// FlushError lets http.ResponseController flush, in the time that the client has for it.
func (r *recorder) FlushError() error {
	flush := http.NewResponseController(r.ResponseWriter).Flush
	if r.guard == nil {
		return flush()
	}
	return r.guard.during(flush)
}

// countedVerb is a verb as upstream counts it.
func (t *target) countedVerb() string {
	switch {
	case t.follow, t.subresource == "log":
		return "CONNECT"
	case t.verb == "create":
		return http.MethodPost
	case t.verb == "update":
		return http.MethodPut
	case t.verb == "":
		return t.method
	}
	return strings.ToUpper(t.verb)
}

// series says what the call is counted under. code is that of its answer.
func (c *call) series(code int) series {
	if c.kind == nil {
		return series{verb: c.path.method, code: code}
	}
	s := series{verb: c.path.countedVerb(), code: code}
	s.group, s.version, s.resource, s.subresource = c.kind.GVK.Group, c.kind.GVK.Version, c.kind.Resource, c.path.subresource
	switch {
	case c.path.name != "":
		s.scope = "resource"
	case c.path.namespace != "":
		s.scope = "namespace"
	default:
		s.scope = "cluster"
	}
	if c.path.changes() && strings.Contains(c.r.URL.RawQuery, "dryRun=All") {
		s.dryRun = "All"
	}
	return s
}

// begin notes a call in progress, and returns what is called at its end. Without metrics it does nothing.
func (m *Metrics) begin(c *call, now func() time.Time) (end func()) {
	if m == nil {
		return func() {}
	}
	start := now()
	var running prometheus.Gauge
	switch {
	case c.path.long():
		running = m.longRunning.WithLabelValues(c.series(0).labels()...)
	case c.path.changes():
		running = m.inflight.WithLabelValues("mutating")
	default:
		running = m.inflight.WithLabelValues("readOnly")
	}
	running.Inc()
	return func() {
		running.Dec()
		counted := m.of(c.series(c.answered.code))
		counted.total.Inc()
		if c.path.long() {
			return
		}
		seconds := now().Sub(start).Seconds()
		counted.duration.Observe(seconds)
		counted.sli.Observe(seconds)
		if c.path.verb == "get" || c.path.verb == "list" {
			counted.sizes.Observe(float64(c.answered.bytes))
		}
	}
}

// refused counts a call that was refused in self-defence.
func (m *Metrics) refused(c *call) {
	if m != nil {
		s := c.series(http.StatusTooManyRequests)
		m.terminated.WithLabelValues(append(s.labels(), strconv.Itoa(s.code))...).Inc()
	}
}

// sent counts events that go to watchers of a resource; nil when nothing is counted.
func (m *Metrics) sent(res schema.GroupVersionResource) prometheus.Counter {
	if m == nil {
		return nil
	}
	return m.events.WithLabelValues(res.Group, res.Version, res.Resource)
}
