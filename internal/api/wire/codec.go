package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/transcode"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// formJSON is the cached JSON of an item, without apiVersion and kind.
const formJSON store.FormID = 0

const (
	// listPiece is how much of a list is written at once, in bytes: each piece is a walk through HTTP/2 and TLS.
	listPiece = 64 << 10
	// listCached is the most bytes of stored objects whose JSON a list leaves in the table's cache. To list more would only push out, a list
	// later, what it has put there, and what others had: writing an item anew costs a few microseconds.
	listCached = 2 << 20
)

// errDynamic: objects without a Go type are written whole, with the type that they say they have.
var errDynamic = errors.New("the kind has no Go type")

// codec writes the stored objects of one kind.
type codec struct {
	kind    *kinds.Kind
	message func(*store.Item, *store.Scratch) ([]byte, error)
	opening string // of an object that stands alone: its kind and apiVersion; "" where every object says them
	// envelope is what stands in protobuf before the length of an object that stands alone, and after the object.
	envelope struct{ opening, closing string }
	form     func() (*transcode.Form, error) // made when it is first needed; an error for types that need encoding/json
	id       store.FormID                    // of the cached JSON
}

// codecsOf has the codecs of kinds; those that known has are kept.
func codecsOf(list []*kinds.Kind, known map[*kinds.Kind]*codec) map[*kinds.Kind]*codec {
	out := make(map[*kinds.Kind]*codec, len(list))
	for _, k := range list {
		if x := known[k]; x != nil {
			out[k] = x
			continue
		}
		x := &codec{kind: k, message: api.Raw(k), opening: fmt.Sprintf("{\"kind\":%q,\"apiVersion\":%q", k.GVK.Kind, k.GVK.GroupVersion())}
		x.envelope.opening, x.envelope.closing = api.EnvelopeParts(k.GVK)
		x.form = sync.OnceValues(func() (*transcode.Form, error) {
			if k.Dynamic != nil {
				return nil, errDynamic
			}
			return transcode.Compile(reflect.TypeOf(k.New()).Elem())
		})
		if k.Dynamic != nil {
			x.opening, x.id = "", formJSON+store.FormID(k.Dynamic.Place)
		}
		out[k] = x
	}
	return out
}

// append appends an item's JSON, as it stands in lists, at a revision, which is that of its deletion in the event of one. A large one is expanded in the
// scratch, which may be nil.
func (x *codec) append(dst []byte, item *store.Item, rev store.Revision, scratch *store.Scratch) ([]byte, error) {
	if form, err := x.form(); err == nil && x.kind.View == nil {
		msg, err := x.message(item, scratch)
		if err != nil {
			return dst, err
		}
		out, err := form.Append(dst, msg, uint64(rev))
		if !errors.Is(err, transcode.ErrUnusual) {
			return out, err
		}
	}
	obj, err := api.Shown(x.kind, item)
	if err != nil {
		return dst, err
	}
	if rev != item.Revision {
		obj = obj.DeepCopyObject().(kinds.Object)
		obj.SetResourceVersion(api.Version(rev))
	}
	doc, err := json.Marshal(obj)
	return append(dst, doc...), err
}

// cached is an item's JSON, as it stands in lists, which the table's cache keeps for others. It is shared.
func (x *codec) cached(item *store.Item) ([]byte, error) {
	return item.Form(x.id, func(item *store.Item) ([]byte, error) { return x.append(nil, item, item.Revision, nil) })
}

// lister returns what appends one item of a list of items.
func (x *codec) lister(items []*store.Item) func(dst []byte, item *store.Item) ([]byte, error) {
	size := 0
	for _, item := range items {
		size += item.Size()
	}
	keeps := size <= listCached && x.kind.View == nil
	scratch := new(store.Scratch)
	return func(dst []byte, item *store.Item) ([]byte, error) {
		switch {
		case keeps:
			doc, err := x.cached(item)
			return append(dst, doc...), err
		case x.kind.View == nil:
			if doc := item.Cached(x.id); doc != nil {
				return append(dst, doc...), nil
			}
		}
		return x.append(dst, item, item.Revision, scratch)
	}
}

// typed is the JSON of an item that stands alone, with its kind. The caller owns it, and finds room behind it for a little more.
func (x *codec) typed(item *store.Item, rev store.Revision) ([]byte, error) {
	var doc []byte
	if rev == item.Revision && x.kind.View == nil {
		doc = item.Cached(x.id)
	}
	return x.alone(make([]byte, 0, len(x.opening)+max(len(doc), 2*item.Size())+64), doc, item, rev)
}

// alone appends typed. doc is the item's JSON at rev; nil makes it.
func (x *codec) alone(dst, doc []byte, item *store.Item, rev store.Revision) ([]byte, error) {
	dst = append(dst, x.opening...)
	at := len(dst)
	if doc != nil {
		dst = append(dst, doc...)
	} else {
		var err error
		if dst, err = x.append(dst, item, rev, nil); err != nil {
			return nil, err
		}
	}
	if x.opening != "" {
		dst[at] = ',' // where the object began; it has metadata at least
	}
	return dst, nil
}

// protobuf is an item in its envelope, at a revision.
func (x *codec) protobuf(item *store.Item, rev store.Revision) ([]byte, error) {
	if x.kind.Dynamic != nil {
		return nil, fmt.Errorf("%s: %w", x.kind.GVK.Kind, errNoProtobuf)
	}
	raw, err := x.message(item, nil)
	if err != nil {
		return nil, err
	}
	version := api.AppendVersion(nil, rev)
	return api.Envelope(x.kind.GVK, len(raw)+len(version), func(b []byte) error {
		copy(b[copy(b, raw):], version)
		return nil
	})
}
