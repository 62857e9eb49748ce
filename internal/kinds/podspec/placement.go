package podspec

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
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

func validateAffinity(s *subject, at *field.Path) (errs field.ErrorList) {
	a, lax := s.Affinity, s.leave.oddAffinity
	if a == nil {
		return nil
	}
	if n := a.NodeAffinity; n != nil {
		errs = append(errs, validateNodeAffinity(n, s.leave.oddNodes, at.Child("nodeAffinity"))...)
	}
	if p := a.PodAffinity; p != nil {
		errs = append(errs, validatePodTerms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution, lax, at.Child("podAffinity"))...)
	}
	if p := a.PodAntiAffinity; p != nil {
		errs = append(errs, validatePodTerms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution, lax, at.Child("podAntiAffinity"))...)
	}
	return errs
}

func validateNodeAffinity(a *corev1.NodeAffinity, lax bool, at *field.Path) (errs field.ErrorList) {
	if wanted := a.RequiredDuringSchedulingIgnoredDuringExecution; wanted != nil {
		at := at.Child(required, "nodeSelectorTerms")
		if len(wanted.NodeSelectorTerms) == 0 {
			errs = append(errs, field.Required(at, "must have at least one node selector term"))
		}
		for i, term := range wanted.NodeSelectorTerms {
			errs = append(errs, NodeTerm(term, lax, at.Index(i))...)
		}
	}
	for i, wish := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		at := at.Child(preferred).Index(i)
		errs = append(errs, validateWeight(wish.Weight, at)...)
		errs = append(errs, NodeTerm(wish.Preference, true, at.Child("preference"))...)
	}
	return errs
}

func validateWeight(n int32, at *field.Path) field.ErrorList {
	if n > 0 && n <= 100 {
		return nil
	}
	return field.ErrorList{field.Invalid(at.Child("weight"), n, "must be in the range 1-100")}
}

// NodeTerm checks one alternative of what a node must be. lax lets values stand that no label can have: they are refused where they decide alone, not in
// preferences.
func NodeTerm(term corev1.NodeSelectorTerm, lax bool, at *field.Path) (errs field.ErrorList) {
	for i, e := range term.MatchExpressions {
		at := at.Child("matchExpressions").Index(i)
		errs = append(errs, validateOperator(e, at)...)
		errs = append(errs, metavalidation.ValidateLabelName(e.Key, at.Child("key"))...)
		if lax {
			continue
		}
		for j, v := range e.Values {
			for _, msg := range utilvalidation.IsValidLabelValue(v) {
				errs = append(errs, field.Invalid(at.Child("values").Index(j), v, msg))
			}
		}
	}
	for i, e := range term.MatchFields {
		errs = append(errs, validateNodeField(e, at.Child("matchFields").Index(i))...)
	}
	return errs
}

