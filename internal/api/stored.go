package api

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// Magic begins every object in Kubernetes' protobuf encoding; a runtime.Unknown follows.
const Magic = "k8s\x00"

// OwnerIndex is the index that every collection has: the UIDs of an object's owners.
const OwnerIndex = "owner"

// Message is what the generated types of the API have besides runtime.Object.
type Message interface {
	Size() int
	MarshalToSizedBuffer([]byte) (int, error)
	Unmarshal([]byte) error
}

// Collections are the store's collections for the kinds: how their items are decoded and indexed.
func Collections(list []*kinds.Kind) []store.Collection {
	var out []store.Collection
	for _, k := range list {
		if !k.Keeps() {
			continue
		}
		if k.Dynamic != nil {
			out = append(out, dynamicCollection(k))
			continue
		}
		header := envelopeHeader(k.GVK)
		c := store.Collection{Prefix: k.Prefix(), Canonical: canonical(k), Decode: func(item *store.Item) (any, int, error) {
			obj, err := decodeStored(k, header, item)
			return obj, item.Size() * 3, err // about what the fields of a decoded object take
		}}
		c.Indexes = append(c.Indexes, ownerIndex(header))
		if k.Adopted {
			c.Indexes = append(c.Indexes, orphanIndex(header))
		}
		for _, f := range k.Facts {
			if f.Index {
				c.Indexes = append(c.Indexes, indexOf(header, f))
			}
		}
		for _, i := range k.Indexes {
			c.Indexes = append(c.Indexes, decodedIndex(i))
		}
		out = append(out, c)
	}
	return out
}

// Object returns an item's object, with its resourceVersion. It is shared.
func Object(item *store.Item) (kinds.Object, error) {
	obj, err := item.Object()
	if err != nil {
		return nil, err
	}
	return obj.(kinds.Object), nil
}

// Raw returns a function that returns the protobuf message of a stored object as the kind's clients see it, without its envelope and
// resourceVersion. The message shares the item's bytes, or those of the scratch, which may be nil, but where the kind is a view.
func Raw(k *kinds.Kind) func(item *store.Item, scratch *store.Scratch) ([]byte, error) {
	if k.View != nil {
		return func(item *store.Item, _ *store.Scratch) ([]byte, error) { return viewed(k, item) }
	}
	header := envelopeHeader(k.GVK)
	return func(item *store.Item, scratch *store.Scratch) ([]byte, error) {
		return unwrap(header, scratch.Value(item))
	}
}

// viewed is a stored object's message in a view's form.
func viewed(k *kinds.Kind, item *store.Item) ([]byte, error) {
	obj, err := Shown(k, item)
	if err != nil {
		return nil, err
	}
	obj.SetResourceVersion("")
	m := obj.(Message)
	out := make([]byte, m.Size())
	_, err = m.MarshalToSizedBuffer(out)
	return out, err
}

// Shown returns an item's object in the form that the kind's clients see. It is shared, but for its metadata where the kind is a view.
func Shown(k *kinds.Kind, item *store.Item) (kinds.Object, error) {
	obj, err := ObjectOf(k, item)
	if err != nil {
		return nil, err
	}
	return k.Shown(obj)
}

// Envelope wraps a message of the given kind as a runtime.Unknown behind Magic. fill writes the message's size bytes.
func Envelope(gvk schema.GroupVersionKind, size int, fill func([]byte) error) ([]byte, error) {
	opening, closing := EnvelopeAround(gvk, size)
	out := make([]byte, len(opening)+size, len(opening)+size+len(closing))
	copy(out, opening)
	if err := fill(out[len(opening):]); err != nil {
		return nil, err
	}
	return append(out, closing...), nil
}

// EnvelopeAround returns what stands before and after a message of size bytes in its envelope.
func EnvelopeAround(gvk schema.GroupVersionKind, size int) (opening, closing string) {
	opening, closing = EnvelopeParts(gvk)
	return string(binary.AppendUvarint([]byte(opening), uint64(size))), closing
}

// EnvelopeParts returns what stands before the length of a message in its envelope, and after the message. They are the same for all of a kind.
func EnvelopeParts(gvk schema.GroupVersionKind) (opening, closing string) {
	return envelopeHeader(gvk), envelopeEnd
}

// envelopeEnd is an empty contentEncoding and an empty contentType, as the generated code writes them.
const envelopeEnd = "\x1a\x00\x22\x00"

// envelopeHeader is all before the length of the message: Magic, the type, and the tag of field raw.
func envelopeHeader(gvk schema.GroupVersionKind) string {
	var meta, out []byte
	meta = appendString(meta, 0x0a, gvk.GroupVersion().String())
	meta = appendString(meta, 0x12, gvk.Kind)
	out = append(out, Magic...)
	out = appendString(out, 0x0a, string(meta))
	return string(append(out, 0x12))
}

