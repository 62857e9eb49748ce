package admissionregistration

import (
	"strings"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// MutatingAdmissionPolicy is admissionregistration.k8s.io/v1 MutatingAdmissionPolicy.
func MutatingAdmissionPolicy() *kinds.Kind {
	type policy = *admissionv1.MutatingAdmissionPolicy
	compiler := lazyCompiler()
	return &kinds.Kind{
		GVK: admissionv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicy"), Resource: "mutatingadmissionpolicies",
		MetaAgain: kinds.MetaObject, PlainFinalizers: true,
		Singular: "mutatingadmissionpolicy", StoredIn: "v1beta1",
		Categories: categories(), RequireVersion: true, Warnings: reservedName,
		New:     func() kinds.Object { return &admissionv1.MutatingAdmissionPolicy{} },
		NewList: func() runtime.Object { return &admissionv1.MutatingAdmissionPolicyList{} },
		Default: func(obj kinds.Object) {
			s := &obj.(policy).Spec
			def(&s.FailurePolicy, admissionv1.Fail)
			defaultMatch(s.MatchConstraints)
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) { obj.SetGeneration(1) },
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) { raise(obj, old, obj.(policy).Spec, old.(policy).Spec) },
		ValidateCreate: func(obj kinds.Object) field.ErrorList {
			return validateMutatingPolicy(&obj.(policy).Spec, &judge{plain: compiler})
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			s, was := &obj.(policy).Spec, &old.(policy).Spec
			j := &judge{plain: compiler, stored: storedMutating(was)}
			j.sameConditions = !changed(s.ParamKind, was.ParamKind) && !changed(s.MatchConditions, was.MatchConditions)
			return validateMutatingPolicy(s, j)
		},
		Columns: policyColumns("Mutations", "Mutation indicates the number of mutations rules defined in this configuration",
			func(p policy) (int, *admissionv1.ParamKind) { return len(p.Spec.Mutations), p.Spec.ParamKind }),
	}
}

// storedMutating leaves JSON patches out: upstream looks for theirs among the apply configurations.
func storedMutating(s *admissionv1.MutatingAdmissionPolicySpec) expressions {
	e := expressions{conditions: storedConditions(s.MatchConditions, nil), mutations: sets.New[string]()}
	for _, m := range s.Mutations {
		if m.ApplyConfiguration != nil {
			e.mutations.Insert(m.ApplyConfiguration.Expression)
		}
	}
	return e
}

func validateMutatingPolicy(s *admissionv1.MutatingAdmissionPolicySpec, j *judge) field.ErrorList {
	path := field.NewPath("spec")
	j.composes = true
	errs := j.validateHead(s.FailurePolicy, s.ParamKind, s.MatchConstraints, path)
	errs = append(errs, validateOperations(s.MatchConstraints, mutable(), path.Child("matchConstraints"))...)
	errs = append(errs, j.validateConditions(s.MatchConditions, path.Child("matchConditions"))...)
	errs = append(errs, j.validateVariables(s.Variables, path.Child("variables"))...)
	if len(s.Mutations) == 0 {
		errs = append(errs, field.Required(path.Child("mutations"), "mutations must contain at least one item"))
	}
	for i := range s.Mutations {
		errs = append(errs, j.validateMutation(&s.Mutations[i], path.Child("mutations").Index(i))...)
	}
	if s.ReinvocationPolicy == "" {
		return append(errs, field.Required(path.Child("reinvocationPolicy"), ""))
	}
	return append(errs, oneOf(&s.ReinvocationPolicy, path.Child("reinvocationPolicy"), reinvocationPolicies()...)...)
}

// validateMutation checks one change: as an object that is applied, or as a JSON patch. What it evaluates to says which.
func (j *judge) validateMutation(m *admissionv1.Mutation, path *field.Path) (errs field.ErrorList) {
	apply, patch := path.Child("applyConfiguration"), path.Child("jsonPatch")
	switch m.PatchType {
	case "":
		return field.ErrorList{field.Required(path.Child("patchType"), "")}
	case admissionv1.PatchTypeJSONPatch:
		if m.JSONPatch == nil {
			errs = append(errs, field.Required(patch, "must be specified when patchType is JSONPatch"))
		} else {
			errs = append(errs, j.validateChange(m.JSONPatch.Expression, cel.ListType(cel.ObjectType("JSONPatch")), patch.Child("expression"))...)
		}
		if m.ApplyConfiguration != nil {
			errs = append(errs, field.Invalid(apply, "{applyConfiguration}", "must not be specified when patchType is JSONPatch"))
		}
	case admissionv1.PatchTypeApplyConfiguration:
		if m.ApplyConfiguration == nil {
			errs = append(errs, field.Required(apply, "must be specified when patchType is ApplyConfiguration"))
		} else {
			errs = append(errs, j.validateChange(m.ApplyConfiguration.Expression, cel.ObjectType("Object"), apply.Child("expression"))...)
		}
		if m.JSONPatch != nil {
			errs = append(errs, field.Invalid(patch, "{jsonPatch}", "must not be specified when patchType is ApplyConfiguration"))
		}
	default:
		known := []admissionv1.PatchType{admissionv1.PatchTypeApplyConfiguration, admissionv1.PatchTypeJSONPatch}
		return field.ErrorList{field.NotSupported(path.Child("patchType"), m.PatchType, known)}
	}
	return errs
}

func (j *judge) validateChange(text string, returns *cel.Type, path *field.Path) field.ErrorList {
	e := expression{text: strings.TrimSpace(text), returns: []*cel.Type{returns}}
	if e.text == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return wrong(j.compiler().CompileCELExpression(e, j.options(true, true), mode(j.stored.mutations, text)), path, e.text)
}
