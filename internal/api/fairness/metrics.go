package fairness

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	counterValue = prometheus.CounterValue
	gaugeValue   = prometheus.GaugeValue
)

// family is one metric by upstream's name, with its labels.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newFamily(kind prometheus.ValueType, name, help string, labels ...string) family {
	return family{desc: prometheus.NewDesc("apiserver_flowcontrol_"+name, help, labels, nil), kind: kind}
}

// families are all of them. What is counted is kept in plain numbers, and made metrics of when they are asked for: a request pays for an addition.
type families struct {
	rejected, dispatched, inqueue, inqueueSeats, running, seats, seatsOld           family
	lengths, waits, executions, watchers, widths, unfit                             family
	r, dispatchR, latest, bounds, bounds2, epochs                                   family
	limit, nominal, lower, upper, current, highest, mean, deviation, smooth, target family
	fair, utilization, requestUtilization, demand, phases                           family
}

func newFamilies() families {
	const level, schema = "priority_level", "flow_schema"
	return families{
		rejected:           newFamily(counterValue, "rejected_requests_total", "Requests that were refused, by what they were refused for.", level, schema, "reason"),
		dispatched:         newFamily(counterValue, "dispatched_requests_total", "Requests that were let in.", level, schema),
		inqueue:            newFamily(gaugeValue, "current_inqueue_requests", "Requests that wait.", level, schema),
		inqueueSeats:       newFamily(gaugeValue, "current_inqueue_seats", "Seats that those who wait will take.", level, schema),
		running:            newFamily(gaugeValue, "current_executing_requests", "Requests that run; a watch until it has been told what exists.", level, schema),
		seats:              newFamily(gaugeValue, "current_executing_seats", "Seats that requests have.", level, schema),
		seatsOld:           newFamily(gaugeValue, "request_concurrency_in_use", "Seats that requests have, by the older name.", level, schema),
		lengths:            newFamily(0, "request_queue_length_after_enqueue", "Length of its queue as each request has joined it.", level, schema),
		waits:              newFamily(0, "request_wait_duration_seconds", "Time that requests waited.", level, schema, "execute"),
		executions:         newFamily(0, "request_execution_seconds", "Time that requests ran; a watch until it has been told what exists.", level, schema, "type"),
		watchers:           newFamily(0, "watch_count_samples", "Watches that a change concerns.", level, schema),
		widths:             newFamily(0, "work_estimated_seats", "Seats that requests were taken to need.", level, schema),
		unfit:              newFamily(counterValue, "request_dispatch_no_accommodation_total", "Times that it was a request's turn and seats were wanting.", level, schema),
		r:                  newFamily(gaugeValue, "current_r", "Virtual time as the state changed last.", level),
		dispatchR:          newFamily(gaugeValue, "dispatch_r", "Virtual time of the last dispatch.", level),
		latest:             newFamily(gaugeValue, "latest_s", "Virtual start of the request that was dispatched last.", level),
		bounds:             newFamily(gaugeValue, "next_s_bounds", "Least and greatest virtual start of those first in their queues.", level, "bound"),
		bounds2:            newFamily(gaugeValue, "next_discounted_s_bounds", "The same, less the work in progress.", level, "bound"),
		epochs:             newFamily(counterValue, "epoch_advance_total", "Times that virtual time was set back.", level, "success"),
		limit:              newFamily(gaugeValue, "request_concurrency_limit", "Seats of the level by its shares, by the older name.", level),
		nominal:            newFamily(gaugeValue, "nominal_limit_seats", "Seats of the level by its shares.", level),
		lower:              newFamily(gaugeValue, "lower_limit_seats", "Least seats of the level: what it lends to nobody.", level),
		upper:              newFamily(gaugeValue, "upper_limit_seats", "Most seats of the level, with all that it may borrow.", level),
		current:            newFamily(gaugeValue, "current_limit_seats", "Seats of the level now.", level),
		highest:            newFamily(gaugeValue, "demand_seats_high_watermark", "Most seats that the last period wanted.", level),
		mean:               newFamily(gaugeValue, "demand_seats_average", "Mean of the seats that the last period wanted, over time.", level),
		deviation:          newFamily(gaugeValue, "demand_seats_stdev", "Standard deviation of the seats that the last period wanted, over time.", level),
		smooth:             newFamily(gaugeValue, "demand_seats_smoothed", "Seats wanted, falling slowly.", level),
		target:             newFamily(gaugeValue, "target_seats", "Seats that the level should have.", level),
		fair:               newFamily(gaugeValue, "seat_fair_frac", "Proportion of its target that each level gets within its bounds."),
		utilization:        newFamily(0, "priority_level_seat_utilization", "Seats in use by those there are, an observation a nanosecond.", "phase", level),
		requestUtilization: newFamily(0, "priority_level_request_utilization", "Requests that wait or run by what there is room for, an observation a nanosecond.", "phase", level),
		demand:             newFamily(0, "demand_seats", "Seats wanted by those there are, an observation a nanosecond.", level),
		phases:             newFamily(0, "read_vs_write_current_requests", "Requests that wait or run by what there is room for, an observation a nanosecond.", "phase", "request_kind"),
	}
}

