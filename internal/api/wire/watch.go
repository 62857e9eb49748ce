package wire

import (
	"context"
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

const bookmarkEvery = time.Minute

// watcher writes one watch to one client.
type watcher struct {
	h         *Handler
	c         *call
	f         format
	from      *api.Watch
	out       *outlet
	table     *metav1.TableOptions // nil without a table
	sent      sending
	began     time.Time // by the handler's clock, as until is
	bookmarks bool
	until     time.Time // by the handler's clock
	alarm     alarm
}

func (h *Handler) watch(c *call) {
	f, opts, ok := agree(c, metav1.Convert_url_Values_To_v1_ListOptions)
	if !ok {
		return
	}
	table, err := c.tableOptions(f)
	if err != nil {
		c.fail(err)
		return
	}
	from, err := h.API.Watch(c.r.Context(), c.request(), opts)
	if err != nil {
		c.fail(err)
		return
	}
	defer from.Close()
	lasts := h.watchLasts()
	if opts.TimeoutSeconds != nil && *opts.TimeoutSeconds > 0 {
		lasts = time.Duration(*opts.TimeoutSeconds) * time.Second
	}
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	defer context.AfterFunc(h.closing, cancel)()
	done, ok := h.ends(c, cancel)
	if !ok {
		return
	}
	defer done()
	media := f.media
	switch media {
	case mediaProtobuf:
		media += ";stream=watch"
	case mediaCBOR:
		media = mediaCBORStream
	}
	c.w.Header().Set("Content-Type", media)
	c.w.WriteHeader(http.StatusOK)
	now := h.Clock.Now()
	w := &watcher{
		h: h, c: c, f: f, from: from, out: h.outlet(c.w), table: table, bookmarks: opts.AllowWatchBookmarks, began: now, until: now.Add(lasts),
		sent: h.Metrics.sent(c.path.resource),
	}
	defer w.alarm.stop()
	defer w.out.close()
	if err := w.run(ctx); err != nil {
		h.Log.Debug("a watch has ended", "path", c.r.URL.Path, "user", c.user.Name, "err", err)
	}
}

// run writes until the client, the time or the server ends it: all that is there in one piece, then what comes next. It looks at the time when nothing
// is left to write.
func (w *watcher) run(ctx context.Context) error {
	for {
		e, ok, err := w.from.TryNext()
		if err == nil && !ok {
			wrote := w.out.waiting()
			if err := w.out.flush(); err != nil {
				return err
			}
			w.c.ticket.Leave() // it has been told what there is: from here on it costs nearly nothing
			if readers := w.from.Readers(); wrote && readers >= crowd {
				w.h.rounds.rest(ctx, w.h.Clock, readers)
			}
			e, ok, err = w.wait(ctx)
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, errOver), errors.Is(err, store.ErrEnded): // what is watched is gone, or defined anew
			return w.out.push()
		case err != nil:
			return errors.Join(w.status(err), w.out.flush())
		case !ok:
			continue
		}
		if err := w.write(e); err != nil {
			return errors.Join(err, w.out.flush())
		}
		if e.Initial {
			w.h.Metrics.listed(w.c, w.h.Clock.Now().Sub(w.began))
		}
	}
}

// errOver: the watch has lasted as long as it may.
var errOver = errors.New("the watch is over")

