package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
)

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

// body reads the request's object into into, which is empty and of kind gvk. What validation says of unknown and duplicate fields
// becomes an error (Strict), warnings of the answer (Warn, the default) or nothing (Ignore).
func (c *call) body(into runtime.Object, gvk schema.GroupVersionKind, validation string) error {
	data, err := readBody(c.r)
	if err != nil {
		return err
	}
	return c.decode(data, into, gvk, validation)
}

func (c *call) decode(data []byte, into runtime.Object, gvk schema.GroupVersionKind, validation string) error {
	media := mediaJSON
	if header := c.r.Header.Get("Content-Type"); header != "" {
		var err error
		if media, _, err = mime.ParseMediaType(header); err != nil {
			media = header
		}
	}
	switch media {
	case mediaJSON:
		return c.decodeJSON(data, into, gvk, validation)
	case mediaYAML:
		doc, err := yaml.YAMLToJSON(data)
		if err != nil {
			return unrecognized(gvk, data, fmt.Errorf("couldn't get version/kind; json parse error: %w", err))
		}
		return c.decodeJSON(doc, into, gvk, validation)
	case mediaProtobuf:
		return decodeProtobuf(data, into, gvk)
	}
	return unsupportedMedia(mediaJSON, mediaYAML, mediaProtobuf)
}

func (c *call) decodeJSON(data []byte, into runtime.Object, gvk schema.GroupVersionKind, validation string) error {
	var found metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &found); err != nil {
		return unrecognized(gvk, data, fmt.Errorf("couldn't get version/kind; json parse error: %w", err))
	}
	if err := checkType(found, gvk); err != nil {
		return err
	}
	var strict []error
	var err error
	if validation == metav1.FieldValidationIgnore {
		err = kjson.UnmarshalCaseSensitivePreserveInts(data, into)
	} else {
		strict, err = kjson.UnmarshalStrict(data, into)
	}
	if err != nil {
		return cannotHandle(gvk, gvk, err)
	}
	into.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	if len(strict) == 0 {
		return nil
	}
	if validation == metav1.FieldValidationStrict {
		return cannotHandle(gvk, gvk, runtime.NewStrictDecodingError(strict))
	}
	for _, w := range strict {
		c.warn(w.Error())
	}
	return nil
}

// maxWarnings bounds what a body of nonsense makes the answer say.
const maxWarnings = 64

func (c *call) warn(text string) {
	if h := c.w.Header(); len(h["Warning"]) < maxWarnings {
		text = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ", "\r", " ").Replace(text)
		h.Add("Warning", fmt.Sprintf("299 - \"%s\"", text))
	}
}

func decodeProtobuf(data []byte, into runtime.Object, gvk schema.GroupVersionKind) error {
	rest, ok := strings.CutPrefix(string(data), api.Magic)
	if !ok {
		return unrecognized(gvk, data, errors.New("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"))
	}
	var unknown runtime.Unknown
	if err := unknown.Unmarshal([]byte(rest)); err != nil {
		return unrecognized(gvk, data, err)
	}
	if err := checkType(metav1.TypeMeta{APIVersion: unknown.APIVersion, Kind: unknown.Kind}, gvk); err != nil {
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
func checkType(found metav1.TypeMeta, want schema.GroupVersionKind) error {
	gv, err := schema.ParseGroupVersion(found.APIVersion)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	have := gv.WithKind(found.Kind)
	if found.Kind == "" {
		have.Kind = want.Kind
	}
	if found.APIVersion == "" || want.Version == "" {
		have.Group, have.Version = want.Group, want.Version
	}
	switch {
	case have == want:
		return nil
	case have.Kind == want.Kind:
		return cannotHandle(have, want, fmt.Errorf("no kind %q is registered for version %q in scheme \"pkg/runtime/scheme.go:111\"", have.Kind, have.GroupVersion()))
	}
	return cannotHandle(have, want, fmt.Errorf("converting (%s.%s) to (%s.%s): unknown conversion", have.Version, have.Kind, hubName(want.Group), want.Kind))
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
