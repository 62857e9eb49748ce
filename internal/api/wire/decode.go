package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/api"
)

type conversionScope = conversion.Scope

// The media types of bodies and answers.
const (
	mediaJSON     = "application/json"
	mediaYAML     = "application/yaml"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
	mediaText     = "text/plain; charset=utf-8" // of pages that are no objects
)

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

// body reads the request's object into into, which is empty and of kind gvk. What validation says of unknown and duplicate fields
// becomes an error (Strict), warnings of the answer (Warn, the default) or nothing (Ignore).
func (c *call) body(into runtime.Object, gvk schema.GroupVersionKind, validation string) error {
	data, err := c.readBody()
	if err != nil {
		return err
	}
	return c.decode(data, into, gvk, validation)
}

func (c *call) decode(data []byte, into runtime.Object, gvk schema.GroupVersionKind, validation string) error {
	switch c.bodyMedia() {
	case mediaJSON:
		return c.decodeJSON(data, into, gvk, validation)
	case mediaYAML:
		doc, err := yaml.YAMLToJSON(data)
		if err != nil {
			return unrecognized(gvk, data, err)
		}
		return c.decodeJSON(doc, into, gvk, validation)
	case mediaProtobuf:
		return c.decodeProtobuf(data, into, gvk)
	case mediaCBOR:
		if slices.Contains(c.speaks, mediaCBOR) {
			return c.decodeCBOR(data, into, gvk, validation)
		}
	}
	return unsupportedMedia(c.speaks...)
}

// bodyMedia is the media type of the request's body.
func (c *call) bodyMedia() string {
	header := c.r.Header.Get("Content-Type")
	if header == "" {
		return mediaJSON
	}
	if media, _, err := mime.ParseMediaType(header); err == nil {
		return media
	}
	return header
}

// decodeOptions reads options that come in a body, of any group's version. What is wrong with them is told as it is found.
func (c *call) decodeOptions(data []byte, into runtime.Object, kind string) error {
	gvk := schema.GroupVersionKind{Kind: kind}
	media := c.bodyMedia()
	if media != mediaJSON && media != mediaYAML {
		return c.decode(data, into, gvk, metav1.FieldValidationIgnore)
	}
	var err error
	if media == mediaYAML {
		data, err = yaml.YAMLToJSON(data)
	}
	if err == nil {
		_, err = c.unmarshal(data, into, gvk, metav1.FieldValidationIgnore)
	}
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}

func (c *call) decodeJSON(data []byte, into runtime.Object, gvk schema.GroupVersionKind, validation string) error {
	if obj, ok := into.(*unstructured.Unstructured); ok {
		return c.decodeDynamic(data, obj, gvk, validation)
	}
	strict, err := c.unmarshal(data, into, gvk, validation)
	var noType *noTypeError
	var other *typeError
	switch {
	case asError(err, &noType):
		return unrecognized(gvk, data, err)
	case asError(err, &other):
		return cannotHandle(other.have, gvk, err)
	case err != nil:
		return cannotHandle(gvk, gvk, err)
	case len(strict) > 0 && validation == metav1.FieldValidationStrict:
		return cannotHandle(gvk, gvk, runtime.NewStrictDecodingError(strict))
	}
	for _, w := range strict {
		c.warn(w.Error())
	}
	return nil
}

