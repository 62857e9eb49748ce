package wire

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
)

// This file reads bodies of kinds whose objects have no Go type.

// decodeDynamic reads a body as decodeJSON does. What it says of its type is its own: the kind's rules hold it against the wanted one.
func (c *call) decodeDynamic(data []byte, into *unstructured.Unstructured, gvk schema.GroupVersionKind, validation string) error {
	strict, err := c.unmarshalDynamic(data, into, validation)
	have := into.GroupVersionKind()
	switch {
	case err != nil && have.Kind == "":
		return unrecognized(gvk, data, err)
	case err != nil:
		return cannotHandle(have, gvk, err)
	case len(strict) > 0 && validation == metav1.FieldValidationStrict:
		return cannotHandle(have, gvk, runtime.NewStrictDecodingError(strict))
	case have.GroupVersion() != gvk.GroupVersion():
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)", have.GroupVersion(), gvk.GroupVersion()))
	}
	for _, w := range strict {
		c.warn(w.Error())
	}
	return nil
}

// unmarshalDynamic reads a JSON document. Unless validation is Ignore, strict says of which fields are unknown or come twice.
func (c *call) unmarshalDynamic(data []byte, into *unstructured.Unstructured, validation string) (strict []error, err error) {
	var fields map[string]any
	if validation == metav1.FieldValidationIgnore {
		err = kjson.UnmarshalCaseSensitivePreserveInts(data, &fields)
	} else {
		strict, err = kjson.UnmarshalStrict(data, &fields)
	}
	if err != nil {
		into.Object = nil
		return nil, err
	}
	into.Object = fields
	if kind, ok := fields["kind"].(string); !ok || kind == "" {
		return nil, runtime.NewMissingKindErr(string(data))
	}
	unknown, err := c.kind.Dynamic.Coerce(into, validation != metav1.FieldValidationIgnore)
	for _, path := range unknown {
		strict = append(strict, fmt.Errorf("unknown field %q", path))
	}
	return strict, err
}
