package wire_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/api/wire"
)

// dialled counts the connections of a transport.
func dialled(transport *http.Transport) func() int64 {
	var n atomic.Int64
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		n.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return n.Load
}

// told is the code, the body and some of the header of an answer.
func (d *door) told(t testing.TB, client *http.Client, path string) (int, string, http.Header) {
	t.Helper()
	resp := d.ask(t, client, http.MethodGet, path, "", "")
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Close { // which the client keeps elsewhere
		resp.Header.Set("Connection", "close")
	}
	return resp.StatusCode, string(body), resp.Header
}

// TestLeaving: the server says that it is not ready any more, is well, and serves as before.
func TestLeaving(t *testing.T) {
	d := open(t, nil)
	client := d.client(t, "HTTP/2.0")
	d.handler.Leave()
	for path, want := range map[string]int{"/readyz": 500, "/readyz/shutdown": 500, "/livez": 200, "/healthz": 200, configMaps: 200, configMaps + "?watch=1&timeoutSeconds=1&resourceVersion=0": 200} {
		if strings.Contains(path, "watch") {
			resp := d.ask(t, client, http.MethodGet, path, "", "")
			if resp.Body.Close(); resp.StatusCode != want {
				t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
			}
			continue
		}
		if code, body, _ := d.told(t, client, path); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
}

// TestLastCalls: while a call is under way, new ones are told to come back later to another server, but for those who look after this one; then the
// last one gets its answer, and Drain returns.
func TestLastCalls(t *testing.T) {
	d := open(t, func(cfg *wire.Config) { cfg.Edge.Departure.RetryAfter = true })
	client := d.client(t, "HTTP/1.1")
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+d.address+configMaps, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	created := make(chan int, 1)
	go func() {
		resp, err := client.Do(req)
		if err != nil {
			created <- 0
			return
		}
		resp.Body.Close()
		created <- resp.StatusCode
	}()
	text := configMap("c", 10)
	if _, err := io.WriteString(send, text[:5]); err != nil { // it has begun when this is taken
		t.Fatal(err)
	}
	until(t, "the call is in flight", func() bool { return d.handler.InFlight() == 1 })
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		d.handler.Drain(t.Context())
	}()
	until(t, "calls are refused", func() bool {
		code, body, header := d.told(t, client, configMaps)
		if code == http.StatusOK {
			return false
		}
		if code != http.StatusTooManyRequests || body != "The apiserver is shutting down, please try again later.\n" || header.Get("Retry-After") != "5" || header.Get("Connection") != "close" {
			t.Fatalf("refused with %d %q %v", code, body, header)
		}
		return true
	})
	for path, want := range map[string]int{"/livez": 200, "/readyz": 500, "/healthz/ping": 200} {
		if code, _, _ := d.told(t, client, path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	select {
	case <-drained:
		t.Error("did not wait for the call")
	default:
	}
	if _, err := io.WriteString(send, text[5:]); err != nil {
		t.Fatal(err)
	}
	send.Close()
	if code := <-created; code != http.StatusCreated {
		t.Errorf("the call in flight: %d", code)
	}
	<-drained
}

// TestLastCallIsNotWaitedForEver: a client that sends no more does not hold the server up.
func TestLastCallIsNotWaitedForEver(t *testing.T) {
	d := open(t, func(cfg *wire.Config) { cfg.Edge.Departure.RetryAfter = true })
	conn := d.dial(t, "http/1.1")
	if _, err := io.WriteString(conn, "POST "+configMaps+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	until(t, "the call is in flight", func() bool { return d.handler.InFlight() == 1 })
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		d.handler.Drain(t.Context())
	}()
	until(t, "its time is over", func() bool {
		select {
		case <-drained:
			return true
		default:
			if d.Clock.HasWaiters() {
				d.Clock.Step(time.Minute)
			}
			return false
		}
	})
}

// TestWatchesEndOneByOne: each ends as one that has lasted long enough, none before its turn, and new ones are sent elsewhere.
func TestWatchesEndOneByOne(t *testing.T) {
	d := open(t, func(cfg *wire.Config) { cfg.Edge.Departure.Watches = time.Minute })
	client := d.client(t, "HTTP/2.0")
	over := make(chan error, 3)
	for range cap(over) {
		resp := d.ask(t, client, http.MethodGet, configMaps+"?watch=1&resourceVersion=0", "", "")
		defer resp.Body.Close()
		go func() {
			_, err := bufio.NewReader(resp.Body).ReadString('\n')
			over <- err
		}()
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		d.handler.Drain(t.Context())
	}()
	for i := range cap(over) {
		if err := <-over; err != io.EOF {
			t.Errorf("a watch ended with %v", err)
		}
		until(t, "the next one's turn is waited for", d.Clock.HasWaiters)
		select {
		case <-over:
			t.Errorf("another ended with watch %d", i)
		default:
		}
		d.Clock.Step(5 * time.Millisecond)
	}
	<-drained
	code, body, header := d.told(t, client, configMaps+"?watch=1")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, `"message":"apiserver is shutting down"`) || header.Get("Retry-After") != "1" {
		t.Errorf("a new watch: %d %s %v", code, body, header)
	}
}

// TestLiveGrace: /livez trusts for a while that what is done once will be done; the other pages do not.
func TestLiveGrace(t *testing.T) {
	d := open(t, func(cfg *wire.Config) {
		cfg.LiveGrace, cfg.Hooks = time.Minute, []string{wire.StartSystemNamespaces}
	})
	client := d.client(t, "HTTP/1.1")
	check := func(when string, want map[string]int) {
		t.Helper()
		for path, code := range want {
			if got, body, _ := d.told(t, client, path); got != code {
				t.Errorf("%s, %s: %d %s, want %d", when, path, got, body, code)
			}
		}
	}
	d.Clock.Step(time.Minute)
	check("within its time", map[string]int{"/livez": 200, "/healthz": 500, "/readyz": 500})
	d.Clock.Step(time.Second)
	check("after it", map[string]int{"/livez": 500, "/healthz": 500, "/readyz": 500})
	d.handler.SetReady()
	check("done", map[string]int{"/livez": 200, "/healthz": 200, "/readyz": 200})
}
