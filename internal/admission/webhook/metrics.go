package webhook

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/expression"
	"github.com/floe-k8s/floe/internal/observe"
)

// mostCode is the highest code that is told: hooks choose theirs freely.
const mostCode = 600

// Metrics count what webhooks are asked, by upstream's names. Make one for both plug-ins and register it; it is safe for concurrent use.
type Metrics struct {
	observe.Collectors
	requests, rejections, failOpen *prometheus.CounterVec
	took                           *prometheus.HistogramVec
	conditionErrors, exclusions    *prometheus.CounterVec
	conditionTook                  *prometheus.HistogramVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	const prefix = "apiserver_admission_"
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, by)
	}
	histogram := func(name, help string, buckets []float64, by ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, by)
	}
	m := &Metrics{
		requests:   counter("webhook_request_total", "Calls of admission webhooks.", "name", "type", "operation", "code", "rejected"),
		rejections: counter("webhook_rejection_count", "Wishes that admission webhooks refused, or that were refused for want of an answer.", "name", "type", "operation", "error_type", "rejection_code"),
		failOpen:   counter("webhook_fail_open_count", "Calls of admission webhooks that failed, and did not matter.", "name", "type"),
		took: histogram("webhook_admission_duration_seconds", "Time until an admission webhook had answered.",
			[]float64{0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25}, "name", "type", "operation", "rejected"),
		conditionErrors: counter("match_condition_evaluation_errors_total", "Match conditions that could not be evaluated.", "name", "kind", "type", "operation"),
		exclusions:      counter("match_condition_exclusions_total", "Wishes that match conditions kept from a webhook or policy.", "name", "kind", "type", "operation"),
		conditionTook: histogram("match_condition_evaluation_seconds", "Time until match conditions were evaluated.",
			[]float64{0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25}, "name", "kind", "type", "operation"),
	}
	m.Collectors = observe.Collectors{m.requests, m.rejections, m.failOpen, m.took, m.conditionErrors, m.exclusions, m.conditionTook}
	return m
}

// asked counts a call.
func (m *Metrics) asked(h *hook, step string, does admission.Operation, err error, took time.Duration) {
	if m == nil {
		return
	}
	code, why, counts := http.StatusOK, "", false
	var failed *callError
	var refused *rejection
	switch {
	case err == nil:
	case errors.As(err, &failed):
		code, why, counts = 0, "calling_webhook_error", !errors.Is(err, context.Canceled)
		if failed.status != nil {
			code = codeOf(failed.status)
		}
	case errors.As(err, &refused):
		code, why, counts = codeOf(refused.status), "no_error", true
	default:
		code, why, counts = 0, "apiserver_internal_error", true
	}
	rejected := err != nil && !(failed != nil && h.failOpen)
	if rejected && counts {
		m.rejections.WithLabelValues(h.name, step, string(does), why, strconv.Itoa(code)).Inc()
	}
	m.requests.WithLabelValues(h.name, step, string(does), strconv.Itoa(code), strconv.FormatBool(rejected)).Inc()
	m.took.WithLabelValues(h.name, step, string(does), strconv.FormatBool(rejected)).Observe(took.Seconds())
}

func codeOf(err *apierrors.StatusError) int { return min(int(err.ErrStatus.Code), mostCode) }

func (m *Metrics) opened(name, step string) {
	if m != nil {
		m.failOpen.WithLabelValues(name, step).Inc()
	}
}

// conditions counts an evaluation of match conditions.
func (m *Metrics) conditions(name, step string, does admission.Operation, took time.Duration, v expression.Verdict) {
	if m == nil {
		return
	}
	labels := []string{name, "webhook", step, string(does)}
	m.conditionTook.WithLabelValues(labels...).Observe(took.Seconds())
	if v.Failed > 0 {
		m.conditionErrors.WithLabelValues(labels...).Add(float64(v.Failed))
	}
	if !v.Matches && v.Err == nil {
		m.exclusions.WithLabelValues(labels...).Inc()
	}
}
