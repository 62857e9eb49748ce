// Package webhooktest has what tests of webhooks share: a real server over TLS that answers as a test likes, and a clock on which no wait lasts.
package webhooktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"
)

// Clock is a clock on which every wait is over at once, and written down. It is safe for concurrent use.
type Clock struct {
	clock.RealClock
	mu    sync.Mutex
	waits []time.Duration
}

type over struct{ clock.Timer }

func (over) Stop() bool { return true }

// AfterFunc runs f at once.
func (c *Clock) AfterFunc(d time.Duration, f func()) clock.Timer {
	c.mu.Lock()
	c.waits = append(c.waits, d)
	c.mu.Unlock()
	f()
	return over{}
}

// Waits are those so far.
func (c *Clock) Waits() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Duration(nil), c.waits...)
}

// Answer answers the n-th question, from 1.
type Answer func(n int, w http.ResponseWriter, r *http.Request)

// Peer is a real server over TLS that answers in a given way, and keeps questions. It is safe for concurrent use.
type Peer struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

// Serve returns a peer that ends with the test.
func Serve(t testing.TB, answer Answer) *Peer {
	t.Helper()
	p := &Peer{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Errorf("the question: %v", err)
		}
		p.mu.Lock()
		p.asked = append(p.asked, string(body))
		n := len(p.asked)
		p.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// Asked are the questions so far.
func (p *Peer) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

// Impatient is a client of the peer that waits for a fifth of a second.
func (p *Peer) Impatient() *http.Client {
	client := p.Client()
	client.Timeout = 200 * time.Millisecond
	return client
}

// Says answers always the same.
func Says(code int, media, text string) Answer {
	return func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(code)
		fmt.Fprint(w, text)
	}
}

// Hangs never answers.
func Hangs(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Breaks ends the connection instead of answering.
func Breaks(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
