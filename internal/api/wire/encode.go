package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

var errNoProtobuf = errors.New("object has no protobuf encoding")

// withType puts apiVersion and kind in front of the other fields of an object's JSON.
func withType(doc []byte, gvk schema.GroupVersionKind) []byte {
	head := fmt.Sprintf("{\"kind\":%q,\"apiVersion\":%q", gvk.Kind, gvk.GroupVersion())
	out := make([]byte, 0, len(head)+len(doc)+1)
	out = append(out, head...)
	if len(doc) > 2 { // more than {}
		out = append(out, ',')
	}
	return append(out, doc[1:]...)
}

// encode writes an object whose own TypeMeta says what it is; gvk is used where that is empty.
func encode(f format, obj runtime.Object, gvk schema.GroupVersionKind) ([]byte, error) {
	if own := obj.GetObjectKind().GroupVersionKind(); !own.Empty() {
		gvk = own
	}
	switch f.media {
	case mediaProtobuf:
		return objectProtobuf(obj, gvk)
	case mediaCBOR:
		return objectCBOR(obj, gvk)
	}
	doc, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	if obj.GetObjectKind().GroupVersionKind().Empty() && !gvk.Empty() {
		doc = withType(doc, gvk)
	}
	return f.finish(doc)
}

func objectProtobuf(obj runtime.Object, gvk schema.GroupVersionKind) ([]byte, error) {
	m, ok := obj.(api.Message)
	if !ok {
		return nil, fmt.Errorf("%s: %w", gvk.Kind, errNoProtobuf)
	}
	return api.Envelope(gvk, m.Size(), func(b []byte) error {
		_, err := m.MarshalToSizedBuffer(b)
		return err
	})
}

// finish turns one JSON document into what the format wants: lines, indented, or YAML.
func (f format) finish(doc []byte) ([]byte, error) {
	switch {
	case f.media == mediaYAML:
		return yaml.JSONToYAML(doc)
	case f.pretty:
		return indent(doc)
	}
	return append(doc, '\n'), nil
}

// indent is for people's eyes; upstream ends such a document without a line's end.
func indent(doc []byte) ([]byte, error) { return json.MarshalIndent(json.RawMessage(doc), "", "  ") }

// object encodes one result.
func (h *Handler) object(c *call, f format, result api.Result) ([]byte, error) {
	if result.Object == nil && result.Item != nil && f.as != "" {
		var err error
		decoded := c.between(audit.Decoding)
		result.Object, err = api.ObjectOf(c.kind, result.Item)
		decoded()
		if err != nil {
			return nil, err
		}
	}
	obj, isObject := result.Object.(kinds.Object)
	ours := isObject && c.kind != nil && isKind(c.kind, result)
	switch {
	case f.as != "" && isObject:
		opts, err := c.tableOptions(f)
		if err != nil {
			return nil, err
		}
		return h.transformed(c, f, opts, []kinds.Object{obj}, metav1.ListMeta{ResourceVersion: obj.GetResourceVersion()}, false)
	case result.Item != nil && f.media == mediaProtobuf:
		return c.codec.protobuf(result.Item, result.Item.Revision)
	case result.Item != nil && f.media == mediaCBOR:
		decoded := c.between(audit.Decoding)
		stored, err := api.ObjectOf(c.kind, result.Item)
		decoded()
		if err != nil {
			return nil, err
		}
		return objectCBOR(stored, c.kind.GVK)
	case result.Item != nil:
		doc, err := c.codec.typed(result.Item, result.Item.Revision)
		if err != nil {
			return nil, err
		}
		return f.finish(doc)
	}
	gvk := schema.GroupVersionKind{Version: "v1", Kind: "Status"}
	if !ours {
		return encode(f, result.Object, gvk)
	}
	shown, err := c.kind.Shown(obj)
	if err != nil {
		return nil, err
	}
	return encode(f, shown, c.kind.GVK)
}

// isKind says whether the result is the call's kind itself, not the body of a subresource or a Status.
func isKind(k *kinds.Kind, result api.Result) bool {
	if result.Item != nil {
		return true
	}
	gvk := result.Object.GetObjectKind().GroupVersionKind()
	return gvk.Empty() || gvk == k.Stored().GVK
}

// listGVK is the kind of a kind's lists.
func listGVK(k *kinds.Kind) schema.GroupVersionKind { return k.ListGVK() }

func listMeta(list api.List) metav1.ListMeta {
	return metav1.ListMeta{ResourceVersion: api.Version(list.Revision), Continue: list.Continue, RemainingItemCount: list.Remaining}
}

// listJSON appends a list piece by piece to write, so that it is never whole in memory. write keeps nothing of what it is given.
func (x *codec) listJSON(list api.List, write func([]byte) error) error {
	meta, err := json.Marshal(listMeta(list))
	if err != nil {
		return err
	}
	if x.kind.Dynamic != nil && list.Continue == "" { // upstream's list of what has no Go type has it always
		meta = append([]byte(`{"continue":"",`), meta[1:]...)
	}
	gvk := listGVK(x.kind)
	doc := fmt.Appendf(nil, "{\"kind\":%q,\"apiVersion\":%q,\"metadata\":%s,\"items\":[", gvk.Kind, gvk.GroupVersion(), meta)
	item := x.lister(list.Items)
	for i := range list.Items {
		if i > 0 {
			doc = append(doc, ',')
		}
		if doc, err = item(doc, list.Items[i]); err != nil {
			return err
		}
		if len(doc) >= listPiece {
			if err := write(doc); err != nil {
				return err
			}
			doc = doc[:0]
		}
	}
	return write(append(doc, "]}\n"...))
}

// listProtobuf does the same in protobuf: every list of the API has its metadata in field 1 and its items in field 2.
func (x *codec) listProtobuf(list api.List, write func([]byte) error) error {
	const metaTag, itemTag = 0x0a, 0x12
	meta := listMeta(list)
	metaBytes, err := meta.Marshal()
	if err != nil {
		return err
	}
	head := append(binary.AppendUvarint([]byte{metaTag}, uint64(len(metaBytes))), metaBytes...)
	size, scratch := len(head), new(store.Scratch)
	var version, frame []byte // used again for each item
	for _, item := range list.Items {
		raw, err := x.message(item, scratch)
		if err != nil {
			return err
		}
		version = api.AppendVersion(version[:0], item.Revision)
		frame = binary.AppendUvarint(frame[:0], uint64(len(raw)+len(version)))
		size += 1 + len(frame) + len(raw) + len(version)
	}
	opening, closing := api.EnvelopeAround(listGVK(x.kind), size)
	if err := write(append([]byte(opening), head...)); err != nil {
		return err
	}
	for _, item := range list.Items {
		raw, err := x.message(item, scratch)
		if err != nil {
			return err
		}
		version = api.AppendVersion(version[:0], item.Revision)
		frame = binary.AppendUvarint(append(frame[:0], itemTag), uint64(len(raw)+len(version)))
		if err := errors.Join(write(frame), write(raw), write(version)); err != nil {
			return err
		}
	}
	return write([]byte(closing))
}

// encodingFailed is the answer when an object cannot be written in the format that was agreed on.
func encodingFailed(err error) error {
	var known apierrors.APIStatus
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, errNoProtobuf):
		return notAcceptable("only the following media types are accepted: " + mediaJSON + ", " + mediaYAML)
	}
	return apierrors.NewInternalError(err)
}
