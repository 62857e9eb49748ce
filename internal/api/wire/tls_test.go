package wire_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/observe"
)

// door is an API behind the server that programs run, over TLS.
type door struct {
	*apitest.Cluster
	handler   *wire.Handler
	address   string
	roots     *x509.CertPool
	deadlines *clocktesting.FakeClock // of stalled clients
	stop      func() error            // ends the server as programs do, and waits for it
}

// open serves a new API until the test ends. change may alter the handler's configuration; nil: as it is.
func open(t testing.TB, change func(*wire.Config)) *door {
	t.Helper()
	d := &door{Cluster: apitest.New(t), deadlines: clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}
	cfg := wire.Config{
		API: d.API, Authenticator: byHeader, Clock: d.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)), Deadlines: d.deadlines,
	}
	if change != nil {
		change(&cfg)
	}
	handler := wire.New(cfg)
	if d.handler = handler; cfg.Hooks == nil {
		handler.SetReady()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = listener.Addr().String()
	identity := httptest.NewUnstartedServer(nil) // it has a certificate for 127.0.0.1
	identity.StartTLS()
	defer identity.Close()
	d.roots = x509.NewCertPool()
	d.roots.AddCert(identity.Certificate())
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- handler.Serve(ctx, listener, &tls.Config{Certificates: identity.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}})
	}()
	ended := false
	d.stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-served
	}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// protocols are what clients speak: each test of a connection runs with both.
var protocols = []string{"HTTP/1.1", "HTTP/2.0"}

// client is a connection of its own in one protocol.
func (d *door) client(t testing.TB, protocol string) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.roots}, DisableCompression: true, Protocols: &http.Protocols{}}
	transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
	transport.Protocols.SetHTTP2(protocol == "HTTP/2.0")
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ask sends one request; header has one "Name: value" a line.
func (d *door) ask(t testing.TB, client *http.Client, method, path, header, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+d.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(header) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// configMap makes one whose data is of a size.
func configMap(name string, size int) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"data":{"k":%q}}`, name, strings.Repeat("x", size))
}

const configMaps = "/api/v1/namespaces/default/configmaps"

func (d *door) create(t testing.TB, client *http.Client, name string, size int) {
	t.Helper()
	resp := d.ask(t, client, http.MethodPost, configMaps, "Content-Type: application/json", configMap(name, size))
	defer resp.Body.Close()
	if data, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
		t.Fatalf("create %s: %s %s", name, resp.Status, data)
	}
}

// TestQuietWatchLasts lets much more time pass than a client has to take an event, and then sends one.
func TestQuietWatchLasts(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			d := open(t, nil)
			client := d.client(t, protocol)
			resp := d.ask(t, client, http.MethodGet, configMaps+"?watch=1&resourceVersion=0", "", "")
			defer resp.Body.Close()
			if resp.Proto != protocol {
				t.Fatalf("speaks %s", resp.Proto)
			}
			events := bufio.NewReader(resp.Body)
			for i := range 3 {
				d.create(t, client, fmt.Sprint("c", i), 9000)
				line, err := events.ReadString('\n')
				if err != nil || !strings.Contains(line, fmt.Sprintf(`"name":"c%d"`, i)) {
					t.Fatalf("event %d: %v %.80s", i, err, line)
				}
				until(t, "nothing is being written", func() bool { return !d.deadlines.HasWaiters() })
				d.deadlines.Step(time.Hour)
			}
		})
	}
}

// until waits for what another goroutine does.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// TestStalledWatchEnds begins a watch, reads nothing of it, and lets its time pass.
func TestStalledWatchEnds(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			d := open(t, nil)
			resp := d.ask(t, d.client(t, protocol), http.MethodGet, configMaps+"?watch=1&resourceVersion=0", "", "")
			defer resp.Body.Close()
			writer := d.client(t, protocol)
			for i := range 24 { // more than sockets and windows hold
				d.create(t, writer, fmt.Sprint("c", i), 900<<10)
			}
			if d.API.Store.Stats().Cursors != 1 {
				t.Fatal("the watch does not run")
			}
			until(t, "the watch ends", func() bool {
				if d.deadlines.HasWaiters() {
					d.deadlines.Step(31 * time.Second)
				}
				return d.API.Store.Stats().Cursors == 0
			})
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Error("a watch that was cut off looks complete")
			}
		})
	}
}
