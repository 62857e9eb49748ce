package api

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/floe-k8s/floe/internal/store"
)

// Event is one change as a watcher with a selector sees it.
//
//	before:   no match      match        gone or no match   match
//	after:    match         match        no match           no match or gone
//	event:    Added         Modified     none               Deleted (Item is the last match)
type Event struct {
	Type watch.EventType
	// Item is the object; for Deleted its state before, which goes out under Revision. nil for a bookmark.
	Item     *store.Item
	Revision store.Revision
	Initial  bool // the bookmark that ends the initial events
}

// Watch delivers the changes of a collection to one goroutine: first, when asked, what exists as Added, then every later change exactly once and
// in order. A watcher that falls behind what is kept gets 410 and must list again; it never slows a writer.
type Watch struct {
	selector selector
	cursor   *store.Cursor
	initial  []*store.Item // still to be sent
	// bookmark is due after the initial events, with upstream's annotation.
	bookmark bool
	// seen: the client knows the changes up to here, which may be ahead of what there is; they are not sent.
	seen store.Revision
	late error // ends the watch before its first event; cursor is nil then
}

// Watch follows a collection, or one object when the request names it.
func (s *Server) Watch(ctx context.Context, req Request, opts metav1.ListOptions) (*Watch, error) {
	if err := s.Allow(ctx, req.User, req.selecting("watch", opts.FieldSelector, opts.LabelSelector)); err != nil {
		return nil, err
	}
	opts.Watch = true
	if err := validateList(opts); err != nil {
		return nil, err
	}
	sel, err := newSelector(req, opts)
	if err != nil {
		return nil, err
	}
	w := &Watch{selector: sel}
	if w.seen, err = parseSeen(opts.ResourceVersion); err != nil {
		return nil, err
	}
	after, err := s.begin(ctx, w, opts)
	if apierrors.IsTimeout(err) { // upstream waits behind the answer's first line
		w.late = err
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	wanted := store.WatchOptions{Prefix: sel.prefix, After: after, Key: sel.key, Index: sel.index, Value: sel.value}
	w.cursor, err = s.cursor(wanted)
	if req.Kind.Uncached && apierrors.IsResourceExpired(err) { // upstream's log says so, when it has begun to answer
		w.late = apierrors.NewResourceExpired("The resourceVersion for the provided watch is too old.")
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// cursor returns a reader's place in the store's events.
func (s *Server) cursor(wanted store.WatchOptions) (*store.Cursor, error) {
	cursor, err := s.Store.Watch(wanted)
	switch {
	case errors.Is(err, store.ErrExpired):
		return nil, expired(wanted.After, s.Store.Snapshot().Revision())
	case errors.Is(err, store.ErrFuture):
		return nil, tooLarge(wanted.After, s.Store.Snapshot().Revision())
	case err != nil:
		return nil, apierrors.NewInternalError(err)
	}
	return cursor, nil
}

// expired is upstream's answer to a watch from a version that is no longer kept.
func expired(after, now store.Revision) error {
	return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", after, now))
}

// begin says after which revision the events come, and lists what is to be sent before them.
func (s *Server) begin(ctx context.Context, w *Watch, opts metav1.ListOptions) (store.Revision, error) {
	all := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	w.bookmark = all && opts.AllowWatchBookmarks
	if all || w.seen == 0 && opts.SendInitialEvents == nil {
		if _, err := s.fresh(ctx, opts.ResourceVersion, w.seen); err != nil {
			return 0, err
		}
		snapshot := s.Store.Snapshot()
		for item := range w.selector.candidates(snapshot, "") {
			ok, err := w.selector.matches(item)
			if err != nil {
				return 0, apierrors.NewInternalError(err)
			}
			if ok {
				w.initial = append(w.initial, item)
			}
		}
		return snapshot.Revision(), nil
	}
	now := s.Store.Snapshot().Revision()
	if w.seen == 0 {
		return now, nil
	}
	return min(w.seen, now), nil
}

// Revision is that up to which every event has been delivered.
func (w *Watch) Revision() store.Revision {
	if w.cursor == nil {
		return 0
	}
	return max(w.cursor.Revision(), w.seen)
}

// Ready returns a channel that is closed when there may be an event, for those who wait for several watches; now says that there may be already.
func (w *Watch) Ready() (wake <-chan struct{}, now bool) {
	if len(w.initial) > 0 || w.bookmark || w.late != nil {
		return nil, true
	}
	return w.cursor.Ready()
}

// Readers returns how many watches, this one among them, wait for the same events of the store.
func (w *Watch) Readers() int {
	if w.cursor == nil {
		return 1
	}
	return w.cursor.Readers()
}

// Close gives the watch's place back.
func (w *Watch) Close() {
	if w.cursor != nil {
		w.cursor.Close()
	}
}

// TryNext returns the next event; ok false when there is none now.
func (w *Watch) TryNext() (e Event, ok bool, err error) {
	if e, ok := w.first(); ok {
		return e, true, nil
	}
	if w.late != nil {
		return Event{}, false, w.late
	}
	for {
		ended := w.cursor.Ended() // asked first: what came before it is still taken
		change, ok, err := w.cursor.TryNext()
		if err == nil && !ok {
			err = ended
		}
		if err != nil || !ok {
			return Event{}, false, w.failed(err)
		}
		if e, ok, err := w.event(change); ok || err != nil {
			return e, ok, err
		}
	}
}

// first returns what comes before the changes.
func (w *Watch) first() (Event, bool) {
	if len(w.initial) > 0 {
		item := w.initial[0]
		w.initial[0], w.initial = nil, w.initial[1:]
		return Event{Type: watch.Added, Item: item, Revision: item.Revision}, true
	}
	if w.bookmark {
		w.bookmark = false
		return Event{Type: watch.Bookmark, Revision: w.cursor.Revision(), Initial: true}, true
	}
	return Event{}, false
}

func (w *Watch) failed(err error) error {
	if errors.Is(err, store.ErrExpired) {
		return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d", w.cursor.Revision()))
	}
	return err
}

// event says what change is to this watcher; false: nothing.
func (w *Watch) event(change store.Event) (Event, bool, error) {
	if change.Revision <= w.seen {
		return Event{}, false, nil
	}
	is, err := w.wants(change.Item)
	if err != nil {
		return Event{}, false, apierrors.NewInternalError(err)
	}
	was, err := w.wants(change.Previous)
	if err != nil {
		return Event{}, false, apierrors.NewInternalError(err)
	}
	e := Event{Item: change.Item, Revision: change.Revision}
	switch {
	case is && was:
		e.Type = watch.Modified
	case is:
		e.Type = watch.Added
	case was:
		e.Type, e.Item = watch.Deleted, change.Previous
	default:
		return Event{}, false, nil
	}
	return e, true, nil
}

func (w *Watch) wants(item *store.Item) (bool, error) {
	if item == nil {
		return false, nil
	}
	return w.selector.matches(item)
}

// Follow is Watch for floe's own parts, who share the table as upstream's controllers share their informers: nobody's rights are asked for. It returns a
// cursor after a revision, on all of the request's collection or on one index value.
func (s *Server) Follow(req Request, after store.Revision, index, value string) (*store.Cursor, error) {
	return s.cursor(store.WatchOptions{Prefix: req.Kind.Prefix(), After: after, Index: index, Value: value})
}
