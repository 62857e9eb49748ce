package wire

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"

	"github.com/floe-k8s/floe/internal/auth/impersonate"
	"github.com/floe-k8s/floe/internal/kinds"
)

// component is what upstream's metrics call the API's own requests.
const component = "apiserver"

// series names what a request is counted under. It is of few values each: whoever asks for methods, names or parts that do not exist must not make
// as many series.
type series struct {
	kind  *kinds.Kind        // nil: no resource that is served
	part  *kinds.Subresource // nil: the object itself
	page  string             // of what is no resource: the path that upstream counts under, "" for most
	verb  string
	scope string
	dry   string // what dryRun says: "", All, invalid
	code  int
}

// labels are verb, group, version, resource, subresource, scope and component, as all of upstream's metrics of requests have them.
func (s series) labels() []string {
	if s.kind == nil {
		by := component
		if s.page != "" {
			by = ""
		}
		return []string{s.verb, "", "", "", s.page, "", by}
	}
	part := ""
	if s.part != nil {
		part = s.part.Name
	}
	return []string{s.verb, s.kind.GVK.Group, s.kind.GVK.Version, s.kind.Resource, part, s.scope, component}
}

// counted are the metrics of one series.
type counted struct {
	total                prometheus.Counter
	duration, sli, sizes prometheus.Observer
}

// Metrics are the API's, with upstream's names, labels and buckets. Make one for a Handler and register it; it is safe for concurrent use.
type Metrics struct {
	requests    *prometheus.CounterVec
	durations   *prometheus.HistogramVec
	sli         *prometheus.HistogramVec
	sizes       *prometheus.HistogramVec
	bodies      *prometheus.HistogramVec
	longRunning *prometheus.GaugeVec
	inflight    *prometheus.GaugeVec
	events      *prometheus.CounterVec
	eventSizes  *prometheus.HistogramVec
	watchLists  *prometheus.HistogramVec
	terminated  *prometheus.CounterVec
	aborted     *prometheus.CounterVec
	handshakes  prometheus.Counter
	build       *prometheus.GaugeVec
	features    *prometheus.GaugeVec
	acting      *impersonate.Metrics

	reading, changing prometheus.Gauge // of inflight

	// A lookup by seven labels costs more than all of the counting.
	mu    sync.RWMutex
	known map[series]*counted // guarded by mu
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	by := []string{"verb", "group", "version", "resource", "subresource", "scope", "component"}
	withDryRun := []string{"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"}
	resource := []string{"group", "version", "resource"}
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
	waits := []float64{0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 15, 20, 30, 45, 60}
	m := &Metrics{
		known:       map[series]*counted{},
		requests:    counter("apiserver_request_total", "Requests that were answered.", append(withDryRun[:8:8], "code")),
		durations:   histogram("apiserver_request_duration_seconds", "Time from a request's arrival to the end of its answer.", durations, withDryRun),
		sli:         histogram("apiserver_request_sli_duration_seconds", "The same, without what others made it wait for.", durations[2:], by),
		sizes:       histogram("apiserver_response_sizes", "Bytes of the answers to reads.", prometheus.ExponentialBuckets(1000, 10, 7), by),
		bodies:      histogram("apiserver_request_body_size_bytes", "Bytes of the bodies of requests.", prometheus.LinearBuckets(50000, 100000, 31), []string{"group", "resource", "verb"}),
		longRunning: gauge("apiserver_longrunning_requests", "Requests in progress that last as long as the client wants.", by),
		inflight:    gauge("apiserver_current_inflight_requests", "Requests in progress that count towards the limit.", []string{"request_kind"}),
		events:      counter("apiserver_watch_events_total", "Events sent to watchers.", resource),
		eventSizes:  histogram("apiserver_watch_events_sizes", "Bytes of events sent to watchers.", prometheus.ExponentialBuckets(1024, 2, 8), resource),
		watchLists:  histogram("apiserver_watch_list_duration_seconds", "Time until a watch that begins with what exists has sent it.", waits, append(resource[:3:3], "scope")),
		terminated:  counter("apiserver_request_terminations_total", "Requests refused or ended in self-defence.", append(by[:7:7], "code")),
		aborted:     counter("apiserver_request_aborts_total", "Answers that were broken off.", by[:6]),
		handshakes:  prometheus.NewCounter(prometheus.CounterOpts{Name: "apiserver_tls_handshake_errors_total", Help: "Connections that did not get through their TLS handshake."}),
		build: gauge("kubernetes_build_info", "1, labelled by what the server says of its version and its making.",
			[]string{"major", "minor", "git_version", "git_commit", "git_tree_state", "build_date", "go_version", "compiler", "platform"}),
		acting:   impersonate.NewMetrics(),
		features: gauge("kubernetes_feature_enabled", "1 for feature gates that are on, 0 for those that are off.", []string{"name", "stage"}),
	}
	m.reading, m.changing = m.inflight.WithLabelValues("readOnly"), m.inflight.WithLabelValues("mutating")
	return m
}