// unmarshal reads a JSON document that says its type, or leaves it out, into into, which is empty and of kind gvk. Unless validation is
// Ignore, strict says of which fields are unknown or come twice.
func (c *call) unmarshal(data []byte, into runtime.Object, gvk schema.GroupVersionKind, validation string) (strict []error, err error) {
	if obj, ok := into.(*unstructured.Unstructured); ok {
		return c.unmarshalDynamic(data, obj, validation)
	}
	// Upstream tells this type in its refusals.
	var found struct {
		APIVersion string `json:"apiVersion,omitempty"`
		Kind       string `json:"kind,omitempty"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &found); err != nil {
		return nil, &noTypeError{err}
	}
	if err := c.checkType(metav1.TypeMeta{APIVersion: found.APIVersion, Kind: found.Kind}, gvk); err != nil {
		return nil, err
	}
	if validation == metav1.FieldValidationIgnore {
		err = kjson.UnmarshalCaseSensitivePreserveInts(data, into)
	} else {
		strict, err = kjson.UnmarshalStrict(data, into)
	}
	into.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return strict, err
}

// noTypeError: a document is not even an object.
type noTypeError struct{ err error }

func (e *noTypeError) Error() string {
	return "couldn't get version/kind; json parse error: " + e.err.Error()
}
func (e *noTypeError) Unwrap() error { return e.err }

// typeError: a document is of another type than the wanted.
type typeError struct {
	have schema.GroupVersionKind
	text string
}

func (e *typeError) Error() string { return e.text }

func (c *call) decodeProtobuf(data []byte, into runtime.Object, gvk schema.GroupVersionKind) error {
	rest, ok := strings.CutPrefix(string(data), api.Magic)
	if !ok {
		return unrecognized(gvk, data, errors.New("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"))
	}
	var unknown runtime.Unknown
	if err := unknown.Unmarshal([]byte(rest)); err != nil {
		return unrecognized(gvk, data, err)
	}
	err := c.checkType(metav1.TypeMeta{APIVersion: unknown.APIVersion, Kind: unknown.Kind}, gvk)
	var other *typeError
	if asError(err, &other) {
		return cannotHandle(other.have, gvk, err)
	}
	if err != nil {
		return err
	}
	message, ok := into.(api.Message)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("%s has no protobuf encoding", gvk.Kind))
	}
	if err := message.Unmarshal(unknown.Raw); err != nil {
		return cannotHandle(gvk, gvk, err)
	}
	return nil
}

// checkType holds the type that a body says it has against the wanted; what it leaves out is what is wanted. A wanted kind
// without a version may come in any (DeleteOptions).
func (c *call) checkType(found metav1.TypeMeta, want schema.GroupVersionKind) error {
	gv, err := schema.ParseGroupVersion(found.APIVersion)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	have := gv.WithKind(found.Kind)
	if found.Kind == "" {
		have.Kind = want.Kind
	}
	if found.APIVersion == "" {
		have.Group, have.Version = want.Group, want.Version
	}
	switch {
	case have == want, want.Version == "" && have.Kind == want.Kind:
		return nil
	case c.kind != nil && c.part() != nil && c.part().GVK == want && slices.Contains(c.part().Older, have):
		return nil
	case c.view.discovery.knows(have):
		return &typeError{have, fmt.Sprintf("converting (%s.%s) to (%s.%s): unknown conversion", have.Version, have.Kind, hubName(c.hubGroup(want)), want.Kind)}
	}
	return &typeError{have, fmt.Sprintf("no kind %q is registered for version %q in scheme \"pkg/runtime/scheme.go:111\"", have.Kind, have.GroupVersion())}
}

// hubGroup is the group whose own types stand for a wanted one.
func (c *call) hubGroup(want schema.GroupVersionKind) string {
	if c.kind != nil && c.kind.GVK == want {
		return c.kind.Stored().GVK.Group
	}
	return want.Group
}

// hubName is what upstream calls a group's own types.
func hubName(group string) string {
	if group == "" {
		return "core"
	}
	name, _, _ := strings.Cut(group, ".")
	return name
}

func cannotHandle(have, want schema.GroupVersionKind, err error) error {
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", have.Kind, have.Version, want.Kind, err))
}

func unrecognized(want schema.GroupVersionKind, data []byte, err error) error {
	return apierrors.NewBadRequest(fmt.Sprintf("the object provided is unrecognized (must be of type %s): %v (%s)", want.Kind, err, summary(data)))
}

// summary is the beginning of a body that could not be read, as upstream shows it.
func summary(data []byte) string {
	const most = 30
	switch {
	case len(data) == 0:
		return "<empty>"
	case data[0] == '{' && len(data) > most:
		return string(data[:most]) + " ..."
	case data[0] == '{':
		return string(data)
	case len(data) > most:
		return hex.EncodeToString(data[:most]) + " ..."
	}
	return hex.EncodeToString(data)
}
