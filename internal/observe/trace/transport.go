package trace

import (
	"net/http"
	"sync"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// headers carries a request's context: traceparent, tracestate and baggage.
func headers() propagation.TextMapPropagator {
	return propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
}

// Transport is next, which tells the server that is asked of which trace the request is, and that trace of the request ("HTTP POST"). Requests of no trace
// pass as they are.
func Transport(next http.RoundTripper) http.RoundTripper {
	return &transport{next, sync.OnceValue(func() http.RoundTripper {
		return otelhttp.NewTransport(next, otelhttp.WithPropagators(headers()), otelhttp.WithMeterProvider(metricnoop.NewMeterProvider()))
	})}
}

type transport struct {
	next   http.RoundTripper
	traced func() http.RoundTripper // made when first needed
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !oteltrace.SpanContextFromContext(r.Context()).IsValid() {
		return t.next.RoundTrip(r)
	}
	return t.traced().RoundTrip(r)
}

// WrappedRoundTripper lets client-go find what it wraps.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

// CloseIdleConnections lets an http.Client close those of what it wraps.
func (t *transport) CloseIdleConnections() { (&http.Client{Transport: t.next}).CloseIdleConnections() }
