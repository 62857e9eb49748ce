package podspec

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// This file is where a pod may go: affinity, tolerations, spreading.

const (
	required  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferred = "preferredDuringSchedulingIgnoredDuringExecution"
)

func validateAffinity(s *subject, at place) (errs field.ErrorList) {
	a, lax := s.Affinity, s.leave.oddAffinity
	if a == nil {
		return nil
	}
	if n := a.NodeAffinity; n != nil {
		errs = append(errs, validateNodeAffinity(n, s.leave.oddNodes, at.in("nodeAffinity"))...)
	}
	if p := a.PodAffinity; p != nil {
		errs = append(errs, validatePodTerms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution, lax, at.in("podAffinity"))...)
	}
	if p := a.PodAntiAffinity; p != nil {
		errs = append(errs, validatePodTerms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution, lax, at.in("podAntiAffinity"))...)
	}
	return errs
}

func validateNodeAffinity(a *corev1.NodeAffinity, lax bool, at place) (errs field.ErrorList) {
	if wanted := a.RequiredDuringSchedulingIgnoredDuringExecution; wanted != nil {
		errs = append(errs, NodeSelector(wanted, lax, at.in(required).path())...)
	}
	for i, wish := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		at := at.in(preferred).nth(i)
		errs = append(errs, validateWeight(wish.Weight, at)...)
		errs = append(errs, NodeTerm(wish.Preference, true, at.in("preference").path())...)
	}
	return errs
}

// NodeSelector checks alternatives of what a node must be, of which there is one at least. lax: see NodeTerm.
func NodeSelector(s *corev1.NodeSelector, lax bool, path *field.Path) (errs field.ErrorList) {
	at := place{up: path}.in("nodeSelectorTerms")
	if len(s.NodeSelectorTerms) == 0 {
		errs = append(errs, field.Required(at.path(), "must have at least one node selector term"))
	}
	for i, term := range s.NodeSelectorTerms {
		errs = append(errs, NodeTerm(term, lax, at.nth(i).path())...)
	}
	return errs
}

func validateWeight(n int32, at place) field.ErrorList {
	if n > 0 && n <= 100 {
		return nil
	}
	return field.ErrorList{field.Invalid(at.in("weight").path(), n, "must be in the range 1-100")}
}

// NodeTerm checks one alternative of what a node must be. lax lets values stand that no label can have: they are refused where they decide alone, not in
// preferences.
func NodeTerm(term corev1.NodeSelectorTerm, lax bool, path *field.Path) (errs field.ErrorList) {
	where := place{up: path}
	for i, e := range term.MatchExpressions {
		at := where.in("matchExpressions").nth(i)
		errs = append(errs, validateOperator(e, at)...)
		errs = append(errs, labelName(e.Key, at.in("key"))...)
		if lax {
			continue
		}
		for j, v := range e.Values {
			for _, msg := range utilvalidation.IsValidLabelValue(v) {
				errs = append(errs, field.Invalid(at.in("values").nth(j).path(), v, msg))
			}
		}
	}
	for i, e := range term.MatchFields {
		errs = append(errs, validateNodeField(e, where.in("matchFields").nth(i))...)
	}
	return errs
}

