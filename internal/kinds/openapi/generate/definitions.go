package generate

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apiregistrationv1beta1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1beta1"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

const gvkExtension = "x-kubernetes-group-version-kind"

// newScheme knows every type of upstream's API, in all versions, whether served or not: the definition of what all groups share, such as
// DeleteOptions, names them all.
func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, admissionv1.AddToScheme, admissionv1beta1.AddToScheme, imagepolicyv1alpha1.AddToScheme,
		apiextensionsv1.AddToScheme, apiextensionsv1beta1.AddToScheme, apiregistrationv1.AddToScheme, apiregistrationv1beta1.AddToScheme,
	} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("the types of the API: %w", err)
		}
	}
	return s, nil
}

// namer says what a definition's type is called in the API: a list of kinds, sorted, beside its name.
func namer(s *runtime.Scheme) (func(name string) (string, spec.Extensions), error) {
	known := map[string][]schema.GroupVersionKind{}
	for gvk := range s.AllKnownTypes() {
		name, err := s.ToOpenAPIDefinitionName(gvk)
		if err != nil {
			return nil, fmt.Errorf("the definition of %s: %w", gvk, err)
		}
		known[name] = append(known[name], gvk)
	}
	return func(name string) (string, spec.Extensions) {
		list, ok := known[name]
		if !ok {
			return name, nil
		}
		slices.SortFunc(list, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
		var out []any
		for _, gvk := range list {
			out = append(out, map[string]any{"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind})
		}
		return name, spec.Extensions{gvkExtension: out}
	}, nil
}

// Schemas writes the schemas of all types, as version 3 has them, as one JSON object by name.
func Schemas(to io.Writer, definitions common.GetOpenAPIDefinitions) error {
	ref := func(name string) spec.Ref { return spec.MustCreateRef("#/components/schemas/" + name) }
	schemas, err := builder3.BuildOpenAPIDefinitionsForResources(&common.OpenAPIV3Config{
		Info: &spec.Info{}, GetDefinitions: definitions, GetDefinitionName: func(name string) (string, spec.Extensions) { return name, nil },
	}, slices.Collect(maps.Keys(definitions(ref)))...)
	if err != nil {
		return fmt.Errorf("the schemas of the API: %w", err)
	}
	return json.NewEncoder(to).Encode(schemas)
}
