package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/observe/aside"
	"github.com/floe-k8s/floe/internal/observe/trace"
)

// Limits bound what clients can take from a server. A field that is 0 has its default, but for the calls in flight, of which there may be any number.
type Limits struct {
	Reading  int           // calls in flight that change nothing, watches not counted; 0: no bound (--max-requests-inflight)
	Changing int           // calls in flight that change something; 0: no bound (--max-mutating-requests-inflight)
	Call     time.Duration // from a call's first byte to its answer's last, unless it is long: 1 minute (--request-timeout)
	Watch    time.Duration // how long a watch lasts at least, unless its client says so: 30 minutes (--min-request-timeout)
	Stall    time.Duration // how long the client of a long call may take nothing of what is there for it: 30 seconds; floe's own
	Streams  int           // calls at once on one HTTP/2 connection: 100 (--http2-max-streams-per-connection)
	Last     time.Duration // how long a client may take the rest of an answer after Call has passed: 10 seconds; floe's own
	Drain    time.Duration // how long calls in flight have to end when the server does; 0: 5 seconds; floe's own
}

const (
	// Endless is a Limits.Watch with which watches last as long as their clients like. It is 73 years, so that twice as much can be said, too.
	Endless = time.Duration(math.MaxInt64) / 4

	maxBody  = 3 << 20  // bytes of one request, as upstream
	believed = 64 << 10 // bytes of memory that a client gets for saying that it will send as many
)

func (l Limits) complete() Limits {
	setUnset(&l.Call, time.Minute)
	setUnset(&l.Watch, 30*time.Minute)
	setUnset(&l.Stall, 30*time.Second)
	setUnset(&l.Streams, 100)
	setUnset(&l.Last, 10*time.Second)
	return l
}

func setUnset[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// timeout is how long a call may last that is not long. A client may wish for less.
func (h *Handler) timeout(r *http.Request) (d time.Duration, wished bool, err error) {
	text := queryValue(r, "timeout")
	if text == "" {
		return h.Limits.Call, false, nil
	}
	d, err = time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, false, apierrors.NewBadRequest("invalid timeout specified in the request URL - " + err.Error())
	case d > 0 && d < h.Limits.Call:
		return d, true, nil
	}
	return h.Limits.Call, false, nil
}

// hurry ends reading and writing with the time that the client has wished for. Without a wish the server's own deadlines hold, which cost less.
func (h *Handler) hurry(w http.ResponseWriter, d time.Duration) {
	to := http.NewResponseController(w)
	// Writers that have no deadlines are those of tests.
	_ = to.SetReadDeadline(time.Now().Add(d))
	_ = to.SetWriteDeadline(time.Now().Add(d + h.Limits.Last))
}

// guard lets a long call last, and ends it when its client takes nothing any more.
//
// A deadline of the connection for each write is what comes to mind first. HTTP/2 resets a stream when its deadline passes, whether anything is
// being written or not, so that each write would set it and each flush take it away: two messages to the connection's goroutine. A timer costs less.
type guard struct {
	to    *http.ResponseController
	timer clock.Timer
	limit time.Duration
	mu    sync.Mutex
	over  bool // guarded by mu: the call has ended, and its writer must be left alone
}

func (h *Handler) guard(w http.ResponseWriter) *guard {
	g := &guard{to: http.NewResponseController(w), limit: h.Limits.Stall}
	_ = g.to.SetReadDeadline(time.Time{})
	_ = g.to.SetWriteDeadline(time.Time{})
	g.timer = h.Deadlines.AfterFunc(g.limit, g.cut)
	g.timer.Stop()
	return g
}

// during runs one write, which the client has limit to take.
func (g *guard) during(write func() error) error {
	g.timer.Reset(g.limit)
	defer g.timer.Stop()
	return write()
}

// cut fails the write that is under way: its deadline is long past.
func (g *guard) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		_ = g.to.SetWriteDeadline(time.Unix(1, 0))
	}
}

func (g *guard) close() {
	g.timer.Stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
}

// readBody returns the whole body, if it is not too large and comes in time.
func (c *call) readBody() ([]byte, error) {
	r := c.r
	if r.ContentLength > maxBody { // nobody needs to send it
		return nil, tooLarge()
	}
	var buf bytes.Buffer
	buf.Grow(int(max(0, min(r.ContentLength, believed))) + bytes.MinRead)
	back := aside.Step(r.Context()) // the client may be slow
	_, err := buf.ReadFrom(r.Body)
	back()
	var over *http.MaxBytesError
	switch {
	case asError(err, &over):
		return nil, tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded), err != nil && errors.Is(r.Context().Err(), context.DeadlineExceeded):
		return nil, apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	case err != nil:
		return nil, apierrors.NewBadRequest("the body could not be read: " + err.Error())
	}
	c.metrics.body(c, buf.Len())
	trace.From(r.Context()).EventOf("limitedReadBody succeeded", "len", buf.Len())
	return buf.Bytes(), nil
}

func tooLarge() error {
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxBody))
}
