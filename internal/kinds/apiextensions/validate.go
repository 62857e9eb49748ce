package apiextensions

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// approval is the annotation that validation reads.
const approval = apiextensionsv1.KubeAPIApprovedAnnotation

// canonical writes a definition as upstream stores it. Its JSON can be read: it is valid.
func canonical(obj kinds.Object) {
	crd := obj.(*apiextensionsv1.CustomResourceDefinition)
	var hub apiextensions.CustomResourceDefinitionSpec
	var spec apiextensionsv1.CustomResourceDefinitionSpec
	if apiextensionsv1.Convert_v1_CustomResourceDefinitionSpec_To_apiextensions_CustomResourceDefinitionSpec(&crd.Spec, &hub, nil) != nil {
		return
	}
	if apiextensionsv1.Convert_apiextensions_CustomResourceDefinitionSpec_To_v1_CustomResourceDefinitionSpec(&hub, &spec, nil) == nil {
		crd.Spec = spec
	}
}

// changed says whether the specification of a definition is another one. To upstream 1.0 and 1 are not the same, and only the second is ever stored.
func changed(crd, was kinds.Object) bool {
	next, err := unversioned(crd)
	if err != nil {
		return true
	}
	old, err := unversioned(was)
	return err != nil || !equality.Semantic.DeepEqual(next.Spec, old.Spec)
}

// unversioned is a definition in the types that upstream validates, which share memory with it. Of its metadata there is only what rules of its own
// are about: the rest is validated by the caller.
func unversioned(obj kinds.Object) (*apiextensions.CustomResourceDefinition, error) {
	var hub apiextensions.CustomResourceDefinition
	err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(obj.(*apiextensionsv1.CustomResourceDefinition), &hub, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the JSON in a definition: %w", err)
	}
	hub.ObjectMeta = metav1.ObjectMeta{Name: obj.GetName(), GenerateName: obj.GetGenerateName(), ResourceVersion: "1"}
	if text, ok := obj.GetAnnotations()[approval]; ok {
		hub.Annotations = map[string]string{approval: text}
	}
	return &hub, nil
}

func unreadable(err error) field.ErrorList {
	return field.ErrorList{field.InternalError(field.NewPath("spec"), err)}
}

// guarded answers for upstream's validation where it panics. A client can make it do so: a schema of type object that has both a rule and items, with
// a rule on a property of the items, asks for the fields of an element type that is not there. Upstream's own server does not get past it
// either, so refusing such a definition takes nothing away.
func guarded(validate func() field.ErrorList) (errs field.ErrorList) {
	defer func() {
		if cause := recover(); cause != nil {
			errs = unreadable(fmt.Errorf("validating the schemas of a definition: %v", cause))
		}
	}()
	return validate()
}

func validateNew(obj kinds.Object) field.ErrorList {
	hub, err := unversioned(obj)
	if err != nil {
		return unreadable(err)
	}
	errs := guarded(func() field.ErrorList { return validation.ValidateCustomResourceDefinition(context.Background(), hub) })
	// The caller has judged the names.
	return slices.DeleteFunc(errs, func(e *field.Error) bool { return e.Field == "metadata.name" || e.Field == "metadata.generateName" })
}

// validName wants a name to say plural and group.
func validName(obj kinds.Object) func(name string, prefix bool) []string {
	spec := &obj.(*apiextensionsv1.CustomResourceDefinition).Spec
	want := spec.Names.Plural + "." + spec.Group
	return func(name string, prefix bool) []string {
		wrong := apivalidation.NameIsDNSSubdomain(name, prefix)
		if name != want {
			wrong = append(wrong, `must be spec.names.plural+"."+spec.group`)
		}
		return wrong
	}
}

func validateUpdate(obj, old kinds.Object) field.ErrorList {
	hub, err := unversioned(obj)
	if err != nil {
		return unreadable(err)
	}
	was, err := unversioned(old)
	if err != nil {
		return unreadable(err)
	}
	hub.Name, hub.GenerateName = was.Name, was.GenerateName
	return guarded(func() field.ErrorList {
		return validation.ValidateCustomResourceDefinitionUpdate(context.Background(), hub, was)
	})
}

// updateStatus keeps the specification. Metadata may change with the status, as upstream: its controllers remove their finalizer so.
func updateStatus(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
	crd := obj.(*apiextensionsv1.CustomResourceDefinition)
	crd.Spec = *old.(*apiextensionsv1.CustomResourceDefinition).Spec.DeepCopy()
	hub, err := unversioned(obj)
	if err != nil {
		return unreadable(err)
	}
	return validation.ValidateCustomResourceDefinitionStatus(&hub.Status, field.NewPath("status"))
}
