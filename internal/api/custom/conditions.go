package custom

import (
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	kindsext "github.com/floe-k8s/floe/internal/kinds/apiextensions"
)

// This file is what a definition's status says. All functions change crd, which is private to the caller, in place.

// taken are the names that other definitions of a group have: of resources, and of kinds.
type taken struct{ resources, kinds sets.Set[string] }

func (t taken) add(n *apiextensionsv1.CustomResourceDefinitionNames) {
	t.resources.Insert(n.Plural, n.Singular)
	t.resources.Insert(n.ShortNames...)
	t.kinds.Insert(n.Kind, n.ListKind)
}

// set sets a condition as of now.
func set(crd *apiextensionsv1.CustomResourceDefinition, now metav1.Time, kind apiextensionsv1.CustomResourceDefinitionConditionType,
	status apiextensionsv1.ConditionStatus, reason, message string) {
	kindsext.SetCondition(&crd.Status, apiextensionsv1.CustomResourceDefinitionCondition{
		Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: now,
	})
}

// acceptNames gives a definition those of its names that nobody else has, and says whether it got all.
func acceptNames(crd *apiextensionsv1.CustomResourceDefinition, others taken, now metav1.Time) {
	wanted, had := &crd.Spec.Names, &crd.Status.AcceptedNames
	if equality.Semantic.DeepEqual(*wanted, *had) {
		return
	}
	next := *had.DeepCopy()
	reason, message := "", ""
	try := func(because, name, mine string, names sets.Set[string], into *string) {
		if err := free(name, mine, names); err != nil {
			reason, message = because, err.Error()
			return
		}
		*into = name
	}
	try("PluralConflict", wanted.Plural, had.Plural, others.resources, &next.Plural)
	try("SingularConflict", wanted.Singular, had.Singular, others.resources, &next.Singular)
	if !reflect.DeepEqual(wanted.ShortNames, had.ShortNames) {
		var errs []error
		for _, name := range wanted.ShortNames {
			if !slices.Contains(had.ShortNames, name) {
				errs = append(errs, free(name, "", others.resources))
			}
		}
		if err := utilerrors.NewAggregate(errs); err != nil {
			reason, message = "ShortNamesConflict", err.Error()
		} else {
			next.ShortNames = slices.Clone(wanted.ShortNames)
		}
	}
	try("KindConflict", wanted.Kind, had.Kind, others.kinds, &next.Kind)
	try("ListKindConflict", wanted.ListKind, had.ListKind, others.kinds, &next.ListKind)
	next.Categories = slices.Clone(wanted.Categories)
	crd.Status.AcceptedNames = next
	established := apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established)
	if reason != "" {
		set(crd, now, apiextensionsv1.NamesAccepted, apiextensionsv1.ConditionFalse, reason, message)
		if apihelpers.FindCRDCondition(crd, apiextensionsv1.Established) == nil {
			set(crd, now, apiextensionsv1.Established, apiextensionsv1.ConditionFalse, "NotAccepted", "not all names are accepted")
		}
		return
	}
	set(crd, now, apiextensionsv1.NamesAccepted, apiextensionsv1.ConditionTrue, "NoConflicts", "no conflicts found")
	if !established {
		set(crd, now, apiextensionsv1.Established, apiextensionsv1.ConditionFalse, "Installing", "the initial names have been accepted")
	}
}

// free says why a name cannot be had by who has mine.
func free(name, mine string, names sets.Set[string]) error {
	if name == mine || !names.Has(name) {
		return nil
	}
	return fmt.Errorf("%q is already in use", name)
}

// establish says that a definition is served, as it is from now on, once its names are accepted.
func establish(crd *apiextensionsv1.CustomResourceDefinition, now metav1.Time) {
	if !apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.NamesAccepted) || apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established) {
		return
	}
	if c := crd.Spec.Conversion; c != nil && c.Webhook != nil && c.Webhook.ClientConfig != nil && !trustable(c.Webhook.ClientConfig) {
		set(crd, now, apiextensionsv1.Established, apiextensionsv1.ConditionFalse, "InvalidCABundle", "The conversion webhook CABundle is invalid")
		return
	}
	set(crd, now, apiextensionsv1.Established, apiextensionsv1.ConditionTrue, "InitialNamesAccepted", "the initial names have been accepted")
}

// approve says whether a definition in a group of Kubernetes' own has been agreed on there.
func approve(crd *apiextensionsv1.CustomResourceDefinition, now metav1.Time) {
	if !apihelpers.IsProtectedCommunityGroup(crd.Spec.Group) {
		return
	}
	state, message := apihelpers.GetAPIApprovalState(crd.Annotations)
	status, reason := apiextensionsv1.ConditionFalse, ""
	switch state {
	case apihelpers.APIApprovalInvalid:
		reason = "InvalidAnnotation"
	case apihelpers.APIApprovalMissing:
		reason = "MissingAnnotation"
	case apihelpers.APIApproved:
		status, reason = apiextensionsv1.ConditionTrue, "ApprovedAnnotation"
	case apihelpers.APIApprovalBypassed:
		reason = "UnapprovedAnnotation"
	}
	set(crd, now, apiextensionsv1.KubernetesAPIApprovalPolicyConformant, status, reason, message)
}

// nonStructural says what keeps a schema from being structural, of definitions from before all had to be; the condition goes when nothing does.
func nonStructural(crd *apiextensionsv1.CustomResourceDefinition, now metav1.Time) {
	if !crd.Spec.PreserveUnknownFields && apihelpers.FindCRDCondition(crd, apiextensionsv1.NonStructuralSchema) == nil {
		return // validation has seen to it
	}
	var errs field.ErrorList
	if crd.Spec.PreserveUnknownFields {
		errs = append(errs, field.Invalid(field.NewPath("spec", "preserveUnknownFields"), true, "must be false"))
	}
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
			continue
		}
		at := field.NewPath("spec", "versions").Index(i).Child("schema", "openAPIV3Schema")
		var hub apiextensions.CustomResourceValidation
		err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(v.Schema, &hub, nil)
		if err != nil {
			continue
		}
		s, err := structuralschema.NewStructural(hub.OpenAPIV3Schema)
		if err != nil {
			set(crd, now, apiextensionsv1.NonStructuralSchema, apiextensionsv1.ConditionUnknown, "StructuralError", fmt.Sprintf("failed to check validation schema for version %s: %v", v.Name, err))
			return
		}
		errs = append(errs, structuralschema.ValidateStructural(at, s)...)
	}
	if len(errs) == 0 {
		apihelpers.RemoveCRDCondition(crd, apiextensionsv1.NonStructuralSchema)
		return
	}
	set(crd, now, apiextensionsv1.NonStructuralSchema, apiextensionsv1.ConditionTrue, "Violations", errs.ToAggregate().Error())
}
