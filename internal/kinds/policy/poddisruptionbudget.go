package policy

import (
	"fmt"
	"slices"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// oldEmptyMatch is the key of a requirement by which v1beta1, to which an empty selector meant no pods, was told from v1, to which it means all.
const oldEmptyMatch = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match"

// PodDisruptionBudget is policy/v1 PodDisruptionBudget.
func PodDisruptionBudget() *kinds.Kind {
	gvk := policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
	return &kinds.Kind{
		GVK: gvk, Resource: "poddisruptionbudgets", Singular: "poddisruptionbudget", ShortNames: []string{"pdb"}, Namespaced: true, RequireVersion: true,
		MetaAgain: kinds.MetaNone, PlainFinalizers: true,
		ValidName: kinds.PathSegment, // upstream has no rule of its own for these
		New:       func() kinds.Object { return &policyv1.PodDisruptionBudget{} },
		NewList:   func() runtime.Object { return &policyv1.PodDisruptionBudgetList{} },
		Default:   func(obj kinds.Object) { dropOldRequirement(obj.(*policyv1.PodDisruptionBudget).Spec.Selector) },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			b := obj.(*policyv1.PodDisruptionBudget)
			b.Status, b.Generation = policyv1.PodDisruptionBudgetStatus{}, 1
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			b, was := obj.(*policyv1.PodDisruptionBudget), old.(*policyv1.PodDisruptionBudget)
			b.Status = *was.Status.DeepCopy()
			if !equality.Semantic.DeepEqual(b.Spec, was.Spec) {
				b.Generation = was.Generation + 1
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if obj.GetResourceVersion() != "" {
				return nil // it replaces another, and ValidateUpdate says all
			}
			return validateBudget(&obj.(*policyv1.PodDisruptionBudget).Spec, false)
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			before := old.(*policyv1.PodDisruptionBudget).Spec.Selector
			wrong := len(metavalidation.ValidateLabelSelector(before, metavalidation.LabelSelectorValidationOptions{}, nil)) > 0
			return validateBudget(&obj.(*policyv1.PodDisruptionBudget).Spec, wrong)
		},
		Columns: budgetColumns(),
		Indexes: []kinds.Index{{Name: kinds.SelectorIndex, Values: func(obj kinds.Object) []string {
			b := obj.(*policyv1.PodDisruptionBudget)
			if b.Spec.Selector == nil {
				return nil
			}
			return []string{kinds.SelectorValue(b.Namespace, b.Spec.Selector.MatchLabels)}
		}}},
		Resets:       []string{"status"},
		Subresources: []kinds.Subresource{{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"}, Update: budgetStatus}},
	}
}

// dropOldRequirement takes out what v1beta1 left in a selector, unless it is all that there is: then it still says that no pod matches.
func dropOldRequirement(s *metav1.LabelSelector) {
	if s == nil {
		return
	}
	none := metav1.LabelSelectorRequirement{Key: oldEmptyMatch, Operator: metav1.LabelSelectorOpExists}
	if len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 1 && equality.Semantic.DeepEqual(s.MatchExpressions[0], none) {
		return
	}
	s.MatchExpressions = slices.DeleteFunc(s.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool { return r.Key == oldEmptyMatch })
}

// validateBudget checks a specification. anyValue lets its selector name values that no label can have, as an older one did.
func validateBudget(s *policyv1.PodDisruptionBudgetSpec, anyValue bool) (errs field.ErrorList) {
	path := field.NewPath("spec")
	if s.MinAvailable != nil && s.MaxUnavailable != nil {
		errs = append(errs, field.Invalid(path, untagged.Value(s), "minAvailable and maxUnavailable cannot be both set"))
	}
	errs = append(errs, validateAmount(s.MinAvailable, path.Child("minAvailable"))...)
	errs = append(errs, validateAmount(s.MaxUnavailable, path.Child("maxUnavailable"))...)
	errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: anyValue}, path.Child("selector"))...)
	known := []policyv1.UnhealthyPodEvictionPolicyType{policyv1.AlwaysAllow, policyv1.IfHealthyBudget}
	if p := s.UnhealthyPodEvictionPolicy; p != nil && !slices.Contains(known, *p) {
		errs = append(errs, field.NotSupported(path.Child("unhealthyPodEvictionPolicy"), *p, known))
	}
	return errs
}

// validateAmount takes a number of pods, or a share of at most all of them.
func validateAmount(v *intstr.IntOrString, path *field.Path) (errs field.ErrorList) {
	switch {
	case v == nil:
		return nil
	case v.Type == intstr.Int:
		return validation.ValidateNonnegativeField(int64(v.IntVal), path)
	}
	for _, msg := range utilvalidation.IsValidPercent(v.StrVal) {
		errs = append(errs, field.Invalid(path, *v, msg))
	}
	var share int
	if _, err := fmt.Sscanf(v.StrVal, "%d%%", &share); len(errs) == 0 && err == nil && share > 100 {
		errs = append(errs, field.Invalid(path, *v, "must not be greater than 100%"))
	}
	return errs
}

func budgetStatus(_ kinds.Env, obj, old kinds.Object) (errs field.ErrorList) {
	b := obj.(*policyv1.PodDisruptionBudget)
	b.Spec = *old.(*policyv1.PodDisruptionBudget).Spec.DeepCopy()
	s, path := &b.Status, field.NewPath("status")
	errs = append(errs, metavalidation.ValidateConditions(s.Conditions, path.Child("conditions"))...)
	for _, c := range []struct {
		name string
		n    int32
	}{{"disruptionsAllowed", s.DisruptionsAllowed}, {"currentHealthy", s.CurrentHealthy}, {"desiredHealthy", s.DesiredHealthy}, {"expectedPods", s.ExpectedPods}} {
		errs = append(errs, validation.ValidateNonnegativeField(int64(c.n), path.Child(c.name))...)
	}
	return errs
}

func budgetColumns() []kinds.Column {
	amount := func(name, doc string, f func(*policyv1.PodDisruptionBudgetSpec) *intstr.IntOrString) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Cell: func(_ kinds.Env, obj kinds.Object) any {
			if v := f(&obj.(*policyv1.PodDisruptionBudget).Spec); v != nil {
				return v.String()
			}
			return "N/A"
		}}
	}
	return []kinds.Column{
		kinds.NameColumn(),
		amount("Min Available", "The minimum number of pods that must be available.", func(s *policyv1.PodDisruptionBudgetSpec) *intstr.IntOrString { return s.MinAvailable }),
		amount("Max Unavailable", "The maximum number of pods that may be unavailable.", func(s *policyv1.PodDisruptionBudgetSpec) *intstr.IntOrString { return s.MaxUnavailable }),
		{Name: "Allowed Disruptions", Type: "integer", Description: "Calculated number of pods that may be disrupted at this time.", Cell: func(_ kinds.Env, obj kinds.Object) any {
			return int64(obj.(*policyv1.PodDisruptionBudget).Status.DisruptionsAllowed)
		}},
		kinds.AgeColumn(),
	}
}