// Feature tells whether a feature gate is on; stage is ALPHA, BETA, DEPRECATED or, for what is generally available, "".
func (m *Metrics) Feature(name, stage string, on bool) {
	value := 0.0
	if on {
		value = 1
	}
	m.features.WithLabelValues(name, stage).Set(value)
}

// impersonations counts who acts as whom; nil: nothing does.
func (m *Metrics) impersonations() *impersonate.Metrics {
	if m == nil {
		return nil
	}
	return m.acting
}

func (m *Metrics) tellBuild(v version.Info) {
	if m != nil {
		m.build.WithLabelValues(v.Major, v.Minor, v.GitVersion, v.GitCommit, v.GitTreeState, v.BuildDate, v.GoVersion, v.Compiler, v.Platform).Set(1)
	}
}

func (m *Metrics) each(f func(prometheus.Collector)) {
	for _, c := range []prometheus.Collector{
		m.requests, m.durations, m.sli, m.sizes, m.bodies, m.longRunning, m.inflight, m.events, m.eventSizes, m.watchLists, m.terminated, m.aborted, m.handshakes,
		m.build, m.features, m.acting,
	} {
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
	dry := append([]string{s.verb, s.dry}, labels[1:]...)
	c = &counted{
		total: m.requests.WithLabelValues(append(dry, strconv.Itoa(s.code))...), duration: m.durations.WithLabelValues(dry...),
		sli: m.sli.WithLabelValues(labels...), sizes: m.sizes.WithLabelValues(labels...),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[s] = c
	return c
}

// countedVerb is a verb as upstream counts it; what is no verb is "other".
func (t *target) countedVerb(r *http.Request) string {
	switch {
	case slices.Contains(connecting[:], t.subresource):
		return "CONNECT"
	case t.verb == "patch":
		if media := r.Header.Get("Content-Type"); media == string(types.ApplyYAMLPatchType) || media == string(types.ApplyCBORPatchType) {
			return "APPLY"
		}
		return http.MethodPatch
	}
	switch t.verb {
	case "get":
		return http.MethodGet
	case "list":
		return "LIST"
	case "watch":
		return "WATCH"
	case "create":
		return http.MethodPost
	case "update":
		return http.MethodPut
	case "delete", "deletecollection":
		return http.MethodDelete
	}
	return countedMethod(t.method)
}

func countedMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return http.MethodGet
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}

// series says what the call is counted under. code is that of its answer.
func (c *call) series(code int) series {
	if c.kind == nil {
		s := series{verb: countedMethod(c.path.method), code: code}
		if path := c.r.URL.Path; slices.Contains(healthPages[:], strings.TrimPrefix(path, "/")) {
			s.page = path
		}
		return s
	}
	s := series{kind: c.kind, part: c.part(), verb: c.path.countedVerb(c.r), scope: "cluster", dry: c.dryRun(), code: code}
	switch {
	case c.path.name != "", c.path.verb == "create":
		s.scope = "resource"
	case c.path.namespace != "":
		s.scope = "namespace"
	}
	return s
}

// dryRun is what the query says of dryRun, as it is counted.
func (c *call) dryRun() string {
	if !strings.Contains(c.r.URL.RawQuery, "dryRun") {
		return ""
	}
	said := ""
	for _, value := range c.r.URL.Query()["dryRun"] {
		if value != "All" {
			return "invalid"
		}
		said = value
	}
	return said
}

// counting is one call in progress. The zero value counts nothing.
type counting struct {
	m       *Metrics
	c       *call
	start   time.Time
	running prometheus.Gauge
	now     func() time.Time
}

// begin notes a call in progress; end must be called, by defer.
func (m *Metrics) begin(c *call, now func() time.Time) (n counting) {
	if m == nil {
		return counting{}
	}
	n = counting{m: m, c: c, start: now(), running: m.reading, now: now}
	switch {
	case c.path.long():
		n.running = m.longRunning.WithLabelValues(c.series(0).labels()...)
	case c.path.changes():
		n.running = m.changing
	}
	n.running.Inc()
	return n
}

// end counts the call. A panic goes on; one that breaks an answer off is counted, too.
func (n *counting) end() {
	if n.m == nil {
		return
	}
	broken := recover()
	n.running.Dec()
	s := n.c.series(n.c.answered.code)
	if broken == http.ErrAbortHandler { // net/http looks for the value itself, too
		n.m.aborted.WithLabelValues(s.labels()[:6]...).Inc()
	}
	if broken != nil {
		panic(broken)
	}
	if s.code == http.StatusGatewayTimeout && !n.c.path.long() {
		n.m.terminate(s)
	}
	counted := n.m.of(s)
	counted.total.Inc()
	seconds := n.now().Sub(n.start).Seconds()
	counted.duration.Observe(seconds)
	if s.dry == "" {
		counted.sli.Observe(seconds)
	}
	if n.c.path.verb == "get" || n.c.path.verb == "list" || n.c.path.verb == "watch" {
		counted.sizes.Observe(float64(n.c.answered.bytes))
	}
}

func (m *Metrics) terminate(s series) {
	m.terminated.WithLabelValues(append(s.labels(), strconv.Itoa(s.code))...).Inc()
}

// refused counts a call that was refused in self-defence.
func (m *Metrics) refused(c *call) {
	if m != nil {
		s := c.series(http.StatusTooManyRequests)
		m.of(s).total.Inc()
		m.terminate(s)
	}
}

// body counts what a call has sent.
func (m *Metrics) body(c *call, bytes int) {
	if m != nil && c.kind != nil {
		m.bodies.WithLabelValues(c.kind.GVK.Group, c.kind.Resource, strings.TrimSuffix(c.path.verb, "collection")).Observe(float64(bytes))
	}
}

// listed counts a watch that has sent what exists.
func (m *Metrics) listed(c *call, took time.Duration) {
	if m != nil {
		s := c.series(0)
		m.watchLists.WithLabelValues(s.kind.GVK.Group, s.kind.GVK.Version, s.kind.Resource, s.scope).Observe(took.Seconds())
	}
}

// sending counts events that go to the watchers of a resource. The zero value counts nothing.
type sending struct {
	events prometheus.Counter
	sizes  prometheus.Observer
}

func (m *Metrics) sent(res schema.GroupVersionResource) sending {
	if m == nil {
		return sending{}
	}
	return sending{m.events.WithLabelValues(res.Group, res.Version, res.Resource), m.eventSizes.WithLabelValues(res.Group, res.Version, res.Resource)}
}

func (s sending) count(bytes int) {
	if s.events != nil {
		s.events.Inc()
		s.sizes.Observe(float64(bytes))
	}
}
