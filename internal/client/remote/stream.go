package remote

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/joint"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

const (
	readBuffer = 64 << 10
	// maxBatch bounds the bytes between two marks, once the state is loaded. The server's rings hold less.
	maxBatch = 256 << 20
	// silence is how long a joint watch may say nothing: three marks.
	silence = 3 * joint.MarkEvery
)

var errSilent = fmt.Errorf("the server has said nothing for %v", silence)

// stream is one joint watch.
type stream struct {
	source *source
	ctx    context.Context
	body   io.ReadCloser
	in     *bufio.Reader
	after  store.Revision // 0: it begins with the state
	heard  atomic.Uint64  // events
	end    func()         // ends ctx and waits for who listens for silence
}

// open begins a joint watch after a revision; 0: with the state.
func (s *source) open(ctx context.Context, after store.Revision) (*stream, error) {
	query := url.Values{}
	for _, sel := range s.selections {
		query.Add(joint.Of, sel.path())
	}
	if after > 0 {
		query.Set(joint.After, strconv.FormatUint(uint64(after), 10))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	st := &stream{source: s, ctx: ctx, after: after}
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		st.listen(cancel)
	}()
	st.end = func() {
		cancel(context.Canceled)
		<-listening
	}
	resp, err := s.send(ctx, request{method: http.MethodGet, path: joint.Path, query: query, verb: "watch"})
	if err != nil {
		st.end()
		return nil, st.cause(err)
	}
	st.body, st.in = resp.Body, bufio.NewReaderSize(resp.Body, readBuffer)
	return st, nil
}

func (st *stream) close() {
	st.body.Close()
	st.end()
}

// listen ends the stream when nothing is heard for too long.
func (st *stream) listen(cancel context.CancelCauseFunc) {
	const looks = 3
	tick := st.source.clock.NewTicker(silence / looks)
	defer tick.Stop()
	for last, quiet := uint64(0), 0; quiet < looks; {
		select {
		case <-st.ctx.Done():
			return
		case <-tick.C():
		}
		quiet++
		if heard := st.heard.Load(); heard != last {
			last, quiet = heard, 0
		}
	}
	cancel(errSilent)
}

// cause is the reason why the stream was ended, or else err.
func (st *stream) cause(err error) error {
	if cause := context.Cause(st.ctx); errors.Is(cause, errSilent) {
		return cause
	}
	return err
}

// batch is what stands between two marks.
type batch struct {
	records []store.Record
	mark    store.Revision
	bytes   int
}

// read fills b up to the next mark, which is at or after least.
func (st *stream) read(b *batch, least store.Revision) error {
	for now := st.source.clock.Now(); ; {
		e, err := readEvent(st.in)
		if err != nil {
			return st.cause(err)
		}
		st.heard.Add(1)
		switch e.kind {
		case watch.Added, watch.Modified, watch.Deleted:
			err = st.take(b, &e, now)
		case watch.Bookmark:
			if err = st.marked(b, &e, least); err == nil {
				st.after = b.mark
				return nil
			}
		case watch.Error:
			err = e.object.status()
		default:
			err = fmt.Errorf("%w: an event of type %q", errLie, e.kind)
		}
		if err != nil {
			return err
		}
	}
}

// take adds a change to the batch, once it is known to be one that the table can hold.
func (st *stream) take(b *batch, e *event, now time.Time) error {
	r, err := st.source.record(e, now)
	if err != nil {
		return err
	}
	if st.after > 0 {
		last := st.after
		if n := len(b.records); n > 0 {
			last = b.records[n-1].Revision
		}
		if b.bytes += len(r.Value); r.Revision <= last || b.bytes > maxBatch {
			return fmt.Errorf("%w: %s at revision %d after %d, %d bytes since the last mark", errLie, r.Key, r.Revision, last, b.bytes)
		}
	}
	b.records = append(b.records, r)
	return nil
}

// marked ends the batch.
func (st *stream) marked(b *batch, e *event, least store.Revision) error {
	if err := e.object.meta(); err != nil {
		return err
	}
	mark, err := e.object.revision()
	if err != nil {
		return err
	}
	if mark < least {
		return fmt.Errorf("%w: it is at revision %d, and has been at %d", errLie, mark, least)
	}
	for i := range b.records {
		if r := &b.records[i]; r.Revision > mark {
			return fmt.Errorf("%w: %s at revision %d before the mark %d", errLie, r.Key, r.Revision, mark)
		}
	}
	b.mark = mark
	return nil
}

// newest calls each with the newest record of every key that is there, in key order.
func (b *batch) newest(each func(store.Record) error) error {
	slices.SortFunc(b.records, func(x, y store.Record) int {
		return cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.Revision, y.Revision))
	})
	for i, r := range b.records {
		if r.Value == nil || i+1 < len(b.records) && b.records[i+1].Key == r.Key {
			continue
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

// record is an event as a record of the log. The object is read once, so that nothing in the table is unreadable.
func (s *source) record(e *event, now time.Time) (store.Record, error) {
	o := &e.object
	if err := o.meta(); err != nil {
		return store.Record{}, err
	}
	gv, err := schema.ParseGroupVersion(o.apiVersion)
	if err != nil {
		return store.Record{}, fmt.Errorf("%w: %w", errLie, err)
	}
	k := s.kinds[gv.WithKind(o.typ)]
	if k == nil {
		return store.Record{}, fmt.Errorf("%w: a %s of %s, which was not asked for", errLie, o.typ, o.apiVersion)
	}
	rev, err := o.revision()
	if err != nil {
		return store.Record{}, err
	}
	if !validName(o.name) || k.Namespaced != validName(o.namespace) {
		return store.Record{}, fmt.Errorf("%w: a %s named %q in %q", errLie, o.typ, o.name, o.namespace)
	}
	if err := k.New().(api.Message).Unmarshal(o.message); err != nil {
		return store.Record{}, fmt.Errorf("%w: %s %s/%s: %w", errLie, o.typ, o.namespace, o.name, err)
	}
	r := store.Record{Revision: rev, Key: keyOf(k, o.namespace, o.name), Time: now}
	if e.kind != watch.Deleted {
		r.Value = o.whole
	}
	return r, nil
}

func keyOf(k *kinds.Kind, namespace, name string) string {
	if k.Namespaced {
		return k.Prefix() + namespace + "/" + name
	}
	return k.Prefix() + name
}
