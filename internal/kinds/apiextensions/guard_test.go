package apiextensions

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TestPanicBecomesAnError sends the schema on which upstream's validation of rules reads an element type that is not there.
func TestPanicBecomesAnError(t *testing.T) {
	rules := apiextensionsv1.ValidationRules{{Rule: "true"}}
	leaf := apiextensionsv1.JSONSchemaProps{Type: "string", XValidations: rules}
	element := apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"leaf": leaf}}
	root := apiextensionsv1.JSONSchemaProps{Type: "object", XValidations: rules, Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &element}}
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "things.example.com"}}
	crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
		Group: "example.com", Scope: apiextensionsv1.NamespaceScoped,
		Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "things", Singular: "thing", Kind: "Thing", ListKind: "ThingList"},
		Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
			Name: "v1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &root},
		}},
	}
	for name, errs := range map[string]field.ErrorList{"create": validateNew(crd), "update": validateUpdate(crd, crd.DeepCopy())} {
		t.Logf("%s: %v", name, errs)
		if len(errs) != 1 || errs[0].Type != field.ErrorTypeInternal || errs[0].Field != "spec" {
			t.Errorf("%s: %v, want one internal error at spec", name, errs)
		}
	}
}
