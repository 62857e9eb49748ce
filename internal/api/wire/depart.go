package wire

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// This file is how a server takes leave of its clients before it ends: /readyz says so first (Leave), while everything is served as before, so that
// load balancers send nobody here any more; then watches are ended one by one, and new calls are refused while the last ones finish (Drain).

// Departure says how clients are sent away. Its zero value does nothing before Serve ends: it ends watches at once then.
type Departure struct {
	// RetryAfter refuses new calls with 429 while those in flight finish, instead of closing the door before them (--shutdown-send-retry-after).
	RetryAfter bool
	// Watches is the time over which watches are ended, so that their clients do not all come back at once; 0: they are ended together
	// (--shutdown-watch-termination-grace-period).
	Watches time.Duration
}

// watchesPerSecond is how many watches are ended in a second at least, as upstream.
const watchesPerSecond = 200

// departing is how far the server has come with it. It is safe for concurrent use.
type departing struct {
	leaving  atomic.Bool
	drains   atomic.Bool
	inFlight atomic.Int64  // calls that Drain waits for; a call counts itself before it asks for drains
	last     chan struct{} // has room for one: a call has left and none was in flight then

	mu      sync.Mutex
	watches map[int64]context.CancelFunc // guarded by mu; kept only when they are ended one by one
	next    int64                        // guarded by mu
}

func newDeparting() *departing {
	return &departing{last: make(chan struct{}, 1), watches: map[int64]context.CancelFunc{}}
}

// enter counts a call in; ok false: it comes too late.
func (d *departing) enter() (ok bool) {
	d.inFlight.Add(1)
	return !d.drains.Load()
}

func (d *departing) leave() {
	if d.inFlight.Add(-1) == 0 && d.drains.Load() {
		select {
		case d.last <- struct{}{}:
		default: // it has been told
		}
	}
}

// Leave makes /readyz fail from now on. All else is served as before.
func (h *Handler) Leave() { h.departing.leaving.Store(true) }

// Drain sends clients away as Config.Edge.Departure says. It returns when that is done, when ctx ends, or after the time that calls may last.
func (h *Handler) Drain(ctx context.Context) {
	h.Leave()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.endWatches(ctx)
	}()
	if h.Edge.Departure.RetryAfter {
		h.lastCalls(ctx)
	}
	<-ended
}

// lastCalls refuses new calls and waits for those in flight.
func (h *Handler) lastCalls(ctx context.Context) {
	d := h.departing
	d.drains.Store(true)
	limit := h.Clock.NewTimer(h.Limits.Call)
	defer limit.Stop()
	for d.inFlight.Load() > 0 {
		select {
		case <-d.last:
		case <-ctx.Done():
			return
		case <-limit.C():
			h.Log.Info("calls in flight are not waited for any longer", "calls", d.inFlight.Load(), "after", h.Limits.Call)
			return
		}
	}
}

// endWatches ends the watches that are open, evenly over their time and no slower than watchesPerSecond.
func (h *Handler) endWatches(ctx context.Context) {
	grace := h.Edge.Departure.Watches
	if grace <= 0 {
		return
	}
	d := h.departing
	d.mu.Lock()
	open := d.watches
	d.watches = nil
	d.mu.Unlock()
	pause := min(time.Second/watchesPerSecond, grace/time.Duration(max(1, len(open))))
	for _, end := range open {
		end()
		wait := h.Clock.NewTimer(pause)
		select {
		case <-wait.C():
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// watching notes a watch, which end ends; ok false: it comes too late. The caller calls done when the watch is over.
func (d *departing) watching(end context.CancelFunc) (done func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watches == nil {
		return nil, false
	}
	d.next++
	id := d.next
	d.watches[id] = end
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watches, id)
	}, true
}

// admitted refuses a call that comes after the last; counted: the caller owes a leave.
func (h *Handler) admitted(w http.ResponseWriter, r *http.Request, path *target) (counted, ok bool) {
	if !h.Edge.Departure.RetryAfter || exempt(r) {
		return false, true
	}
	switch in := h.departing.enter(); {
	case !in:
		h.departing.leave()
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", "5")
		http.Error(w, "The apiserver is shutting down, please try again later.", http.StatusTooManyRequests)
		return false, false
	case path.long(): // is not waited for
		h.departing.leave()
		return false, true
	}
	return true, true
}

// ends lets Drain end a watch; false: it was refused, because Drain has ended the others.
func (h *Handler) ends(c *call, cancel context.CancelFunc) (done func(), ok bool) {
	if h.Edge.Departure.Watches <= 0 {
		return func() {}, true
	}
	if done, ok = h.departing.watching(cancel); !ok {
		c.w.Header().Set("Retry-After", "1")
		c.fail(apierrors.NewServiceUnavailable("apiserver is shutting down"))
	}
	return done, ok
}

// exempt are the calls of those who look whether the server is still there, and those of another API server to itself.
func exempt(r *http.Request) bool {
	for _, page := range [...]string{"/readyz", "/livez", "/healthz", "/metrics"} {
		if strings.HasPrefix(r.URL.Path, page) {
			return true
		}
	}
	return strings.HasPrefix(r.UserAgent(), "kube-apiserver/")
}
