package admission

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/observe"
)

// The phases of a wish, as metrics name them. What a plug-in charges is part of its validation.
const (
	admits    = "admit"
	validates = "validate"
)

// Metrics tell how long plug-ins take, each and all together, by upstream's names. Other than upstream's, pure plug-ins are counted for the kinds that they
// concern only. A nil *Metrics counts nothing, at no cost; others are safe for concurrent use.
type Metrics struct {
	observe.Collectors
	clock   clock.PassiveClock
	steps   *prometheus.HistogramVec
	summary *prometheus.SummaryVec // of the same
	plugins *prometheus.HistogramVec

	mu   sync.RWMutex // guards into
	into map[observed][]prometheus.Observer
}

var _ prometheus.Collector = (*Metrics)(nil)

// observed is what one number is about. There are few: no part of it comes from a request's text.
type observed struct {
	plugin    string // "": all of them
	phase     string
	operation Operation
	rejected  bool
}

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics(now clock.PassiveClock) *Metrics {
	const step, plugin = "apiserver_admission_step_admission_duration_seconds", "apiserver_admission_controller_admission_duration_seconds"
	by, buckets := []string{"type", "operation", "rejected"}, []float64{0.005, 0.025, 0.1, 0.5, 1, 2.5}
	m := &Metrics{
		clock: now, into: map[observed][]prometheus.Observer{},
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: step, Help: "Time that all admission plug-ins take together.", Buckets: buckets}, by),
		summary: prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name: step + "_summary", Help: "Time that all admission plug-ins take together, in sum.", MaxAge: 5 * time.Hour,
		}, by),
		plugins: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: plugin, Help: "Time that an admission plug-in takes.", Buckets: buckets,
		}, append([]string{"name"}, by...)),
	}
	m.Collectors = observe.Collectors{m.steps, m.summary, m.plugins}
	return m
}

// time asks, and counts how long the answer took and whether it was a refusal. plugin "" is all of them.
func (m *Metrics) time(plugin, phase string, a *Attributes, ask func() error) error {
	if m == nil {
		return ask()
	}
	start := m.clock.Now()
	err := ask()
	took := m.clock.Since(start).Seconds()
	for _, o := range m.observers(observed{plugin, phase, a.Operation, err != nil}) {
		o.Observe(took)
	}
	return err
}

// observers are kept, since finding them by their labels takes as long as many a plug-in.
func (m *Metrics) observers(of observed) []prometheus.Observer {
	m.mu.RLock()
	list := m.into[of]
	m.mu.RUnlock()
	if list != nil {
		return list
	}
	by := []string{of.phase, string(of.operation), strconv.FormatBool(of.rejected)}
	if of.plugin == "" {
		list = []prometheus.Observer{m.steps.WithLabelValues(by...), m.summary.WithLabelValues(by...)}
	} else {
		list = []prometheus.Observer{m.plugins.WithLabelValues(append([]string{of.plugin}, by...)...)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.into[of] = list
	return list
}
