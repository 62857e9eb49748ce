package custom

import (
	"fmt"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// compiled is a version's schema in the forms that its rules need. It is read only.
type compiled struct {
	structural *structuralschema.Structural // nil: the version has no schema
	values     validation.SchemaValidator
	status     validation.SchemaValidator // of the field of that name; nil: anything goes
	rules      func() *cel.Validator      // made when the first object is validated; nil when there are none
}

// compile makes what the version's schema says, from the definition's text.
func (v *served) compile() (*compiled, error) {
	crd, err := v.of.spec()
	if err != nil {
		return nil, err
	}
	props, err := propsOf(crd, v.gvk.Version)
	if err != nil {
		return nil, err
	}
	c := &compiled{}
	if c.structural, err = v.structural(props); err != nil {
		return nil, err
	}
	if c.values, _, err = validation.NewSchemaValidator(props); err != nil {
		return nil, fmt.Errorf("the schema of %s: %w", v.gvk, err)
	}
	if props != nil && v.status {
		if status, ok := props.Properties["status"]; ok {
			if c.status, _, err = validation.NewSchemaValidator(&status); err != nil {
				return nil, fmt.Errorf("the schema of the status of %s: %w", v.gvk, err)
			}
		}
	}
	c.rules = sync.OnceValue(func() *cel.Validator { return cel.NewValidator(c.structural, true, celconfig.PerCallLimit) })
	return c, nil
}

// propsOf is the schema of a version; nil without one.
func propsOf(crd *apiextensionsv1.CustomResourceDefinition, version string) (*apiextensions.JSONSchemaProps, error) {
	found, err := apihelpers.GetSchemaForVersion(crd, version)
	if err != nil || found == nil {
		return nil, err
	}
	hub := &apiextensions.CustomResourceValidation{}
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(found, hub, nil); err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", version, err)
	}
	return hub.OpenAPIV3Schema, nil
}

// structural is a schema in the form by which objects are walked. A definition of old that preserves everything needs none.
func (v *served) structural(props *apiextensions.JSONSchemaProps) (*structuralschema.Structural, error) {
	if props == nil {
		return nil, nil
	}
	s, err := structuralschema.NewStructural(props)
	switch {
	case v.of.preserve:
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("the schema of %s is not structural: %w", v.gvk, err)
	}
	s = s.DeepCopy() // defaults are shared with the definition's text
	if err := defaulting.PruneDefaults(s); err != nil {
		return nil, fmt.Errorf("the defaults of %s: %w", v.gvk, err)
	}
	return s, nil
}

// origin says where an object comes from, which decides how it is coerced.
type origin struct {
	lenient bool // what cannot be metadata is dropped: it was stored before anyone looked
	repair  bool // a generation is given to what was stored without one
	tell    bool // what the schema does not know is returned
}

var (
	asStored    = origin{lenient: true, repair: true}
	asConverted = origin{}
)

// coerce takes from an object of the version, in place, what a Go type would not have taken in: fields that the schema does not know, and nulls where there
// is neither a default nor leave to be null. An error says what cannot be metadata. It returns the paths of unknown fields when from says so.
func (v *served) coerce(obj *unstructured.Unstructured, from origin) (unknown []string, err error) {
	kind, hasKind, err := unstructured.NestedString(obj.Object, "kind")
	if err != nil {
		return nil, err
	}
	apiVersion, hasVersion, err := unstructured.NestedString(obj.Object, "apiVersion")
	if err != nil {
		return nil, err
	}
	meta, hasMeta, unknown, err := objectmeta.GetObjectMetaWithOptions(obj.Object, objectmeta.ObjectMetaOptions{
		DropMalformedFields: from.lenient, ReturnUnknownFieldPaths: from.tell,
	})
	if err != nil {
		return nil, err
	}
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	if gv.WithKind(kind) == v.gvk {
		more, err := v.prune(obj, from)
		if err != nil {
			return nil, err
		}
		unknown = append(unknown, more...)
		if from.repair && hasMeta && meta.Generation == 0 {
			meta.Generation = 1
		}
	}
	if hasKind {
		obj.SetKind(kind)
	}
	if hasVersion {
		obj.SetAPIVersion(apiVersion)
	}
	if hasMeta {
		return unknown, objectmeta.SetObjectMeta(obj.Object, meta)
	}
	return unknown, nil
}

// prune is the part of coerce that the schema decides.
func (v *served) prune(obj *unstructured.Unstructured, from origin) (unknown []string, err error) {
	c, err := v.schema()
	if err != nil {
		return nil, err
	}
	if !v.of.preserve {
		unknown = pruning.PruneWithOptions(obj.Object, c.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: from.tell})
		defaulting.PruneNonNullableNullsWithoutDefaults(obj.Object, c.structural)
	}
	wrong, more := objectmeta.CoerceWithOptions(nil, obj.Object, c.structural, false, objectmeta.CoerceOptions{
		DropInvalidFields: from.lenient, ReturnUnknownFieldPaths: from.tell,
	})
	if wrong != nil {
		return nil, wrong
	}
	return append(unknown, more...), nil
}

// fill gives an object of the version, in place, the schema's defaults.
func (v *served) fill(obj *unstructured.Unstructured) error {
	c, err := v.schema()
	if err == nil {
		defaulting.Default(obj.Object, c.structural)
	}
	return err
}
