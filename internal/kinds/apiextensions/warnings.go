package apiextensions

import (
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/floe-k8s/floe/internal/kinds"
)

// warnings are about formats that no value is held against. Those of old are known already.
func warnings(obj, old kinds.Object) (list []string) {
	var known []string
	if old != nil {
		known = oddFormats(old)
	}
	for _, f := range oddFormats(obj) {
		if !slices.Contains(known, f) {
			list = append(list, fmt.Sprintf("unrecognized format %q", f))
		}
	}
	return list
}

// oddFormats are the formats in a definition's schemas that the previous release did not know, to which a cluster may go back. They are sorted, and
// come once each.
func oddFormats(obj kinds.Object) (list []string) {
	hub, err := unversioned(obj)
	if err != nil {
		return nil // refused by validation
	}
	collect := func(s *apiextensions.JSONSchemaProps) bool {
		schema := &spec.Schema{SchemaProps: spec.SchemaProps{Format: s.Format, Type: []string{s.Type}}}
		list = append(list, schemavalidation.GetUnrecognizedFormats(schema, version.MajorMinor(1, 35))...)
		return false
	}
	validation.HasSchemaWith(&hub.Spec, func(root *apiextensions.JSONSchemaProps) bool { return validation.SchemaHas(root, collect) })
	slices.Sort(list)
	return slices.Compact(list)
}
