package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.17.0"
	"google.golang.org/grpc"
)

const (
	service   = "apiserver" // as upstream names it
	lastFlush = 5 * time.Second
)

// Provider samples requests and sends their spans. A nil Provider is off. It is safe for concurrent use.
type Provider struct {
	spans   *sdktrace.TracerProvider
	cfg     *Config
	dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil: directly
	log     *slog.Logger
	metrics *Metrics
	flush   time.Duration // bounds how long what is left is sent at the end
}

// New returns a provider for the server that instance names; dial connects to the collector, nil: directly. Nothing is told before Run is called, and nothing is to be closed.
func New(cfg *Config, instance string, dial func(ctx context.Context, network, address string) (net.Conn, error), log *slog.Logger, metrics *Metrics) *Provider {
	sampler := sdktrace.NeverSample()
	if rate := cfg.SamplingRatePerMillion; rate != nil && *rate > 0 {
		sampler = sdktrace.TraceIDRatioBased(float64(*rate) / 1e6)
	}
	spans := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sampler)),
		sdktrace.WithResource(resource.NewSchemaless(semconv.ServiceName(service), semconv.ServiceInstanceID(instance))),
	)
	return &Provider{spans, cfg, dial, log, metrics, lastFlush}
}

// Run sends spans to the collector until ctx ends, and then what is left, for a bounded time. It is called once. A collector that is not there, or does not
// answer, is waited for; its spans are lost.
func (p *Provider) Run(ctx context.Context) error {
	opts := []otlptracegrpc.Option{otlptracegrpc.WithInsecure()} // upstream's has no TLS
	if p.cfg.Endpoint != nil {
		opts = append(opts, otlptracegrpc.WithEndpoint(*p.cfg.Endpoint))
	}
	if p.dial != nil {
		opts = append(opts, otlptracegrpc.WithDialOption(grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return p.dial(ctx, "tcp", address)
		})))
	}
	exporter, err := otlptracegrpc.New(ctx, opts...)
	if err != nil {
		return fmt.Errorf("tracing: the way to the collector: %w", err)
	}
	p.spans.RegisterSpanProcessor(newBounded(&sending{SpanExporter: exporter, log: p.log, metrics: p.metrics}, p.metrics))
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.flush)
	defer cancel()
	err = p.spans.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) { // the batch still waits for the collector: this ends that, and is told so
		_, err = exporter.Shutdown(ctx), nil
	}
	if err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	return nil
}

// Begin begins a span that may be a trace's first.
func (p *Provider) Begin(ctx context.Context, name string) (context.Context, Span) {
	ctx, span := p.spans.Tracer(scope).Start(ctx, name)
	return ctx, Span{span}
}

// Handler is next with a span around each request, of the name that name gives. The span belongs to the trace that the request's headers tell when trusted
// says so.
func (p *Provider) Handler(next http.Handler, name func(*http.Request) string, trusted func(*http.Request) bool) http.Handler {
	return otelhttp.NewHandler(next, "KubernetesAPI",
		otelhttp.WithPropagators(headers()), otelhttp.WithTracerProvider(p.spans), otelhttp.WithMeterProvider(metricnoop.NewMeterProvider()),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return name(r) }),
		otelhttp.WithPublicEndpointFn(func(r *http.Request) bool { return !trusted(r) }),
	)
}
