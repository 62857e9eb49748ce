package trace

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// maxWaiting is how many spans wait to be sent, and maxTogether how many are sent together.
const (
	maxWaiting  = 2048
	maxTogether = 512
)

// Metrics count spans. They are a prometheus.Collector.
type Metrics struct {
	*prometheus.CounterVec
	waiting atomic.Int64 // between 0 and maxWaiting
}

// NewMetrics returns metrics that are all 0.
func NewMetrics() *Metrics {
	return &Metrics{CounterVec: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "floe_trace_spans_total", Help: "Spans that were sent to the collector, that it did not take (lost) and that found no place to wait (dropped).",
	}, []string{"fate"})}
}

func (m *Metrics) count(fate string, n int) { m.WithLabelValues(fate).Add(float64(n)) }

// bounded gives spans that have ended to a batch, as long as there is room for them.
type bounded struct {
	sdktrace.SpanProcessor
	metrics *Metrics
}

// newBounded sends batches by exporter. What waits is counted here, since the batch does not say what it drops.
func newBounded(exporter sdktrace.SpanExporter, metrics *Metrics) sdktrace.SpanProcessor {
	batch := sdktrace.NewBatchSpanProcessor(exporter, sdktrace.WithMaxQueueSize(maxWaiting), sdktrace.WithMaxExportBatchSize(maxTogether))
	return &bounded{batch, metrics}
}

// OnEnd implements sdktrace.SpanProcessor.
func (b *bounded) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	if b.metrics.waiting.Add(1) > maxWaiting {
		b.metrics.waiting.Add(-1)
		b.metrics.count("dropped", 1)
		return
	}
	b.SpanProcessor.OnEnd(span)
}

// sending counts what is sent, and says once when the collector begins to fail, and when it no longer does.
type sending struct {
	sdktrace.SpanExporter
	log     *slog.Logger
	metrics *Metrics
	failing atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter. It never fails: the error would go to a global handler.
func (s *sending) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := s.SpanExporter.ExportSpans(ctx, spans)
	s.metrics.waiting.Add(-int64(len(spans)))
	fate := "sent"
	if err != nil {
		fate = "lost"
	}
	s.metrics.count(fate, len(spans))
	switch was := s.failing.Swap(err != nil); {
	case err != nil && !was:
		s.log.Warn("the collector does not take spans", "lost", len(spans), "err", err)
	case err == nil && was:
		s.log.Info("the collector takes spans again")
	}
	return nil
}
