package trace

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestNothingWithoutAProvider: a step costs no memory where nothing is traced.
func TestNothingWithoutAProvider(t *testing.T) {
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		within, span := Start(ctx, "step")
		span.Set("a", "b").Event("c")
		span.EventOf("d", "len", 1)
		span.Fail(context.Canceled)
		span.End()
		if within != ctx || span.Recording() || From(ctx).Recording() {
			t.Error("there is a span")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// stuck is a collector that answers when it is let go.
type stuck struct {
	tracetest.InMemoryExporter
	asked, free chan struct{}
	once        sync.Once
	err         error
}

func (s *stuck) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	s.once.Do(func() { close(s.asked) })
	<-s.free
	return s.err
}

func count(t *testing.T, m *Metrics, fate string) int {
	t.Helper()
	var out dto.Metric
	if err := m.WithLabelValues(fate).Write(&out); err != nil {
		t.Fatal(err)
	}
	return int(out.GetCounter().GetValue())
}

// TestBounded: what finds no place is dropped and counted, and so is what the collector does not take, which is said once.
func TestBounded(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
		said int
	}{{nil, "sent", 0}, {errors.New("no"), "lost", 1}} {
		var lines strings.Builder
		to, m := &stuck{asked: make(chan struct{}), free: make(chan struct{}), err: c.err}, NewMetrics()
		p := newBounded(&sending{SpanExporter: to, log: slog.New(slog.NewTextHandler(&lines, nil)), metrics: m}, m)
		spans := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p))
		end := func(n int) {
			for range n {
				_, span := spans.Tracer("t").Start(t.Context(), "s")
				span.End()
			}
		}
		end(maxTogether)
		<-to.asked
		end(maxWaiting)
		if got := count(t, m, "dropped"); got != maxTogether {
			t.Errorf("%d dropped, want %d", got, maxTogether)
		}
		close(to.free)
		if err := spans.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := count(t, m, c.want); got != maxWaiting {
			t.Errorf("%d %s, want %d", got, c.want, maxWaiting)
		}
		if got := strings.Count(lines.String(), "does not take spans"); got != c.said {
			t.Errorf("said %d times, want %d: %s", got, c.said, lines.String())
		}
	}
}

// TestSampling: without a rate those are told only whose sender is trusted and asks for it.
func TestSampling(t *testing.T) {
	all := int32(1e6)
	for _, c := range []struct {
		what    string
		rate    *int32
		flags   string
		trusted bool
		want    bool
	}{
		{"nobody asks", nil, "", true, false},
		{"trusted", nil, "01", true, true},
		{"trusted, and wants none", &all, "00", true, false},
		{"not trusted", nil, "01", false, false},
		{"all", &all, "", false, true},
	} {
		p := New(&Config{SamplingRatePerMillion: c.rate}, "i", nil, slog.New(slog.DiscardHandler), NewMetrics())
		p.spans.RegisterSpanProcessor(tracetest.NewSpanRecorder())
		told := false
		handler := p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told = From(r.Context()).Recording() }),
			func(*http.Request) string { return "n" }, func(*http.Request) bool { return c.trusted })
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if c.flags != "" {
			r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"+c.flags)
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if told != c.want {
			t.Errorf("%s: told %t, want %t", c.what, told, c.want)
		}
	}
}

// TestNoCollector: a server whose collector is not there ends all the same.
func TestNoCollector(t *testing.T) {
	all, nowhere := int32(1e6), "127.0.0.1:1"
	p := New(&Config{SamplingRatePerMillion: &all, Endpoint: &nowhere}, "i", nil, slog.New(slog.DiscardHandler), NewMetrics())
	p.flush = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for told := false; !told; runtime.Gosched() { // until Run has begun to keep them
		_, span := p.Begin(ctx, "s")
		told = span.span.IsRecording()
		span.End()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
