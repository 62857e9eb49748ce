package wire

import (
	"bytes"
	"encoding/json"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/kinds"
)

// CBOR (KEP-4222) is spoken when the feature gate is on. Nothing is cached in it, and lists are made whole: it is as slow as it is rare.

const (
	mediaCBOR       = runtime.ContentTypeCBOR
	mediaCBORStream = runtime.ContentTypeCBORSequence
)

// decodeCBOR reads a body as decodeJSON does. Of unknown fields only the first is told, by its place: the format has no more to say.
func (c *call) decodeCBOR(data []byte, into runtime.Object, gvk schema.GroupVersionKind, validation string) error {
	expected := &expectedType{c: c, want: gvk, into: into}
	if gvk.Version == "" { // options, which come in the version of any group
		gvk.Version = "v1"
	}
	expected.given = gvk
	codec := cbor.NewSerializer(expected, expected, cbor.Strict(validation != metav1.FieldValidationIgnore))
	_, found, err := codec.Decode(data, &gvk, into)
	into.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	strict, isStrict := runtime.AsStrictDecodingError(err)
	var other *typeError
	switch {
	case err == nil:
		return nil
	case asError(err, &other):
		return cannotHandle(other.have, gvk, err)
	case isStrict && validation == metav1.FieldValidationStrict:
		return cannotHandle(gvk, gvk, err)
	case isStrict:
		for _, w := range strict.Errors() {
			c.warn(w.Error())
		}
		return nil
	case found == nil:
		return unrecognized(gvk, data, err)
	}
	return cannotHandle(gvk, gvk, err)
}

// expectedType tells a decoder that there is one type only.
type expectedType struct {
	c    *call
	want schema.GroupVersionKind
	// given is what a body is that does not say: want, in some version.
	given schema.GroupVersionKind
	into  runtime.Object
}

// ObjectKinds implements runtime.ObjectTyper.
func (e *expectedType) ObjectKinds(runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	return []schema.GroupVersionKind{e.given}, false, nil
}

// Recognizes implements runtime.ObjectTyper.
func (e *expectedType) Recognizes(gvk schema.GroupVersionKind) bool { return gvk == e.given }

// New implements runtime.ObjectCreater. It is asked when a body says that it is of another type.
func (e *expectedType) New(have schema.GroupVersionKind) (runtime.Object, error) {
	version, kind := have.ToAPIVersionAndKind()
	if err := e.c.checkType(metav1.TypeMeta{APIVersion: version, Kind: kind}, e.want); err != nil {
		return nil, err
	}
	return e.into, nil
}

// applyFromCBOR is a configuration that is to be applied, as JSON, which is YAML.
func applyFromCBOR(data []byte) ([]byte, error) {
	var fields map[string]any
	if err := direct.Unmarshal(data, &fields); err != nil {
		// Upstream calls it YAML, too.
		return nil, apierrors.NewBadRequest("error decoding YAML: " + err.Error())
	}
	return json.Marshal(fields)
}

// objectCBOR encodes an object, which is shared, as the type that it is.
func objectCBOR(obj runtime.Object, gvk schema.GroupVersionKind) ([]byte, error) {
	if obj.GetObjectKind().GroupVersionKind().Empty() && !gvk.Empty() {
		obj = obj.DeepCopyObject()
		obj.GetObjectKind().SetGroupVersionKind(gvk)
	}
	var out bytes.Buffer
	err := cbor.NewSerializer(nil, nil).Encode(obj, &out)
	return out.Bytes(), err
}

// listCBOR encodes a list. Its items do not say what they are, as in JSON.
func listCBOR(k *kinds.Kind, list api.List) ([]byte, error) {
	out := struct {
		metav1.TypeMeta `json:",inline"`
		metav1.ListMeta `json:"metadata"`
		Items           []kinds.Object `json:"items"`
	}{ListMeta: listMeta(list), Items: make([]kinds.Object, len(list.Items))}
	out.APIVersion, out.Kind = listGVK(k).ToAPIVersionAndKind()
	for i, item := range list.Items {
		var err error
		if out.Items[i], err = api.ObjectOf(k, item); err != nil {
			return nil, err
		}
	}
	data, err := direct.Marshal(out)
	return append([]byte("\xd9\xd9\xf7"), data...), err // which says that it is CBOR (RFC 8949 section 3.4.6)
}

// frameCBOR is one event of a watch; object is CBOR.
func frameCBOR(kind string, object []byte) ([]byte, error) {
	var out bytes.Buffer
	err := cbor.NewSerializer(nil, nil).Encode(&metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: object}}, &out)
	return out.Bytes(), err
}
