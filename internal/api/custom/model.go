package custom

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	openapiv2 "k8s.io/apiextensions-apiserver/pkg/controller/openapi/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/managedfields"
	openapiutil "k8s.io/kube-openapi/pkg/builder3/util"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

// This file is what a definition says of its objects in OpenAPI: to clients, and to who tracks the owners of fields.

const (
	metaModels = "io.k8s.apimachinery.pkg.apis.meta.v1."
	inV3       = "#/components/schemas/"
	inV2       = "#/definitions/"
)

// name is what the version's objects are called in documents.
func (v *served) name() string {
	parts := strings.Split(v.gvk.Group, ".")
	slices.Reverse(parts)
	return strings.Join(append(parts, v.gvk.Version, v.gvk.Kind), ".")
}

// model implements kinds.Dynamic.Model. A schema that cannot be read is one that says nothing.
func (v *served) model() kinds.Model {
	out := kinds.Model{Name: v.name(), ListDocs: fmt.Sprintf(
		"List of %s. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", v.of.names.Plural)}
	out.V3 = mustJSON(openapiutil.WrapRefs(v.described(inV3))) // beside a reference a document of version 3 says nothing
	out.V2 = mustJSON(v.described(inV2))
	return out
}

func mustJSON(s *spec.Schema) []byte {
	doc, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a schema that was JSON once: %v", err))
	}
	return doc
}

// described is the schema of the version's objects, in the document that refs point into.
func (v *served) described(refs string) *spec.Schema {
	s, preserves := v.publishable(refs)
	var out *spec.Schema
	if s == nil || refs == inV2 && preserves {
		out = (&spec.Schema{}).Typed("object", "")
	} else {
		out = s.ToKubeOpenAPI()
		out.SetProperty("metadata", *spec.RefSchema(refs + metaModels + "ObjectMeta").WithDescription(metav1.PartialObjectMetadata{}.SwaggerDoc()["metadata"]))
		types := metav1.TypeMeta{}.SwaggerDoc()
		for _, name := range [...]string{"apiVersion", "kind"} {
			out.SetProperty(name, *spec.StringProperty().WithDescription(types[name]))
		}
		embed(out, refs)
	}
	out.AddExtension("x-kubernetes-group-version-kind", []any{map[string]any{"group": v.gvk.Group, "version": v.gvk.Version, "kind": v.gvk.Kind}})
	if fields := v.selectableFields(); len(fields) > 0 {
		out.AddExtension("x-kubernetes-selectable-fields", fields)
	}
	return out
}

// selectableFields are the paths of the version's selectable fields.
func (v *served) selectableFields() (paths []any) {
	crd, err := v.of.spec()
	if err != nil {
		return nil
	}
	for _, version := range crd.Spec.Versions {
		if version.Name == v.gvk.Version {
			for _, f := range version.SelectableFields {
				paths = append(paths, map[string]any{"fieldPath": strings.TrimPrefix(f.JSONPath, ".")})
			}
		}
	}
	return paths
}

// publishable is the version's schema as documents show it; nil when there is none that they can.
func (v *served) publishable(refs string) (s *structuralschema.Structural, preserves bool) {
	crd, err := v.of.spec()
	if err != nil {
		return nil, false
	}
	props, err := propsOf(crd, v.gvk.Version)
	if err != nil || props == nil || invalidTypes(props) {
		return nil, false
	}
	s, err = structuralschema.NewStructural(props)
	if err != nil || len(structuralschema.ValidateStructural(nil, s)) > 0 {
		return nil, false
	}
	s = s.Unfold()
	preserves = s.XPreserveUnknownFields || v.of.preserve
	if refs == inV2 && !preserves {
		s = openapiv2.ToStructuralOpenAPIV2(s)
	}
	return s, preserves
}

func invalidTypes(props *apiextensions.JSONSchemaProps) bool {
	return apiextensionsvalidation.SchemaHasInvalidTypes(props)
}

// embed gives what are objects within the object their types and metadata.
func embed(s *spec.Schema, refs string) {
	for name, p := range s.Properties {
		embed(&p, refs)
		s.Properties[name] = p
	}
	if s.Items != nil && s.Items.Schema != nil {
		embed(s.Items.Schema, refs)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		embed(s.AdditionalProperties.Schema, refs)
	}
	if keeps, _ := s.Extensions.GetBool("x-kubernetes-preserve-unknown-fields"); keeps && refs == inV2 {
		return // clients would refuse what they do not find there
	}
	if is, _ := s.Extensions.GetBool("x-kubernetes-embedded-resource"); !is {
		return
	}
	const more = " More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#"
	s.SetProperty("apiVersion", *spec.StringProperty().WithDescription("apiVersion defines the versioned schema of this representation of an object." + more + "resources"))
	s.SetProperty("kind", *spec.StringProperty().WithDescription("kind is a string value representing the type of this object. In CamelCase." + more + "types-kinds"))
	s.SetProperty("metadata", *spec.RefSchema(refs + metaModels + "ObjectMeta").WithDescription(metav1.PartialObjectMetadata{}.SwaggerDoc()["metadata"]))
	for _, name := range [...]string{"kind", "apiVersion"} {
		if !slices.Contains(s.Required, name) {
			s.Required = append(s.Required, name)
		}
	}
}

// metadataModels are the schemas that every object's metadata is made of.
func metadataModels() (map[string]*spec.Schema, error) {
	schemas, err := openapi.SchemasIn[*spec.Schema]("apis/apiextensions.k8s.io/v1")
	if err != nil {
		return nil, err
	}
	out := map[string]*spec.Schema{}
	for _, name := range [...]string{"ObjectMeta", "OwnerReference", "ManagedFieldsEntry", "FieldsV1", "Time"} {
		if s := schemas[metaModels+name]; s != nil {
			out[metaModels+name] = s
		}
	}
	return out, nil
}

// makeTypes are the types of all versions, for who tracks the owners of fields. Where a schema says nothing, values say what they are.
func (d *definition) makeTypes() (managedfields.TypeConverter, error) {
	meta, err := d.with.metadata()
	if err != nil {
		return nil, err
	}
	models := maps.Clone(meta)
	for _, v := range d.versions {
		models[v.name()] = v.described(inV3)
	}
	types, err := managedfields.NewTypeConverter(models, d.preserve)
	if err != nil {
		return managedfields.NewDeducedTypeConverter(), nil
	}
	return types, nil
}
