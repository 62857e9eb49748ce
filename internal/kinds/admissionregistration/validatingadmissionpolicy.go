package admissionregistration

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/jsonpath"

	"github.com/floe-k8s/floe/internal/kinds"
)

// ValidatingAdmissionPolicy is admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy.
func ValidatingAdmissionPolicy() *kinds.Kind {
	type policy = *admissionv1.ValidatingAdmissionPolicy
	gvk, compiler := admissionv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicy"), lazyCompiler()
	return &kinds.Kind{
		GVK: gvk, Resource: "validatingadmissionpolicies", Singular: "validatingadmissionpolicy",
		MetaAgain: kinds.MetaObject, PlainFinalizers: true,
		Categories: categories(), RequireVersion: true, Warnings: reservedName,
		New:     func() kinds.Object { return &admissionv1.ValidatingAdmissionPolicy{} },
		NewList: func() runtime.Object { return &admissionv1.ValidatingAdmissionPolicyList{} },
		Default: func(obj kinds.Object) {
			s := &obj.(policy).Spec
			def(&s.FailurePolicy, admissionv1.Fail)
			defaultMatch(s.MatchConstraints)
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			p := obj.(policy)
			p.Status, p.Generation = admissionv1.ValidatingAdmissionPolicyStatus{}, 1
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			p, was := obj.(policy), old.(policy)
			p.Status = *was.Status.DeepCopy()
			raise(p, was, p.Spec, was.Spec)
		},
		ValidateCreate: func(obj kinds.Object) field.ErrorList {
			return validateValidatingPolicy(obj.(policy), &judge{plain: compiler})
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			p, was := obj.(policy), old.(policy)
			j := &judge{plain: compiler, stored: storedValidating(&was.Spec)}
			j.sameConditions = !changed(p.Spec.ParamKind, was.Spec.ParamKind) && !changed(p.Spec.MatchConditions, was.Spec.MatchConditions)
			return validateValidatingPolicy(p, j)
		},
		Columns: policyColumns("Validations", "Validations indicates the number of validation rules defined in this configuration",
			func(p policy) (int, *admissionv1.ParamKind) { return len(p.Spec.Validations), p.Spec.ParamKind }),
		Resets: []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"metadata", "spec"}, Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				p := obj.(policy)
				p.Spec = *old.(policy).Spec.DeepCopy()
				metav1.ResetObjectMetaForStatus(obj, old.DeepCopyObject().(kinds.Object))
				return validatePolicyStatus(&p.Status, field.NewPath("status"))
			}},
		},
	}
}

func storedValidating(s *admissionv1.ValidatingAdmissionPolicySpec) expressions {
	e := expressions{conditions: storedConditions(s.MatchConditions, nil), validations: sets.New[string](), messages: sets.New[string](), annotations: sets.New[string]()}
	for _, v := range s.Validations {
		e.validations.Insert(v.Expression)
		if v.MessageExpression != "" {
			e.messages.Insert(v.MessageExpression)
		}
	}
	for _, a := range s.AuditAnnotations {
		e.annotations.Insert(a.ValueExpression)
	}
	return e
}

func validateValidatingPolicy(p *admissionv1.ValidatingAdmissionPolicy, j *judge) field.ErrorList {
	s, path := &p.Spec, field.NewPath("spec")
	j.composes = len(s.Variables) > 0
	errs := j.validateHead(s.FailurePolicy, s.ParamKind, s.MatchConstraints, path)
	errs = append(errs, j.validateConditions(s.MatchConditions, path.Child("matchConditions"))...)
	errs = append(errs, j.validateVariables(s.Variables, path.Child("variables"))...)
	if len(s.Validations) == 0 && len(s.AuditAnnotations) == 0 {
		const one = "validations or auditAnnotations must contain at least one item"
		return append(errs, field.Required(path.Child("validations"), one), field.Required(path.Child("auditAnnotations"), one))
	}
	for i := range s.Validations {
		errs = append(errs, j.validateValidation(&s.Validations[i], path.Child("validations").Index(i))...)
	}
	return append(errs, j.validateAnnotations(p.Name, s.AuditAnnotations, path.Child("auditAnnotations"))...)
}

// validatePolicyStatus checks what the controller that checks types has found.
func validatePolicyStatus(s *admissionv1.ValidatingAdmissionPolicyStatus, path *field.Path) (errs field.ErrorList) {
	if s.TypeChecking != nil {
		for i, w := range s.TypeChecking.ExpressionWarnings {
			at := path.Child("typeChecking", "expressionWarnings").Index(i)
			if w.Warning == "" {
				errs = append(errs, field.Required(at.Child("warning"), ""))
			}
			errs = append(errs, validateFieldRef(strings.TrimSpace(w.FieldRef), at.Child("fieldRef"))...)
		}
	}
	return append(errs, metavalidation.ValidateConditions(s.Conditions, path.Child("conditions"))...)
}

func validateFieldRef(ref string, path *field.Path) field.ErrorList {
	if ref == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if err := jsonpath.New("spec").Parse("{" + ref + "}"); err != nil {
		return field.ErrorList{field.Invalid(path, ref, fmt.Sprintf("invalid JSONPath: %v", err))}
	}
	return nil
}
