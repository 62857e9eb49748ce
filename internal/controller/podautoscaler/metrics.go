package podautoscaler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/floe-k8s/floe/internal/observe"
)

// Metrics are upstream's of this controller. They are safe for concurrent use; nil counts nothing.
type Metrics struct {
	observe.Collectors
	rounds, computations *prometheus.CounterVec
	took, computing      *prometheus.HistogramVec
	autoscalers          prometheus.Gauge
	wanted               *prometheus.GaugeVec
}

// NewMetrics returns metrics of one controller.
func NewMetrics() *Metrics {
	const system = "horizontal_pod_autoscaler_controller"
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: system, Name: name, Help: help}, by)
	}
	histogram := func(name, help string, by ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Subsystem: system, Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}, by)
	}
	m := &Metrics{
		rounds:       counter("reconciliations_total", "Rounds of autoscalers, by what they did and what failed.", "action", "error"),
		took:         histogram("reconciliation_duration_seconds", "How long a round took, in seconds.", "action", "error"),
		computations: counter("metric_computation_total", "Metrics that were weighed, by what they ask for and what failed.", "action", "error", "metric_type"),
		computing:    histogram("metric_computation_duration_seconds", "How long it took to weigh a metric, in seconds.", "action", "error", "metric_type"),
		autoscalers:  prometheus.NewGauge(prometheus.GaugeOpts{Subsystem: system, Name: "num_horizontal_pod_autoscalers", Help: "HorizontalPodAutoscalers that there are."}),
		wanted: prometheus.NewGaugeVec(prometheus.GaugeOpts{Subsystem: system, Name: "desired_replicas", Help: "Replicas that an autoscaler wants."},
			[]string{"namespace", "hpa_name"}),
	}
	m.Collectors = observe.Collectors{m.rounds, m.took, m.computations, m.computing, m.autoscalers, m.wanted}
	return m
}

// What a round, or one metric, failed by.
const (
	failsNot    = "none"
	failsInside = "internal"
	failsBySpec = "spec"
)

func classOf(err error) string {
	if err != nil {
		return failsInside
	}
	return failsNot
}

// acts are what a round did.
type acts struct{ up, down bool }

// String is the value of the label action.
func (a acts) String() string {
	switch {
	case a.up:
		return "scale_up"
	case a.down:
		return "scale_down"
	}
	return "none"
}

// ended counts the round.
func (r *round) ended(a acts, class string) {
	if m := r.c.metrics; m != nil {
		m.rounds.WithLabelValues(a.String(), class).Inc()
		m.took.WithLabelValues(a.String(), class).Observe(r.c.now().Sub(r.began).Seconds())
	}
}

// computed counts a metric that was weighed beside current replicas.
func (m *Metrics) computed(p proposal, bad *failure, current int32, of autoscalingv2.MetricSourceType, took time.Duration) {
	if m == nil {
		return
	}
	a, class := acts{p.replicas > current, p.replicas < current}, failsNot
	if bad != nil {
		a, class = acts{}, failsInside
		if bad.reason == unknownType {
			class = failsBySpec
		}
	}
	m.computations.WithLabelValues(a.String(), class, string(of)).Inc()
	m.computing.WithLabelValues(a.String(), class, string(of)).Observe(took.Seconds())
}

// count says how many autoscalers there are.
func (m *Metrics) count(n int) {
	if m != nil {
		m.autoscalers.Set(float64(n))
	}
}

// desired says how many replicas an autoscaler wants.
func (m *Metrics) desired(h *autoscalingv2.HorizontalPodAutoscaler, n int32) {
	if m != nil {
		m.wanted.WithLabelValues(h.Namespace, h.Name).Set(float64(n))
	}
}

// forget takes an autoscaler's figures away.
func (m *Metrics) forget(namespace, name string) {
	if m != nil {
		m.wanted.DeleteLabelValues(namespace, name)
	}
}