// wait returns when there may be an event; after a while without one, with a bookmark when the client takes them.
//
// A timer for each wait is what comes to mind first. It would be set and stopped with each event, so there is one for all: it may have been set by an
// earlier wait, whose end is never later, and is then set again for what is left.
func (w *watcher) wait(ctx context.Context) (mark api.Event, due bool, _ error) {
	now := w.h.Clock.Now()
	if !now.Before(w.until) {
		return api.Event{}, false, errOver
	}
	ends, marks := w.until, false
	if quiet := now.Add(bookmarkEvery); w.bookmarks && quiet.Before(ends) {
		ends, marks = quiet, true
	}
	for {
		wake, ready := w.from.Ready()
		if ready {
			return api.Event{}, false, nil
		}
		w.alarm.set(w.h.Clock, ends.Sub(now))
		select {
		case <-wake:
			return api.Event{}, false, nil
		case <-ctx.Done():
			return api.Event{}, false, ctx.Err()
		case <-w.alarm.timer.C():
			w.alarm.on = false
		}
		switch now = w.h.Clock.Now(); {
		case now.Before(ends):
		case marks:
			return api.Event{Type: watch.Bookmark, Revision: w.from.Revision()}, true, nil
		default:
			return api.Event{}, false, errOver
		}
	}
}

// watchLasts is how long a watch lasts whose client does not say: between the least and twice as long, as upstream.
func (h *Handler) watchLasts() time.Duration { return h.Limits.Watch + h.spread(h.Limits.Watch) }

// write puts one event among what is to be sent.
func (w *watcher) write(e api.Event) error {
	k, err := w.c.codec, error(nil)
	piece, before := w.out.open(), 0
	before = len(piece)
	switch plain := w.f.as == "" && e.Type != watch.Bookmark; {
	case plain && w.f.media == mediaProtobuf:
		piece, err = k.eventProtobuf(piece, e)
	case plain && w.f.media != mediaCBOR:
		piece, err = k.eventJSON(piece, e)
	default:
		var data []byte
		if data, err = w.encoded(e); err == nil {
			piece, err = frame(piece, w.f.media, e.Type, data)
		}
	}
	if err != nil {
		return errors.Join(err, w.status(apierrors.NewInternalError(err)))
	}
	w.sent.count(len(piece) - before)
	return w.out.put(piece)
}

// status writes the error that ends the watch, as an event.
func (w *watcher) status(err error) error {
	status := statusOf(err)
	data, err := encode(format{media: w.f.media}, &status, statusGVK)
	if err != nil {
		return err
	}
	piece, err := frame(w.out.open(), w.f.media, watch.Error, data)
	if err != nil {
		return err
	}
	w.sent.count(len(data))
	return w.out.put(piece)
}

// encoded is the event's object in the agreed format, for those events that no codec writes.
func (w *watcher) encoded(e api.Event) ([]byte, error) {
	if e.Type == watch.Bookmark {
		return w.bookmark(e)
	}
	obj, err := api.ObjectOf(w.c.kind, e.Item)
	if err != nil {
		return nil, err
	}
	if e.Type == watch.Deleted { // its last state, at the revision of the deletion
		obj = obj.DeepCopyObject().(kinds.Object)
		obj.SetResourceVersion(api.Version(e.Revision))
	}
	if w.f.as != "" {
		return w.transformed(obj)
	}
	if obj, err = w.c.kind.Shown(obj); err != nil {
		return nil, err
	}
	return objectCBOR(obj, w.c.kind.GVK)
}

// transformed shows one object as the client wishes. Only the first of a watch's tables says what the columns are.
func (w *watcher) transformed(obj kinds.Object) ([]byte, error) {
	f := format{media: w.f.media, as: w.f.as, version: w.f.version}
	data, err := w.h.transformed(w.c, f, w.table, []kinds.Object{obj}, metav1.ListMeta{ResourceVersion: obj.GetResourceVersion()}, false)
	if w.table != nil {
		w.table.NoHeaders = true
	}
	return data, err
}

// bookmark is an empty object of the kind at a revision; the one that ends the initial events says so.
func (w *watcher) bookmark(e api.Event) ([]byte, error) {
	obj := w.c.kind.New()
	obj.SetResourceVersion(api.Version(e.Revision))
	if e.Initial {
		obj.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	if f := w.c.kind.Blank; f != nil {
		f(obj)
	}
	if w.f.as != "" {
		return w.transformed(obj)
	}
	return encode(format{media: w.f.media}, obj, w.c.kind.GVK)
}
