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
	k := bindings(func(obj kinds.Object) bound {
		s := &obj.(binding).Spec
		return bound{s, s.PolicyName, s.ParamRef, s.MatchResources}
	}, func(obj kinds.Object, path *field.Path) field.ErrorList {
		return validateOperations(obj.(binding).Spec.MatchResources, mutable(), path.Child("matchResources"))
	})
	k.GVK = admissionv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicyBinding")
	k.Resource, k.Singular = "mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding"
	k.MetaAgain, k.PlainFinalizers = kinds.MetaObject, true
	k.StoredIn = "v1beta1"
	k.New = func() kinds.Object { return &admissionv1.MutatingAdmissionPolicyBinding{} }
	k.NewList = func() runtime.Object { return &admissionv1.MutatingAdmissionPolicyBindingList{} }
	return k
}
