package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/joint"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/store"
)

const (
	maxCollections = 64  // of one joint watch
	flushEvery     = 256 // objects of the state that a joint watch begins with; each flush gives the client time to read
)

// jointWatch writes the changes of several collections to one client, in the order of the log; see package joint.
type jointWatch struct {
	h        *Handler
	ctx      context.Context
	parts    []*jointPart
	out      *outlet        // of all parts: their order is that of the log
	at       store.Revision // of the last mark
	batch    []jointEvent   // used again for each round
	channels []reflect.SelectCase
}

// jointPart is one collection.
type jointPart struct {
	watcher
	held *api.Event // read, and later than the round that it was read in
}

type jointEvent struct {
	api.Event
	part *jointPart
}

func (h *Handler) serveJoint(c *call) {
	if attrs := (auth.Attributes{Verb: "get", Path: joint.Path}); !c.user.Ours() {
		c.fail(auth.Forbidden(c.user, attrs, ""))
		return
	}
	lasts := h.watchLasts()
	ctx, cancel := api.WithTimeout(c.r.Context(), h.Clock, lasts)
	defer cancel()
	defer context.AfterFunc(h.closing, cancel)()
	j := &jointWatch{h: h, ctx: ctx, out: h.outlet(c.w)}
	defer j.close()
	query := c.r.URL.Query()
	if n := len(query[joint.Of]); n == 0 || n > maxCollections {
		c.fail(apierrors.NewBadRequest(fmt.Sprintf("a joint watch follows 1 to %d collections, not %d", maxCollections, n)))
		return
	}
	after := query.Get(joint.After)
	if rev, err := strconv.ParseUint(after, 10, 64); after != "" && (err != nil || rev == 0) {
		c.fail(apierrors.NewBadRequest(fmt.Sprintf("parameter %s: %q is no revision", joint.After, after)))
		return
	}
	for _, of := range query[joint.Of] {
		if err := j.add(c, of, after); err != nil {
			c.fail(err)
			return
		}
	}
	c.w.Header().Set("Content-Type", mediaProtobuf+";stream=watch")
	c.w.WriteHeader(http.StatusOK)
	if err := j.run(after == ""); err != nil && ctx.Err() == nil {
		h.Log.Debug("a joint watch has ended", "user", c.user.Name, "err", err)
	}
}

// add begins to follow one collection.
func (j *jointWatch) add(c *call, of, after string) error {
	target, err := url.Parse(of)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("parameter %s: %v", joint.Of, err))
	}
	part := &call{w: c.w, r: c.r, user: c.user, speaks: c.speaks, pools: c.pools, view: c.view, path: parse(&http.Request{Method: http.MethodGet, URL: target})}
	part.path.verb = "watch"
	if part.kind = c.view.catalog.Find(part.path.resource); part.kind == nil || part.path.subresource != "" || !part.serves() {
		return apierrors.NewBadRequest(fmt.Sprintf("parameter %s: %s is no collection that is served", joint.Of, of))
	}
	part.codec = c.view.codecs[part.kind]
	var opts metav1.ListOptions
	query := target.Query()
	if err := metav1.Convert_url_Values_To_v1_ListOptions(&query, &opts, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	opts = metav1.ListOptions{LabelSelector: opts.LabelSelector, FieldSelector: opts.FieldSelector, ResourceVersion: after, AllowWatchBookmarks: true}
	if after == "" {
		everything := true
		opts.SendInitialEvents, opts.ResourceVersionMatch = &everything, metav1.ResourceVersionMatchNotOlderThan
	}
	from, err := j.h.API.Watch(j.ctx, part.request(), opts)
	if err != nil {
		return err
	}
	j.parts = append(j.parts, &jointPart{watcher: watcher{
		h: j.h, c: part, f: format{media: mediaProtobuf}, from: from, out: j.out, sent: j.h.Metrics.sent(part.path.resource),
	}})
	return nil
}

func (j *jointWatch) close() {
	for _, p := range j.parts {
		p.from.Close()
	}
	j.out.close()
}

