package wire

import (
	"bytes"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/api/fairness"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/observe/trace"
)

// mostPatience is the longest that a call waits for its turn, and leastSampled how many objects tell how large those of a kind are.
const (
	mostPatience = time.Minute
	leastSampled = 16
)

// admit lets a call go on; release must be called when it has ended. release nil: there is no room, and the client should come back after so many
// seconds. What follows a log or carries a connection is not counted, and administrators always get an answer.
func (h *Handler) admit(c *call, timeout time.Duration) (release func(), retryAfter int64) {
	switch watches := c.path.verb == "watch"; {
	case c.path.long() && !(watches && h.Fairness != nil):
		return func() {}, 0
	case h.Fairness != nil:
		if watches {
			timeout = h.Limits.Call
		}
		return h.takeTurn(c, min(timeout/4, mostPatience))
	}
	places := h.reading
	if c.path.changes() {
		places = h.changing
	}
	if places == nil {
		return func() {}, 0
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, 0
	default:
	}
	if slices.Contains(c.user.Groups, auth.Masters) {
		return func() {}, 0
	}
	return nil, 1
}

// takeTurn waits until fairness lets the call run.
func (h *Handler) takeTurn(c *call, patience time.Duration) (release func(), retryAfter int64) {
	asked := fairness.Call{User: c.user, Attributes: c.path.attributes()}
	asked.Attributes.Path = c.r.URL.Path
	if asked.Attributes.Verb == "list" || asked.Attributes.Verb == "watch" {
		asked.Load = &load{h, c}
	}
	timed := c.answered.record.Timed(audit.Queue)
	ctx, span := trace.Start(c.r.Context(), "priorityandfairness")
	let := h.Fairness.Enter(ctx, &c.ticket, asked, patience)
	span.End()
	timed()
	header := c.w.Header()
	header[fairness.SchemaHeader], header[fairness.LevelHeader] = c.ticket.Matched()
	if !let {
		return nil, c.ticket.RetryAfter()
	}
	c.answered.ticket = &c.ticket
	if c.path.outside != nil {
		c.ticket.Pause() // another server works
	}
	return c.leave, 0
}

func (c *call) leave() {
	c.answered.ticket = nil
	c.ticket.Leave()
	c.ticket.Forget()
}

// load says how much a list or a watch is about.
type load struct {
	h *Handler
	c *call
}

var _ fairness.Load = (*load)(nil)

// Stored implements fairness.Load: the number of objects is exact, and the first few stand for the size of all.
func (l *load) Stored() (objects int, size int64, ok bool) {
	if l.c.kind == nil {
		return 0, 0, false
	}
	now, sampled, total := l.h.API.Store.Snapshot(), 0, 0
	prefix := l.c.kind.Prefix()
	if objects = now.Count(prefix); objects == 0 {
		return 0, 0, true
	}
	for item := range now.Ascend(prefix, "") {
		total += item.Size()
		if sampled++; sampled == leastSampled {
			break
		}
	}
	return objects, int64(total / max(1, sampled)), true
}

// Options implements fairness.Load.
func (l *load) Options() *metav1.ListOptions {
	query := l.c.r.URL.Query()
	var opts metav1.ListOptions
	if metav1.Convert_url_Values_To_v1_ListOptions(&query, &opts, nil) != nil {
		return nil
	}
	return &opts
}

// serveQueues answers the pages that show who waits for what.
func (h *Handler) serveQueues(c *call, name string) {
	var page bytes.Buffer
	found, err := h.Fairness.Dump(&page, name, c.r.URL.Query().Get("includeRequestDetails") != "")
	switch {
	case err != nil:
		c.fail(err)
	case !found:
		c.notFound()
	default:
		send(c.w, "text/plain; charset=utf-8", 200, page.Bytes())
	}
}
