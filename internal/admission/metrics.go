package admission

import (
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/observe"
)

// phase is one of a wish. What a plug-in charges is part of its validation.
type phase uint8

const (
	admits phase = iota
	validates
	phases
)

// phaseNames and operations are what metrics call them, and Attributes.
var (
	phaseNames = [phases]string{"admit", "validate"}
	operations = [...]Operation{Create, Update, Delete, Connect}
)

// all is the place of all plug-ins together, behind those of the order.
const all = len(order)

// Metrics tell how long plug-ins take, each and all together, by upstream's names. Other than upstream's, pure plug-ins are counted for the kinds that they
// concern only. A nil *Metrics counts nothing, at no cost; others are safe for concurrent use.
type Metrics struct {
	observe.Collectors
	clock   clock.PassiveClock
	steps   *prometheus.HistogramVec
	summary *prometheus.SummaryVec // of the same
	plugins *prometheus.HistogramVec

	// into are the observers by place, phase, operation and whether it was a refusal: finding them by their labels takes as long as many a plug-in. nil: nobody
	// has needed them yet; who finds the same ones at the same time does no harm.
	into [len(order) + 1][phases][len(operations)][2]atomic.Pointer[[]prometheus.Observer]
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics(now clock.PassiveClock) *Metrics {
	const step, plugin = "apiserver_admission_step_admission_duration_seconds", "apiserver_admission_controller_admission_duration_seconds"
	by, buckets := []string{"type", "operation", "rejected"}, []float64{0.005, 0.025, 0.1, 0.5, 1, 2.5}
	m := &Metrics{
		clock: now,
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

// stopwatch measures one phase of a wish. The end of one plug-in is the beginning of the next: reading the clock takes as long as many a plug-in.
type stopwatch struct {
	metrics     *Metrics // nil: nothing is measured
	phase       phase
	operation   int // index in operations
	begun, last time.Time
}

func (m *Metrics) start(phase phase, a *Attributes) stopwatch {
	w := stopwatch{metrics: m, phase: phase}
	if m != nil {
		w.operation = max(slices.Index(operations[:], a.Operation), 0)
		w.begun = m.clock.Now()
		w.last = w.begun
	}
	return w
}

// lap counts the plug-in at a place, which has ended now with err. What has no place, as the rules of definitions, is no plug-in and counted with all only.
func (w *stopwatch) lap(place int, err error) {
	if w.metrics == nil {
		return
	}
	now := w.metrics.clock.Now()
	if place >= 0 {
		w.observe(place, err, now.Sub(w.last))
	}
	w.last = now
}

// stop counts all plug-ins together, of which the last was the last to end.
func (w *stopwatch) stop(err error) {
	if w.metrics != nil {
		w.observe(all, err, w.last.Sub(w.begun))
	}
}

func (w *stopwatch) observe(place int, err error, took time.Duration) {
	rejected := 0
	if err != nil {
		rejected = 1
	}
	at := &w.metrics.into[place][w.phase][w.operation][rejected]
	list := at.Load()
	if list == nil {
		list = w.metrics.observers(place, phaseNames[w.phase], string(operations[w.operation]), strconv.FormatBool(err != nil))
		at.Store(list)
	}
	for _, o := range *list {
		o.Observe(took.Seconds())
	}
}

// observers finds those of the plug-in at a place.
func (m *Metrics) observers(place int, by ...string) *[]prometheus.Observer {
	if place == all {
		return &[]prometheus.Observer{m.steps.WithLabelValues(by...), m.summary.WithLabelValues(by...)}
	}
	return &[]prometheus.Observer{m.plugins.WithLabelValues(append([]string{order[place]}, by...)...)}
}
