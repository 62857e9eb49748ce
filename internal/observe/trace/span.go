package trace

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// scope names who makes the spans.
const scope = "github.com/floe-k8s/floe"

// Span is one step of a request. The zero value is none: it takes everything and tells nothing. It is safe for concurrent use.
type Span struct{ span oteltrace.Span }

// Start begins a step of the request that ctx is of. End must be called. Without a recorded step around it there is none, and ctx is returned as it is.
func Start(ctx context.Context, name string) (context.Context, Span) {
	above := From(ctx)
	if above.span == nil {
		return ctx, above
	}
	ctx, span := above.span.TracerProvider().Tracer(scope).Start(ctx, name)
	return ctx, Span{span}
}

// From is the recorded step that ctx is of.
func From(ctx context.Context) Span {
	span := oteltrace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return Span{}
	}
	return Span{span}
}

// Recording says whether the span is told: what it is told may cost something to make.
func (s Span) Recording() bool { return s.span != nil }

// Set tells an attribute of the step.
func (s Span) Set(key, value string) Span {
	if s.span != nil {
		s.span.SetAttributes(attribute.String(key, value))
	}
	return s
}

// Event tells that something has happened in the step.
func (s Span) Event(name string) {
	if s.span != nil {
		s.span.AddEvent(name)
	}
}

// EventOf is Event with a number, such as a length in bytes.
func (s Span) EventOf(name, key string, n int) {
	if s.span != nil {
		s.span.AddEvent(name, oteltrace.WithAttributes(attribute.Int(key, n)))
	}
}

// Fail tells why the step has failed; nil is no failure.
func (s Span) Fail(err error) {
	if s.span != nil && err != nil {
		s.span.RecordError(err)
	}
}

// End ends the step.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}
