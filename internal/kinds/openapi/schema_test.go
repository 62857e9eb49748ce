package openapi_test

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

// TestSchemas: every kind that keeps objects has a schema, without references, in which its metadata is described.
func TestSchemas(t *testing.T) {
	for _, k := range all.Kinds() {
		if !k.Keeps() || testing.Short() && k.GVK.Group == "" {
			continue
		}
		whole, err := openapi.SchemaOf(k)
		if err != nil {
			t.Errorf("%s: %v", k.GVK, err)
			continue
		}
		if meta := whole.Properties["metadata"]; meta.Properties["labels"].AdditionalProperties == nil {
			t.Errorf("%s: its metadata is %v", k.GVK, meta)
		}
		if at := reference(whole); at != "" {
			t.Errorf("%s: there is a reference to %s", k.GVK, at)
		}
	}
}

// reference is where a schema still refers to; "" when nowhere.
func reference(s *spec.Schema) string {
	if ref := s.Ref.String(); ref != "" {
		return ref
	}
	for _, p := range s.Properties {
		if ref := reference(&p); ref != "" {
			return ref
		}
	}
	if s.Items != nil && s.Items.Schema != nil {
		return reference(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		return reference(s.AdditionalProperties.Schema)
	}
	return ""
}

// TestSchemaWithinItself: the schema of schemas ends where it begins again.
func TestSchemaWithinItself(t *testing.T) {
	for _, k := range all.Kinds() {
		if k.GVK.Kind != "CustomResourceDefinition" {
			continue
		}
		whole, err := openapi.SchemaOf(k)
		if err != nil {
			t.Fatal(err)
		}
		versions := whole.Properties["spec"].Properties["versions"]
		own := versions.Items.Schema.Properties["schema"].Properties["openAPIV3Schema"]
		if not := own.Properties["not"]; own.Properties["title"].Type[0] != "string" || not.Type[0] != "object" || len(not.Properties) != 0 {
			t.Errorf("got %v", own)
		}
		return
	}
	t.Error("there is no such kind")
}

// TestNoSchema: what is not described is said to be so.
func TestNoSchema(t *testing.T) {
	k := *all.Kinds()[0]
	k.GVK.Kind = "None"
	if _, err := openapi.SchemaOf(&k); !errors.Is(err, openapi.ErrNoSchema) {
		t.Errorf("an unknown kind: %v", err)
	}
	k.GVK.Group = "none.example.com"
	if _, err := openapi.SchemaOf(&k); !errors.Is(err, openapi.ErrNoSchema) {
		t.Errorf("an unknown group: %v", err)
	}
	k.Dynamic = &kinds.Dynamic{Model: func() kinds.Model {
		return kinds.Model{V3: []byte(`{"properties":{"a":{"$ref":"#/components/schemas/none"}}}`)}
	}}
	if _, err := openapi.SchemaOf(&k); !errors.Is(err, openapi.ErrNoSchema) || !strings.Contains(err.Error(), "schema none") {
		t.Errorf("a reference to nothing: %v", err)
	}
}
