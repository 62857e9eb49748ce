package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// ValidatingAdmissionPolicyBinding is admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding.
func ValidatingAdmissionPolicyBinding() *kinds.Kind {
	type binding = *admissionv1.ValidatingAdmissionPolicyBinding
	k := bindings(func(obj kinds.Object) bound {
		s := &obj.(binding).Spec
		return bound{s, s.PolicyName, s.ParamRef, s.MatchResources}
	}, func(obj kinds.Object, path *field.Path) field.ErrorList {
		return validateActions(obj.(binding).Spec.ValidationActions, path.Child("validationActions"))
	})
	k.GVK = admissionv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicyBinding")
	k.Resource, k.Singular = "validatingadmissionpolicybindings", "validatingadmissionpolicybinding"
	k.MetaAgain, k.PlainFinalizers = kinds.MetaObject, true
	k.New = func() kinds.Object { return &admissionv1.ValidatingAdmissionPolicyBinding{} }
	k.NewList = func() runtime.Object { return &admissionv1.ValidatingAdmissionPolicyBindingList{} }
	return k
}

// validateActions checks what becomes of a request that a policy finds fault with.
func validateActions(list []admissionv1.ValidationAction, path *field.Path) (errs field.ErrorList) {
	seen := sets.New[admissionv1.ValidationAction]()
	for i, action := range list {
		errs = append(errs, oneOf(&action, path.Index(i), admissionv1.Audit, admissionv1.Deny, admissionv1.Warn)...)
		if seen.Has(action) {
			errs = append(errs, field.Duplicate(path.Index(i), action))
		}
		seen.Insert(action)
	}
	if seen.HasAll(admissionv1.Deny, admissionv1.Warn) {
		const twice = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"
		errs = append(errs, field.Invalid(path, list, twice))
	}
	if len(seen) == 0 {
		errs = append(errs, field.Required(path, "at least one validation action is required"))
	}
	return errs
}