func appendString(b []byte, tag byte, s string) []byte {
	b = binary.AppendUvarint(append(b, tag), uint64(len(s)))
	return append(b, s...)
}

// AppendVersion appends a second metadata field that holds the resourceVersion only. Protocol Buffers merge it into
// the first, so that a stored message need not be decoded to be answered.
func AppendVersion(b []byte, rev store.Revision) []byte {
	var number [20]byte
	text := strconv.AppendUint(number[:0], uint64(rev), 10)
	b = append(b, 0x0a, byte(2+len(text)), 0x32, byte(len(text)))
	return append(b, text...)
}

// encodeStored makes what the log keeps of obj, which is private to the caller: its resourceVersion and type are cleared.
func encodeStored(k *kinds.Kind, obj kinds.Object) ([]byte, error) {
	obj.SetResourceVersion("")
	if k.Dynamic != nil {
		doc, err := k.Dynamic.Save(obj)
		return doc, unclassed(err)
	}
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	m, ok := obj.(Message)
	if !ok {
		return nil, fmt.Errorf("%s %T has no protobuf encoding", k.GVK.Kind, obj)
	}
	return Envelope(k.Stored().GVK, m.Size(), func(b []byte) error {
		_, err := m.MarshalToSizedBuffer(b)
		return err
	})
}

// canonical makes of what upstream has stored what floe stores: protobuf where it is JSON, and defaults where it fills them in when it reads.
func canonical(k *kinds.Kind) func([]byte) []byte {
	header := envelopeHeader(k.GVK)
	return func(value []byte) []byte {
		inJSON := len(value) > 0 && value[0] == '{'
		if !inJSON && !k.DefaultsOnRead {
			return value
		}
		var obj kinds.Object
		var err error
		if inJSON {
			obj, err = k.ReadJSON(value)
		} else {
			obj, err = decodeStored(k, header, store.NewItem("", value, 0))
		}
		if err != nil {
			return value // who reads the object is told
		}
		if k.DefaultsOnRead {
			k.Default(obj)
		}
		out, err := encodeStored(k, obj)
		switch {
		case err != nil || bytes.Equal(out, value) || bytes.Equal(bare(out), value):
			return value
		case k.CreatedBare:
			return bare(out)
		}
		return out
	}
}

// bare marks a value that encodeStored has made as one of an object that upstream stores without some of its defaults: its envelope has no end. What the object is
// does not change by that, but its next update differs from it and is written, as it is where those defaults become part of what is stored.
func bare(value []byte) []byte { return value[:len(value)-len(envelopeEnd)] }

func decodeStored(k *kinds.Kind, header string, item *store.Item) (kinds.Object, error) {
	if k.Dynamic != nil {
		return decodeDynamic(k, item)
	}
	raw, err := unwrap(header, item.Value())
	if err != nil {
		return nil, err
	}
	obj := k.New()
	if err := obj.(Message).Unmarshal(raw); err != nil {
		return nil, err
	}
	obj.SetResourceVersion(Version(item.Revision))
	if k.Complete != nil {
		k.Complete(obj)
	}
	return obj, nil
}

var errNoObject = errors.New("stored value is not an object in Kubernetes' protobuf encoding")

func unwrap(header string, value []byte) ([]byte, error) {
	if len(value) > len(header) && string(value[:len(header)]) == header {
		size, n := binary.Uvarint(value[len(header):])
		at := len(header) + max(n, 0)
		if n > 0 && size <= uint64(len(value)-at) {
			return value[at : at+int(size)], nil
		}
	}
	// Another writer's order of fields.
	rest, ok := strings.CutPrefix(string(value), Magic)
	if !ok {
		return nil, errNoObject
	}
	var unknown runtime.Unknown
	if err := unknown.Unmarshal([]byte(rest)); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoObject, err)
	}
	return unknown.Raw, nil
}

// Version is a revision as resourceVersion.
func Version(rev store.Revision) string { return strconv.FormatUint(uint64(rev), 10) }

// copyOf returns a deep copy that the caller owns.
func copyOf(obj kinds.Object) kinds.Object { return obj.DeepCopyObject().(kinds.Object) }

// owned returns an object in the form that the kind's clients see as what is stored of it. It is given itself but for a view.
func owned(k *kinds.Kind, given kinds.Object) kinds.Object {
	if k.View == nil {
		return given
	}
	return k.View.Own(copyOf(given))
}

// typed sets the kind that objects handed out alone carry. obj is private to the caller.
func typed(k *kinds.Kind, obj metav1.Object) {
	obj.(runtime.Object).GetObjectKind().SetGroupVersionKind(k.Stored().GVK)
}
