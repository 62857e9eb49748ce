package admissionregistration

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// defaultMatch fills what a policy or binding is about; m may be nil.
func defaultMatch(m *admissionv1.MatchResources) {
	if m == nil {
		return
	}
	def(&m.MatchPolicy, admissionv1.Equivalent)
	def(&m.NamespaceSelector, metav1.LabelSelector{})
	def(&m.ObjectSelector, metav1.LabelSelector{})
	for _, list := range [][]admissionv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range list {
			def(&list[i].Scope, admissionv1.AllScopes)
		}
	}
}

func validateMatch(m *admissionv1.MatchResources, path *field.Path) field.ErrorList {
	errs := oneOf(m.MatchPolicy, path.Child("matchPolicy"), matchPolicies()...)
	selector := func(s *metav1.LabelSelector, at *field.Path) {
		if s == nil {
			errs = append(errs, field.Required(at, ""))
			return
		}
		errs = append(errs, metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, at)...)
	}
	selector(m.NamespaceSelector, path.Child("namespaceSelector"))
	selector(m.ObjectSelector, path.Child("objectSelector"))
	rules := func(list []admissionv1.NamedRuleWithOperations, at *field.Path) {
		for i := range list {
			errs = append(errs, validateNames(list[i].ResourceNames, at.Index(i).Child("resourceNames"))...)
			errs = append(errs, validateRule(&list[i].RuleWithOperations, at.Index(i))...)
		}
	}
	rules(m.ResourceRules, path.Child("resourceRules"))
	rules(m.ExcludeResourceRules, path.Child("excludeResourceRules"))
	return errs
}

// validateNames checks the names of the objects that a rule is for.
func validateNames(list []string, path *field.Path) (errs field.ErrorList) {
	seen := sets.New[string]()
	for i, name := range list {
		errs = append(errs, invalid(path.Index(i), name, content.IsPathSegmentName(name))...)
		if seen.Has(name) {
			errs = append(errs, field.Duplicate(path.Index(i), name))
		}
		seen.Insert(name)
	}
	return errs
}

// validateOperations checks that rules are about known operations only; m may be nil. Messages name no index, as upstream's.
func validateOperations(m *admissionv1.MatchResources, known []admissionv1.OperationType, path *field.Path) (errs field.ErrorList) {
	if m == nil {
		return nil
	}
	for _, r := range m.ResourceRules {
		for _, op := range r.Operations {
			if !slices.Contains(known, op) {
				errs = append(errs, field.NotSupported(path.Child("resourceRules", "operations"), op, known))
			}
		}
	}
	return errs
}

// mutable are the operations that a mutating policy can be about: what is deleted is not changed any more.
func mutable() []admissionv1.OperationType {
	return []admissionv1.OperationType{admissionv1.OperationAll, admissionv1.Connect, admissionv1.Create, admissionv1.Update}
}
