package egress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/utils/clock"
	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/pkg/client"

	"github.com/floe-k8s/floe/internal/observe/trace"
)

const maxHeader = 1 << 20 // bytes that are read of a proxy's answer

// connectHTTP connects a proxy that is asked by HTTP CONNECT.
func connectHTTP(where string, connect func(ctx context.Context) (net.Conn, error)) func(ctx context.Context) (through, error) {
	return func(ctx context.Context) (through, error) {
		conn, err := connect(ctx)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, address string) (net.Conn, error) {
			if err := ask(ctx, conn, where, address); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			return conn, nil
		}, nil
	}
}

// ask has a proxy connect conn to an address. With ctx, the wait for an answer ends.
func ask(ctx context.Context, conn net.Conn, where, address string) error {
	ended := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // long ago
	err := connected(conn, where, address)
	if !ended() && err == nil {
		err = ctx.Err() // the deadline is set, or will be
	}
	return err
}

func connected(conn net.Conn, where, address string) error {
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", address); err != nil {
		return fmt.Errorf("writing CONNECT to %s via proxy %s failed: %w", address, where, err)
	}
	in := bufio.NewReader(io.LimitReader(conn, maxHeader))
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return fmt.Errorf("reading HTTP response from CONNECT to %s via proxy %s failed: %w", address, where, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("proxy error from %s while dialing %s, code %d: %v", where, address, answer.StatusCode, answer.Status)
	}
	if n := in.Buffered(); n > 0 {
		return fmt.Errorf("unexpected %d bytes of buffered data from CONNECT proxy %q", n, where)
	}
	return nil
}

// connectGRPC connects a proxy that speaks konnectivity's protocol. A tunnel carries one connection and ends with it.
func connectGRPC(socket string) func(ctx context.Context) (through, error) {
	dial := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	})
	return func(ctx context.Context) (through, error) {
		lasting, end := context.WithCancel(context.WithoutCancel(ctx)) // a tunnel outlives who has asked for it
		connected := context.AfterFunc(ctx, end)
		tunnel, err := client.CreateSingleUseGrpcTunnelWithContext(ctx, lasting, socket, dial, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			end()
			return nil, err
		}
		return func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := tunnel.DialContext(ctx, "tcp", address)
			if !connected() && err == nil {
				err = errors.Join(ctx.Err(), conn.Close())
			}
			if err != nil {
				end()
				return nil, err
			}
			return tunnelled{conn, end}, nil
		}, nil
	}
}

// tunnelled is a connection that ends its tunnel.
type tunnelled struct {
	net.Conn
	end context.CancelFunc
}

// Close implements net.Conn.
func (t tunnelled) Close() error {
	err := t.Conn.Close()
	t.end()
	return err
}

// Metrics count dials through proxies, under upstream's names.
type Metrics struct {
	starts, failures *prometheus.CounterVec
	took             *prometheus.HistogramVec
}

// NewMetrics returns metrics that have counted nothing.
func NewMetrics() *Metrics {
	const space, part = "apiserver", "egress_dialer"
	about := ", labeled by the protocol (http-connect or grpc), transport (tcp or uds)"
	return &Metrics{
		starts: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: space, Subsystem: part, Name: "dial_start_total",
			Help: "[ALPHA] Dial starts, labeled by the protocol (http-connect or grpc) and transport (tcp or uds)."}, []string{"protocol", "transport"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: space, Subsystem: part, Name: "dial_failure_count",
			Help: "[ALPHA] Dial failure count" + about + ", and stage (connect or proxy). The stage indicates at which stage the dial failed"},
			[]string{"protocol", "transport", "stage"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: space, Subsystem: part, Name: "dial_duration_seconds",
			Help: "[ALPHA] Dial latency histogram in seconds" + about, Buckets: []float64{0.005, 0.025, 0.1, 0.5, 2.5, 12.5}}, []string{"protocol", "transport"}),
	}
}

var _ prometheus.Collector = (*Metrics)(nil)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	m.starts.Describe(out)
	m.failures.Describe(out)
	m.took.Describe(out)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.starts.Collect(out)
	m.failures.Collect(out)
	m.took.Collect(out)
}

// dial goes through a proxy.
func (m *Metrics) dial(by proxy, clk clock.PassiveClock) Dial {
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		ctx, span := trace.Start(ctx, "Proxy via "+by.protocol+" protocol over "+by.transport)
		defer span.End()
		span.Set("address", address)
		begun := clk.Now()
		m.starts.WithLabelValues(by.protocol, by.transport).Inc()
		ask, err := by.connect(ctx)
		if err != nil {
			m.failures.WithLabelValues(by.protocol, by.transport, "connect").Inc()
			return nil, err
		}
		conn, err := ask(ctx, address)
		if err != nil {
			m.failures.WithLabelValues(by.protocol, by.transport, "proxy").Inc()
			return nil, err
		}
		m.took.WithLabelValues(by.protocol, by.transport).Observe(clk.Since(begun).Seconds())
		return conn, nil
	}
}
