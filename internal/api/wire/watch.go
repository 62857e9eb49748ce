package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
	to        *http.ResponseController
	table     *metav1.TableOptions // nil without a table
	sent      sending
	began     time.Time // by the handler's clock, as until is
	bookmarks bool
	until     time.Time // by the handler's clock
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
		h: h, c: c, f: f, from: from, to: http.NewResponseController(c.w), table: table, bookmarks: opts.AllowWatchBookmarks, began: now, until: now.Add(lasts),
		sent: h.Metrics.sent(c.path.resource),
	}
	if err := w.run(ctx); err != nil {
		h.Log.Debug("a watch has ended", "path", c.r.URL.Path, "user", c.user.Name, "err", err)
	}
}

// run writes until the client, the time or the server ends it: what is there, then a flush, then the next. It looks at the time when nothing is left to
// write.
func (w *watcher) run(ctx context.Context) error {
	for {
		e, ok, err := w.from.TryNext()
		if err == nil && !ok {
			if err := w.flush(); err != nil {
				return err
			}
			e, err = w.wait(ctx)
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, errOver), errors.Is(err, store.ErrEnded): // what is watched is gone, or defined anew
			return nil
		case err != nil:
			return errors.Join(w.status(err), w.flush())
		}
		if err := w.write(e); err != nil {
			return err
		}
		if e.Initial {
			w.h.Metrics.listed(w.c, w.h.Clock.Now().Sub(w.began))
		}
	}
}

// errOver: the watch has lasted as long as it may.
var errOver = errors.New("the watch is over")

// wait returns the next event; after a while without one, a bookmark when the client takes them.
func (w *watcher) wait(ctx context.Context) (api.Event, error) {
	left := w.until.Sub(w.h.Clock.Now())
	if left <= 0 {
		return api.Event{}, errOver
	}
	marks := w.bookmarks && left > bookmarkEvery
	if marks {
		left = bookmarkEvery
	}
	quiet, cancel := api.WithTimeout(ctx, w.h.Clock, left)
	defer cancel()
	e, err := w.from.Next(quiet)
	switch {
	case err == nil || ctx.Err() != nil || quiet.Err() == nil:
		return e, err
	case marks:
		return api.Event{Type: watch.Bookmark, Revision: w.from.Revision()}, nil
	}
	return api.Event{}, errOver
}

// watchLasts is how long a watch lasts whose client does not say: between the least and twice as long, as upstream.
func (h *Handler) watchLasts() time.Duration { return h.Limits.Watch + h.spread(h.Limits.Watch) }

func (w *watcher) flush() error { return w.to.Flush() }

func (w *watcher) write(e api.Event) error {
	data, err := w.encoded(e)
	if err != nil {
		return errors.Join(err, w.status(apierrors.NewInternalError(err)))
	}
	return w.frame(e.Type, data)
}

// status writes the error that ends the watch, as an event.
func (w *watcher) status(err error) error {
	status := statusOf(err)
	data, err := encode(format{media: w.f.media}, &status, statusGVK)
	if err != nil {
		return err
	}
	return w.frame(watch.Error, data)
}

// frame writes one event: a line of JSON, or a length and a WatchEvent in protobuf.
func (w *watcher) frame(kind watch.EventType, object []byte) error {
	w.sent.count(len(object))
	if w.f.media == mediaProtobuf {
		event := metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: object}}
		size := event.Size()
		out := make([]byte, 4+size)
		binary.BigEndian.PutUint32(out, uint32(size))
		if _, err := event.MarshalToSizedBuffer(out[4:]); err != nil {
			return err
		}
		_, err := w.c.w.Write(out)
		return err
	}
	if w.f.media == mediaCBOR {
		out, err := frameCBOR(string(kind), object)
		if err == nil {
			_, err = w.c.w.Write(out)
		}
		return err
	}
	if n := len(object); n > 0 && object[n-1] == '\n' {
		object = object[:n-1]
	}
	out := make([]byte, 0, len(object)+40)
	out = append(out, `{"type":"`...)
	out = append(out, kind...)
	out = append(out, `","object":`...)
	out = append(out, object...)
	_, err := w.c.w.Write(append(out, "}\n"...))
	return err
}

// encoded is the event's object in the agreed format.
func (w *watcher) encoded(e api.Event) ([]byte, error) {
	k := w.c.kind
	plain := w.f.as == ""
	switch {
	case e.Type == watch.Bookmark:
		return w.bookmark(e)
	case plain && w.f.media == mediaProtobuf:
		return w.c.codec.protobuf(e.Item, e.Revision)
	case plain && w.f.media != mediaCBOR:
		return w.c.codec.shared(e.Item, e.Revision)
	}
	obj, err := api.Object(e.Item)
	if err != nil {
		return nil, err
	}
	if e.Type == watch.Deleted { // its last state, at the revision of the deletion
		obj = obj.DeepCopyObject().(kinds.Object)
		obj.SetResourceVersion(api.Version(e.Revision))
	}
	if plain {
		if obj, err = k.Shown(obj); err != nil {
			return nil, err
		}
	}
	if plain {
		return objectCBOR(obj, k.GVK)
	}
	return w.transformed(obj)
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
