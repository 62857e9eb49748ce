package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/floe-k8s/floe/internal/kinds"
)

// ErrNoSchema is returned for a kind that no document describes.
var ErrNoSchema = errors.New("no document describes it")

const schemaRefs = "#/components/schemas/"

// SchemaOf returns what version 3 of OpenAPI says of a kind's objects, with the schemas that it refers to in the places of the references. A schema that comes
// again within itself is an object there of which nothing is said. The caller owns the result, which is large: a pod's has thousands of parts. It wraps
// ErrNoSchema for a kind without one.
func SchemaOf(k *kinds.Kind) (*spec.Schema, error) {
	if k.Dynamic != nil {
		known, err := SchemasIn[json.RawMessage](strings.TrimPrefix(modelRoot, "/")) // which has those that added kinds refer to
		if err != nil {
			return nil, fmt.Errorf("the schema of %s: %w", k.GVK, err)
		}
		own := &spec.Schema{}
		if err := json.Unmarshal(k.Dynamic.Model().V3, own); err != nil {
			return nil, fmt.Errorf("the schema of %s: %w", k.GVK, err)
		}
		return schemas(known).expand(own, nil)
	}
	path := "apis/" + k.GVK.GroupVersion().String()
	if k.GVK.Group == "" {
		path = "api/" + k.GVK.Version
	}
	found, err := SchemasIn[json.RawMessage](path)
	if err != nil {
		return nil, fmt.Errorf("the schema of %s: %w", k.GVK, err)
	}
	known := schemas(found)
	name := known.nameOf(k.GVK)
	if name == "" {
		return nil, fmt.Errorf("the schema of %s: %w", k.GVK, ErrNoSchema)
	}
	return known.expand(spec.RefSchema(schemaRefs+name), nil)
}

// SchemasIn reads the schemas of the document of a path, such as apis/apps/v1, by their names: as json.RawMessage of which few are read, or as
// *spec.Schema. ErrNoSchema when there is no such document.
func SchemasIn[S any](path string) (map[string]S, error) {
	found, ok := Version3(path, JSON)
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, ErrNoSchema)
	}
	var doc struct {
		Components struct {
			Schemas map[string]S `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(found.Read(), &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return doc.Components.Schemas, nil
}

// schemas are those of one document by their names, of which few are read.
type schemas map[string]json.RawMessage

// nameOf is the name of a type's schema; "" when there is none.
func (s schemas) nameOf(gvk schema.GroupVersionKind) string {
	for name, text := range s {
		if !strings.HasSuffix(name, "."+gvk.Kind) {
			continue
		}
		var about struct {
			Types []schema.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
		}
		if json.Unmarshal(text, &about) == nil && slices.Contains(about.Types, gvk) {
			return name
		}
	}
	return ""
}

// expand returns a copy of a schema without references. within are the names of the schemas that it is part of.
func (s schemas) expand(at *spec.Schema, within []string) (*spec.Schema, error) {
	if name, is := referred(at); is {
		if slices.Contains(within, name) {
			return (&spec.Schema{}).Typed("object", ""), nil
		}
		at, within = &spec.Schema{}, append(slices.Clip(within), name)
		text, ok := s[name]
		if !ok {
			return nil, fmt.Errorf("schema %s: %w", name, ErrNoSchema)
		}
		if err := json.Unmarshal(text, at); err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
	}
	out := *at
	out.Properties = make(map[string]spec.Schema, len(at.Properties))
	for name, p := range at.Properties {
		whole, err := s.expand(&p, within)
		if err != nil {
			return nil, err
		}
		out.Properties[name] = *whole
	}
	if more := at.AdditionalProperties; more != nil && more.Schema != nil {
		whole, err := s.expand(more.Schema, within)
		if err != nil {
			return nil, err
		}
		out.AdditionalProperties = &spec.SchemaOrBool{Allows: more.Allows, Schema: whole}
	}
	if at.Items != nil && at.Items.Schema != nil {
		whole, err := s.expand(at.Items.Schema, within)
		if err != nil {
			return nil, err
		}
		out.Items = &spec.SchemaOrArray{Schema: whole}
	}
	return &out, nil
}

// referred is the name that a schema refers to. A reference that has a description stands in allOf.
func referred(s *spec.Schema) (name string, is bool) {
	if ref := s.Ref.String(); ref != "" {
		return strings.TrimPrefix(ref, schemaRefs), true
	}
	for i := range s.AllOf {
		if name, is := referred(&s.AllOf[i]); is {
			return name, true
		}
	}
	return "", false
}
