package bench

import (
	"bytes"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// Media types, and the four bytes that an object in protobuf begins with.
const (
	mediaJSON     = "application/json"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
	protobufMagic = "k8s\x00"
)

// mediaTypeOf gives --encoding's media type.
func mediaTypeOf(encoding string) (string, error) {
	switch encoding {
	case "json":
		return mediaJSON, nil
	case "protobuf":
		return mediaProtobuf, nil
	}
	return "", fmt.Errorf("encoding %q: want json or protobuf", encoding)
}

// encode writes an object of a built-in kind in a media type of above.
func encode(mediaType string, version schema.GroupVersion, object runtime.Object) ([]byte, error) {
	info, ok := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), mediaType)
	if !ok {
		return nil, fmt.Errorf("media type %q is not known", mediaType)
	}
	return runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, version), object)
}

// decode reads an object of a built-in kind, in whichever encoding it is, into object.
func decode(raw []byte, object runtime.Object) error {
	if _, _, err := scheme.Codecs.UniversalDeserializer().Decode(raw, nil, object); err != nil {
		return fmt.Errorf("%w: %w", errGarbage, err)
	}
	return nil
}

// digits is the width of the number in an object's name; it is fixed so that a number never changes an encoding's lengths.
const (
	digits     = 7
	maxObjects = 9_999_999
)

// name is the name of object i of a run: the prefix and seven digits.
func name(prefix string, i int) string { return fmt.Sprintf("%s%0*d", prefix, digits, i) }

// template is an object encoded once, whose number is written over for each request.
type template struct {
	raw []byte
	at  []int // where the digits stand in raw
}

// newTemplate finds every place where number 0's name stands. There is at least one.
func newTemplate(raw []byte, prefix string) (template, error) {
	t := template{raw: raw}
	zero := []byte(name(prefix, 0))
	for from := 0; ; {
		found := bytes.Index(raw[from:], zero)
		if found < 0 {
			break
		}
		from += found + len(zero)
		t.at = append(t.at, from-digits)
	}
	if len(t.at) == 0 {
		return template{}, fmt.Errorf("template: the name %s is not in the encoded object", zero)
	}
	return t, nil
}

// number returns object i, 0 <= i <= maxObjects, in into's memory if that is large enough.
func (t template) number(i int, into []byte) []byte {
	into = append(slices.Grow(into[:0], len(t.raw)), t.raw...)
	for _, at := range t.at {
		for k, n := at+digits-1, i; k >= at; k, n = k-1, n/10 {
			into[k] = byte('0' + n%10)
		}
	}
	return into
}

// numberIn finds the number of the first name with the prefix in raw: cheap enough for each of thousands of watch events.
func numberIn(raw []byte, prefix string) (int, bool) {
	at := bytes.Index(raw, []byte(prefix))
	if at < 0 || len(raw) < at+len(prefix)+digits {
		return 0, false
	}
	n := 0
	for _, c := range raw[at+len(prefix) : at+len(prefix)+digits] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