func validateOperator(e corev1.NodeSelectorRequirement, at place) field.ErrorList {
	switch n := len(e.Values); e.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if n == 0 {
			return field.ErrorList{field.Required(at.in("values").path(), "must be specified when `operator` is 'In' or 'NotIn'")}
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if n > 0 {
			return field.ErrorList{field.Forbidden(at.in("values").path(), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")}
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if n != 1 {
			return field.ErrorList{field.Required(at.in("values").path(), "must be specified single value when `operator` is 'Lt' or 'Gt'")}
		}
	default:
		return field.ErrorList{field.Invalid(at.in("operator").path(), e.Operator, "not a valid selector operator")}
	}
	return nil
}

// validateNodeField: of a node's fields only its name can be asked for.
func validateNodeField(e corev1.NodeSelectorRequirement, at place) (errs field.ErrorList) {
	switch e.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(e.Values) != 1 {
			errs = append(errs, field.Required(at.in("values").path(), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
		}
	default:
		errs = append(errs, field.Invalid(at.in("operator").path(), e.Operator, "not a valid selector operator"))
	}
	if e.Key != metav1.ObjectNameField {
		return append(errs, field.Invalid(at.in("key").path(), e.Key, "not a valid field selector key"))
	}
	for i, v := range e.Values {
		for _, msg := range subdomain(v) {
			errs = append(errs, field.Invalid(at.in("values").nth(i).path(), v, msg))
		}
	}
	return errs
}

func validatePodTerms(hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm, lax bool, at place) (errs field.ErrorList) {
	for i := range hard {
		errs = append(errs, validatePodTerm(&hard[i], lax, at.in(required).nth(i))...)
	}
	for i := range soft {
		at := at.in(preferred).nth(i)
		errs = append(errs, validateWeight(soft[i].Weight, at)...)
		errs = append(errs, validatePodTerm(&soft[i].PodAffinityTerm, lax, at.in("podAffinityTerm"))...)
	}
	return errs
}

func validatePodTerm(t *corev1.PodAffinityTerm, lax bool, at place) (errs field.ErrorList) {
	opts := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: lax}
	errs = append(errs, metavalidation.ValidateLabelSelector(t.LabelSelector, opts, at.in("labelSelector").path())...)
	errs = append(errs, metavalidation.ValidateLabelSelector(t.NamespaceSelector, opts, at.in("namespaceSelector").path())...)
	for _, name := range t.Namespaces {
		for _, msg := range validation.ValidateNamespaceName(name, false) {
			errs = append(errs, field.Invalid(at.in("namespace").path(), name, msg))
		}
	}
	errs = append(errs, validateLabelKeys(t.MatchLabelKeys, t.MismatchLabelKeys, t.LabelSelector, at)...)
	if t.TopologyKey == "" {
		errs = append(errs, field.Required(at.in("topologyKey").path(), "can not be empty"))
	}
	return append(errs, labelName(t.TopologyKey, at.in("topologyKey"))...)
}

// validateLabelKeys checks keys whose values a selector takes from the pod itself. The selector says each key at most once, where the key that creation
// adds to it counts as its own.
func validateLabelKeys(match, mismatch []string, selector *metav1.LabelSelector, at place) (errs field.ErrorList) {
	for _, part := range []struct {
		name string
		keys []string
	}{{"matchLabelKeys", match}, {"mismatchLabelKeys", mismatch}} {
		at := at.in(part.name)
		if len(part.keys) > 0 && selector == nil {
			errs = append(errs, field.Forbidden(at.path(), "must not be specified when labelSelector is not set"))
			continue
		}
		for i, key := range part.keys {
			errs = append(errs, labelName(key, at.nth(i))...)
		}
	}
	if selector != nil {
		said := sets.KeySet(selector.MatchLabels)
		for _, e := range selector.MatchExpressions {
			for i, key := range match {
				if key == e.Key && said.Has(key) {
					errs = append(errs, field.Invalid(at.nth(i).path(), key, "exists in both matchLabelKeys and labelSelector"))
				}
			}
			said.Insert(e.Key)
		}
	}
	for i, key := range match {
		if sets.New(mismatch...).Has(key) {
			errs = append(errs, field.Invalid(at.in("matchLabelKeys").nth(i).path(), key, "exists in both matchLabelKeys and mismatchLabelKeys"))
		}
	}
	return errs
}

// validateSpreadKeys is validateLabelKeys for constraints from before creation added their keys to selectors.
func validateSpreadKeys(keys []string, selector *metav1.LabelSelector, at place) (errs field.ErrorList) {
	if len(keys) == 0 {
		return nil
	}
	said := sets.New[string]()
	if selector == nil {
		errs = append(errs, field.Forbidden(at.path(), "must not be specified when labelSelector is not set"))
	} else {
		said = sets.KeySet(selector.MatchLabels)
		for _, e := range selector.MatchExpressions {
			said.Insert(e.Key)
		}
	}
	for i, key := range keys {
		errs = append(errs, labelName(key, at.nth(i))...)
		if said.Has(key) {
			errs = append(errs, field.Invalid(at.nth(i).path(), key, "exists in both matchLabelKeys and labelSelector"))
		}
	}
	return errs
}

func validateSpread(s *subject, at place) (errs field.ErrorList) {
	list := s.TopologySpreadConstraints
	for i := range list {
		c, at := &list[i], at.nth(i)
		if c.MaxSkew <= 0 {
			errs = append(errs, field.Invalid(at.in("maxSkew").path(), int64(c.MaxSkew), "must be greater than zero"))
		}
		if c.TopologyKey == "" {
			errs = append(errs, field.Required(at.in("topologyKey").path(), "can not be empty"))
		}
		if c.WhenUnsatisfiable != corev1.DoNotSchedule && c.WhenUnsatisfiable != corev1.ScheduleAnyway {
			errs = append(errs, field.NotSupported(at.in("whenUnsatisfiable").path(), c.WhenUnsatisfiable, []corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}))
		}
		for _, other := range list[i+1:] {
			if c.TopologyKey == other.TopologyKey && c.WhenUnsatisfiable == other.WhenUnsatisfiable {
				errs = append(errs, field.Duplicate(at.in("{topologyKey, whenUnsatisfiable}").path(), fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable)))
				break
			}
		}
		errs = append(errs, validateMinDomains(c, at.in("minDomains"))...)
		errs = append(errs, inclusion(c.NodeAffinityPolicy, at.in("nodeAffinityPolicy"))...)
		errs = append(errs, inclusion(c.NodeTaintsPolicy, at.in("nodeTaintsPolicy"))...)
		if s.leave.oddSpreadKeys {
			errs = append(errs, validateSpreadKeys(c.MatchLabelKeys, c.LabelSelector, at.in("matchLabelKeys"))...)
		} else {
			errs = append(errs, validateLabelKeys(c.MatchLabelKeys, nil, c.LabelSelector, at)...)
		}
		if !s.leave.oddSpread {
			errs = append(errs, metavalidation.ValidateLabelSelector(c.LabelSelector, metavalidation.LabelSelectorValidationOptions{}, at.in("labelSelector").path())...)
		}
	}
	return errs
}

func validateMinDomains(c *corev1.TopologySpreadConstraint, at place) (errs field.ErrorList) {
	n := c.MinDomains
	if n == nil {
		return nil
	}
	if *n <= 0 {
		errs = append(errs, field.Invalid(at.path(), int64(*n), "must be greater than zero"))
	}
	if c.WhenUnsatisfiable != corev1.DoNotSchedule {
		errs = append(errs, field.Invalid(at.path(), *n, fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s", corev1.DoNotSchedule, c.WhenUnsatisfiable)))
	}
	return errs
}

func inclusion(p *corev1.NodeInclusionPolicy, at place) field.ErrorList {
	if p == nil || *p == corev1.NodeInclusionPolicyHonor || *p == corev1.NodeInclusionPolicyIgnore {
		return nil
	}
	return field.ErrorList{field.NotSupported(at.path(), *p, []corev1.NodeInclusionPolicy{corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore})}
}