func validateOperator(e corev1.NodeSelectorRequirement, at *field.Path) field.ErrorList {
	switch n := len(e.Values); e.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if n == 0 {
			return field.ErrorList{field.Required(at.Child("values"), "must be specified when `operator` is 'In' or 'NotIn'")}
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if n > 0 {
			return field.ErrorList{field.Forbidden(at.Child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")}
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if n != 1 {
			return field.ErrorList{field.Required(at.Child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'")}
		}
	default:
		return field.ErrorList{field.Invalid(at.Child("operator"), e.Operator, "not a valid selector operator")}
	}
	return nil
}

// validateNodeField: of a node's fields only its name can be asked for.
func validateNodeField(e corev1.NodeSelectorRequirement, at *field.Path) (errs field.ErrorList) {
	switch e.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(e.Values) != 1 {
			errs = append(errs, field.Required(at.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
		}
	default:
		errs = append(errs, field.Invalid(at.Child("operator"), e.Operator, "not a valid selector operator"))
	}
	if e.Key != metav1.ObjectNameField {
		return append(errs, field.Invalid(at.Child("key"), e.Key, "not a valid field selector key"))
	}
	for i, v := range e.Values {
		for _, msg := range subdomain(v) {
			errs = append(errs, field.Invalid(at.Child("values").Index(i), v, msg))
		}
	}
	return errs
}

func validatePodTerms(hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm, lax bool, at *field.Path) (errs field.ErrorList) {
	for i := range hard {
		errs = append(errs, validatePodTerm(&hard[i], lax, at.Child(required).Index(i))...)
	}
	for i := range soft {
		at := at.Child(preferred).Index(i)
		errs = append(errs, validateWeight(soft[i].Weight, at)...)
		errs = append(errs, validatePodTerm(&soft[i].PodAffinityTerm, lax, at.Child("podAffinityTerm"))...)
	}
	return errs
}

func validatePodTerm(t *corev1.PodAffinityTerm, lax bool, at *field.Path) (errs field.ErrorList) {
	opts := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: lax}
	errs = append(errs, metavalidation.ValidateLabelSelector(t.LabelSelector, opts, at.Child("labelSelector"))...)
	errs = append(errs, metavalidation.ValidateLabelSelector(t.NamespaceSelector, opts, at.Child("namespaceSelector"))...)
	for _, name := range t.Namespaces {
		for _, msg := range validation.ValidateNamespaceName(name, false) {
			errs = append(errs, field.Invalid(at.Child("namespace"), name, msg))
		}
	}
	errs = append(errs, validateLabelKeys(t.MatchLabelKeys, t.MismatchLabelKeys, t.LabelSelector, at)...)
	if t.TopologyKey == "" {
		errs = append(errs, field.Required(at.Child("topologyKey"), "can not be empty"))
	}
	return append(errs, metavalidation.ValidateLabelName(t.TopologyKey, at.Child("topologyKey"))...)
}

// validateLabelKeys checks keys whose values a selector takes from the pod itself. The selector says each key at most once, where the key that creation
// adds to it counts as its own.
func validateLabelKeys(match, mismatch []string, selector *metav1.LabelSelector, at *field.Path) (errs field.ErrorList) {
	for _, part := range []struct {
		name string
		keys []string
	}{{"matchLabelKeys", match}, {"mismatchLabelKeys", mismatch}} {
		at := at.Child(part.name)
		if len(part.keys) > 0 && selector == nil {
			errs = append(errs, field.Forbidden(at, "must not be specified when labelSelector is not set"))
			continue
		}
		for i, key := range part.keys {
			errs = append(errs, metavalidation.ValidateLabelName(key, at.Index(i))...)
		}
	}
	if selector != nil {
		said := sets.KeySet(selector.MatchLabels)
		for _, e := range selector.MatchExpressions {
			for i, key := range match {
				if key == e.Key && said.Has(key) {
					errs = append(errs, field.Invalid(at.Index(i), key, "exists in both matchLabelKeys and labelSelector"))
				}
			}
			said.Insert(e.Key)
		}
	}
	for i, key := range match {
		if sets.New(mismatch...).Has(key) {
			errs = append(errs, field.Invalid(at.Child("matchLabelKeys").Index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys"))
		}
	}
	return errs
}

// validateSpreadKeys is validateLabelKeys for constraints from before creation added their keys to selectors.
func validateSpreadKeys(keys []string, selector *metav1.LabelSelector, at *field.Path) (errs field.ErrorList) {
	if len(keys) == 0 {
		return nil
	}
	said := sets.New[string]()
	if selector == nil {
		errs = append(errs, field.Forbidden(at, "must not be specified when labelSelector is not set"))
	} else {
		said = sets.KeySet(selector.MatchLabels)
		for _, e := range selector.MatchExpressions {
			said.Insert(e.Key)
		}
	}
	for i, key := range keys {
		errs = append(errs, metavalidation.ValidateLabelName(key, at.Index(i))...)
		if said.Has(key) {
			errs = append(errs, field.Invalid(at.Index(i), key, "exists in both matchLabelKeys and labelSelector"))
		}
	}
	return errs
}

func validateSpread(s *subject, at *field.Path) (errs field.ErrorList) {
	list := s.TopologySpreadConstraints
	for i := range list {
		c, at := &list[i], at.Index(i)
		if c.MaxSkew <= 0 {
			errs = append(errs, field.Invalid(at.Child("maxSkew"), int64(c.MaxSkew), "must be greater than zero"))
		}
		if c.TopologyKey == "" {
			errs = append(errs, field.Required(at.Child("topologyKey"), "can not be empty"))
		}
		if c.WhenUnsatisfiable != corev1.DoNotSchedule && c.WhenUnsatisfiable != corev1.ScheduleAnyway {
			errs = append(errs, field.NotSupported(at.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, []corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}))
		}
		for _, other := range list[i+1:] {
			if c.TopologyKey == other.TopologyKey && c.WhenUnsatisfiable == other.WhenUnsatisfiable {
				errs = append(errs, field.Duplicate(at.Child("{topologyKey, whenUnsatisfiable}"), fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable)))
				break
			}
		}
		errs = append(errs, validateMinDomains(c, at.Child("minDomains"))...)
		errs = append(errs, inclusion(c.NodeAffinityPolicy, at.Child("nodeAffinityPolicy"))...)
		errs = append(errs, inclusion(c.NodeTaintsPolicy, at.Child("nodeTaintsPolicy"))...)
		if s.leave.oddSpreadKeys {
			errs = append(errs, validateSpreadKeys(c.MatchLabelKeys, c.LabelSelector, at.Child("matchLabelKeys"))...)
		} else {
			errs = append(errs, validateLabelKeys(c.MatchLabelKeys, nil, c.LabelSelector, at)...)
		}
		if !s.leave.oddSpread {
			errs = append(errs, metavalidation.ValidateLabelSelector(c.LabelSelector, metavalidation.LabelSelectorValidationOptions{}, at.Child("labelSelector"))...)
		}
	}
	return errs
}

func validateMinDomains(c *corev1.TopologySpreadConstraint, at *field.Path) (errs field.ErrorList) {
	n := c.MinDomains
	if n == nil {
		return nil
	}
	if *n <= 0 {
		errs = append(errs, field.Invalid(at, int64(*n), "must be greater than zero"))
	}
	if c.WhenUnsatisfiable != corev1.DoNotSchedule {
		errs = append(errs, field.Invalid(at, *n, fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s", corev1.DoNotSchedule, c.WhenUnsatisfiable)))
	}
	return errs
}

func inclusion(p *corev1.NodeInclusionPolicy, at *field.Path) field.ErrorList {
	if p == nil || *p == corev1.NodeInclusionPolicyHonor || *p == corev1.NodeInclusionPolicyIgnore {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, *p, []corev1.NodeInclusionPolicy{corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore})}
}

// validateTolerations checks a list; comparisons lets it compare numbers.
func validateTolerations(list []corev1.Toleration, comparisons bool, path *field.Path) (errs field.ErrorList) {
	for i, t := range list {
		if at := path.Index(i); comparisons && (t.Operator == corev1.TolerationOpLt || t.Operator == corev1.TolerationOpGt) {
			errs = append(errs, comparison(t, at)...)
		} else {
			errs = append(errs, Toleration(t, at)...)
		}
	}
	return errs
}

// comparison checks a toleration of taints whose value is a number on one side of its own (KEP-5471), which stays where it was there before.
func comparison(t corev1.Toleration, path *field.Path) field.ErrorList {
	value := t.Value
	t.Operator, t.Value = corev1.TolerationOpEqual, ""
	errs := Toleration(t, path)
	for _, msg := range content.IsDecimalInteger(value) {
		errs = append(errs, field.Invalid(path.Child("value"), value, msg))
	}
	if _, err := strconv.ParseInt(value, 10, 64); err != nil {
		errs = append(errs, field.Invalid(path.Child("value"), value, err.Error()))
	}
	return errs
}

// ValidateTolerations checks the tolerations of s, which replaces old.
func ValidateTolerations(s, old *corev1.PodSpec, path *field.Path) field.ErrorList {
	return validateTolerations(s.Tolerations, leaveOf(old).comparisons, path)
}

// Toleration reports what is wrong with one toleration.
func Toleration(t corev1.Toleration, path *field.Path) (errs field.ErrorList) {
	operator, effect := path.Child("operator"), path.Child("effect")
	if t.Key != "" {
		errs = append(errs, metavalidation.ValidateLabelName(t.Key, path.Child("key"))...)
	}
	if t.Key == "" && t.Operator != corev1.TolerationOpExists {
		errs = append(errs, field.Invalid(operator, t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		errs = append(errs, field.Invalid(effect, t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
	}
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		if msgs := utilvalidation.IsValidLabelValue(t.Value); len(msgs) != 0 {
			errs = append(errs, field.Invalid(operator, t.Value, strings.Join(msgs, ";")))
		}
	case corev1.TolerationOpExists:
		if t.Value != "" {
			errs = append(errs, field.Invalid(operator, t.Value, "value must be empty when `operator` is 'Exists'"))
		}
	case corev1.TolerationOpLt, corev1.TolerationOpGt: // behind a gate that is off, and named all the same
		errs = append(errs, field.NotSupported(operator, t.Operator,
			[]corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt}))
	default:
		errs = append(errs, field.NotSupported(operator, t.Operator, []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}))
	}
	if t.Effect != "" {
		errs = append(errs, oneOf(effect, t.Effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
	}
	return errs
}

// Covers says whether toleration a tolerates every taint that b does.
func Covers(a, b corev1.Toleration) bool {
	switch {
	case a.Key != b.Key && (a.Key != "" || a.Operator != corev1.TolerationOpExists):
		return false
	case a.Effect != b.Effect && a.Effect != "":
		return false
	case a.Effect == corev1.TaintEffectNoExecute && a.TolerationSeconds != nil && (b.TolerationSeconds == nil || *b.TolerationSeconds > *a.TolerationSeconds):
		return false
	case a.Operator == corev1.TolerationOpExists:
		return true
	}
	return (a.Operator == corev1.TolerationOpEqual || a.Operator == "") && b.Operator == corev1.TolerationOpEqual && a.Value == b.Value
}