// Metrics tell what a Controller does, by upstream's names. They are safe for concurrent use.
type Metrics struct {
	of       *Controller
	families families
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns the metrics of a controller.
func NewMetrics(of *Controller) *Metrics { return &Metrics{of, newFamilies()} }

// Describe implements prometheus.Collector: as what schemas and levels there are is not known before, it says nothing.
func (m *Metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	var list []prometheus.Metric
	add := func(metric prometheus.Metric) { list = append(list, metric) }
	c := m.of
	c.mu.Lock()
	m.value(add, m.families.fair, c.fair)
	for _, l := range c.current.Load().levels {
		m.configured(add, l)
		l.mu.Lock()
		m.level(add, l)
		for _, t := range l.tallies {
			m.tally(add, l.name, t)
		}
		l.mu.Unlock()
	}
	c.mu.Unlock()
	for kind, one := range map[string]*phase{"readOnly": &c.phases.reads, "mutating": &c.phases.changes} {
		one.change(c.Clock.Now(), func() {
			m.histogram(add, m.families.phases, &one.observed[0], "waiting", kind)
			m.histogram(add, m.families.phases, &one.observed[1], "executing", kind)
		})
	}
	for _, metric := range list { // no lock is held while they are taken
		out <- metric
	}
}

type adder = func(prometheus.Metric)

func (m *Metrics) value(add adder, f family, v float64, labels ...string) {
	add(prometheus.MustNewConstMetric(f.desc, f.kind, v, labels...))
}

// histogram tells of one that has seen anything, as one by labels appears with its first observation.
func (m *Metrics) histogram(add adder, f family, h *histogram, labels ...string) {
	if !h.any() {
		return
	}
	buckets, count := make(map[float64]uint64, len(h.bounds)), uint64(0)
	for i, bound := range h.bounds {
		count += h.counts[i]
		buckets[bound] = count
	}
	count += h.counts[len(h.bounds)]
	add(prometheus.MustNewConstHistogram(f.desc, count, h.sum, buckets, labels...))
}

func (m *Metrics) configured(add adder, l *level) {
	f, d := &m.families, &l.demand
	for _, v := range []struct {
		family family
		value  float64
	}{
		{f.limit, float64(l.nominal)}, {f.nominal, float64(l.nominal)}, {f.lower, float64(l.least)}, {f.upper, float64(l.most)}, {f.current, float64(l.current)},
		{f.highest, float64(d.highest)}, {f.mean, d.mean}, {f.deviation, d.deviation}, {f.smooth, d.smoothed}, {f.target, d.target},
	} {
		m.value(add, v.family, v.value, l.name)
	}
}

func (m *Metrics) level(add adder, l *level) {
	f, machine := &m.families, &l.machine
	machine.advance(l.clock.Now())
	l.setAlarm(machine.now)
	m.value(add, f.r, machine.r.float(), l.name)
	if last := &machine.last; last.any {
		m.value(add, f.dispatchR, last.r.float(), l.name)
		m.value(add, f.latest, last.start.float(), l.name)
		m.value(add, f.bounds, last.low.float(), l.name, "min")
		m.value(add, f.bounds, last.high.float(), l.name, "max")
		m.value(add, f.bounds2, last.lowLess.float(), l.name, "min")
		m.value(add, f.bounds2, last.highLess.float(), l.name, "max")
	}
	if machine.epochs > 0 {
		m.value(add, f.epochs, float64(machine.epochs), l.name, strconv.FormatBool(true))
	}
	m.histogram(add, f.utilization, &machine.measured.seats, "executing", l.name)
	m.histogram(add, f.requestUtilization, &machine.measured.waiting, "waiting", l.name)
	m.histogram(add, f.requestUtilization, &machine.measured.running, "executing", l.name)
	m.histogram(add, f.demand, &machine.measured.demand, l.name)
}

func (m *Metrics) tally(add adder, level string, t *tally) {
	f := &m.families
	for i, n := range t.refused {
		if n > 0 {
			m.value(add, f.rejected, float64(n), level, t.schema, reasons[i])
		}
	}
	if t.dispatched > 0 {
		m.value(add, f.dispatched, float64(t.dispatched), level, t.schema)
		m.value(add, f.running, float64(t.running), level, t.schema)
		m.value(add, f.seats, float64(t.inUse), level, t.schema)
		m.value(add, f.seatsOld, float64(t.inUse), level, t.schema)
	}
	m.histogram(add, f.lengths, &t.lengths, level, t.schema)
	if t.lengths.any() {
		m.value(add, f.inqueue, float64(t.waiting), level, t.schema)
		m.value(add, f.inqueueSeats, float64(t.seatsWaiting), level, t.schema)
	}
	if t.unfit > 0 {
		m.value(add, f.unfit, float64(t.unfit), level, t.schema)
	}
	m.histogram(add, f.waits, &t.waited, level, t.schema, "true")
	m.histogram(add, f.waits, &t.gaveUp, level, t.schema, "false")
	m.histogram(add, f.executions, &t.ran, level, t.schema, "regular")
	m.histogram(add, f.executions, &t.watched, level, t.schema, "watch")
	m.histogram(add, f.watchers, &t.watchers, level, t.schema)
	m.histogram(add, f.widths, &t.widths, level, t.schema)
}
