package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// MutatingAdmissionPolicyBinding is admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding.
func MutatingAdmissionPolicyBinding() *kinds.Kind {
	type binding = *admissionv1.MutatingAdmissionPolicyBinding
	return &kinds.Kind{
		GVK: admissionv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicyBinding"), Resource: "mutatingadmissionpolicybindings",
		Singular: "mutatingadmissionpolicybinding", Categories: categories(), RequireVersion: true,
		New:           func() kinds.Object { return &admissionv1.MutatingAdmissionPolicyBinding{} },
		NewList:       func() runtime.Object { return &admissionv1.MutatingAdmissionPolicyBindingList{} },
		Default:       func(obj kinds.Object) { defaultMatch(obj.(binding).Spec.MatchResources) },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) { obj.SetGeneration(1) },
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			raise(obj, old, obj.(binding).Spec, old.(binding).Spec)
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			s, path := &obj.(binding).Spec, field.NewPath("spec")
			errs := validateBinding(s.PolicyName, s.ParamRef, s.MatchResources, path)
			if s.MatchResources != nil {
				errs = append(errs, validateOperations(s.MatchResources, mutable(), path.Child("matchResources"))...)
			}
			return errs
		},
		Columns: bindingColumns(func(b binding) (string, *admissionv1.ParamRef) { return b.Spec.PolicyName, b.Spec.ParamRef }),
	}
}