// run writes until the client, the time or the server ends it.
func (j *jointWatch) run(state bool) error {
	err := j.write(state)
	for err == nil && j.ctx.Err() == nil {
		if err = j.out.flush(); err == nil {
			err = j.round(j.wait())
		}
	}
	if err == nil || j.ctx.Err() != nil {
		return nil
	}
	return errors.Join(err, j.parts[0].status(err), j.out.flush())
}

// write begins the answer: with all that exists, when that is wanted, and a mark.
func (j *jointWatch) write(state bool) error {
	var shown store.Revision // the state may be newer than the events that can be read
	for _, p := range j.parts {
		if state {
			if err := p.state(); err != nil {
				return err
			}
			shown = max(shown, p.from.Revision())
		}
		j.at = max(j.at, p.from.Revision())
	}
	fed, _, err := j.changes(shown)
	return j.mark(fed, err)
}

// state writes what exists.
func (p *jointPart) state() error {
	for n := 1; ; n++ {
		e, ok, err := p.from.TryNext()
		if err != nil || !ok || e.Initial {
			return err
		}
		if err := p.write(e); err != nil {
			return err
		}
		if n%flushEvery == 0 {
			if err := p.out.flush(); err != nil {
				return err
			}
		}
	}
}

// round writes the changes since the last mark, and a mark when there were any or it is due.
func (j *jointWatch) round(due bool) error {
	fed, n, err := j.changes(0)
	if err != nil || n == 0 && !due {
		return err
	}
	return j.mark(fed, nil)
}

// changes writes what there is up to the end of a transaction at or after least, in order, and returns that revision and how many they were.
func (j *jointWatch) changes(least store.Revision) (upTo store.Revision, n int, _ error) {
	fed := j.settled(least)
	j.batch = j.batch[:0]
	for _, p := range j.parts {
		for {
			e, err := p.take(fed)
			if err != nil {
				return 0, 0, err
			}
			if e == nil {
				break
			}
			j.batch = append(j.batch, jointEvent{*e, p})
		}
	}
	slices.SortStableFunc(j.batch, func(a, b jointEvent) int { return cmp.Compare(a.Revision, b.Revision) })
	for i := range j.batch {
		e := &j.batch[i]
		if err := e.part.write(e.Event); err != nil {
			return 0, 0, err
		}
		*e = jointEvent{} // it keeps no object
	}
	return fed, len(j.batch), nil
}

// settled returns the revision up to which all events can be read. It is at or after least and what has been read already: both have been in the
// table, which is shown a moment before all its events are, and that moment is waited for by letting others run.
func (j *jointWatch) settled(least store.Revision) store.Revision {
	for _, p := range j.parts {
		if p.held != nil {
			least = max(least, p.held.Revision)
		}
	}
	for {
		if fed := j.h.API.Store.Fed(); fed >= least || j.ctx.Err() != nil {
			return fed
		}
		runtime.Gosched()
	}
}

// take returns the next event up to a revision; nil when there is none.
func (p *jointPart) take(upTo store.Revision) (*api.Event, error) {
	e := p.held
	if e == nil {
		next, ok, err := p.from.TryNext()
		if err != nil || !ok {
			return nil, err
		}
		e = &next
	}
	if p.held = nil; e.Revision > upTo {
		p.held, e = e, nil
	}
	return e, nil
}

// mark says that everything up to a revision has been said. A client that has been at another server may be ahead of this one; what it has is its mark.
func (j *jointWatch) mark(rev store.Revision, err error) error {
	if err != nil {
		return err
	}
	j.at = max(j.at, rev)
	return j.parts[0].write(api.Event{Type: watch.Bookmark, Revision: j.at})
}

// wait returns when a collection may have a change, or a mark is due, or the watch ends.
func (j *jointWatch) wait() (due bool) {
	quiet, cancel := api.WithTimeout(j.ctx, j.h.Clock, joint.MarkEvery)
	defer cancel()
	j.channels = append(j.channels[:0], reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(quiet.Done())})
	for _, p := range j.parts {
		wake, now := p.from.Ready()
		if now || p.held != nil {
			return false
		}
		j.channels = append(j.channels, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(wake)})
	}
	chosen, _, _ := reflect.Select(j.channels)
	return chosen == 0
}
