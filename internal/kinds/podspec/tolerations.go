package podspec

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validate/content"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateTolerations checks a list; comparisons lets it compare numbers.
func validateTolerations(list []corev1.Toleration, comparisons bool, at place) (errs field.ErrorList) {
	for i, t := range list {
		if at := at.nth(i); comparisons && (t.Operator == corev1.TolerationOpLt || t.Operator == corev1.TolerationOpGt) {
			errs = append(errs, comparison(t, at)...)
		} else {
			errs = append(errs, toleration(t, at)...)
		}
	}
	return errs
}

// comparison checks a toleration of taints whose value is a number on one side of its own (KEP-5471), which stays where it was there before.
func comparison(t corev1.Toleration, at place) field.ErrorList {
	value := t.Value
	t.Operator, t.Value = corev1.TolerationOpEqual, ""
	errs := toleration(t, at)
	for _, msg := range content.IsDecimalInteger(value) {
		errs = append(errs, field.Invalid(at.in("value").path(), value, msg))
	}
	if _, err := strconv.ParseInt(value, 10, 64); err != nil {
		errs = append(errs, field.Invalid(at.in("value").path(), value, err.Error()))
	}
	return errs
}

// ValidateTolerations checks the tolerations of s, which replaces old.
func ValidateTolerations(s, old *corev1.PodSpec, path *field.Path) field.ErrorList {
	return validateTolerations(s.Tolerations, leaveOf(old).comparisons, place{up: path})
}

// Toleration reports what is wrong with one toleration.
func Toleration(t corev1.Toleration, path *field.Path) field.ErrorList {
	return toleration(t, place{up: path})
}

func toleration(t corev1.Toleration, at place) (errs field.ErrorList) {
	operator, effect := at.in("operator"), at.in("effect")
	if t.Key != "" {
		errs = append(errs, labelName(t.Key, at.in("key"))...)
	}
	if t.Key == "" && t.Operator != corev1.TolerationOpExists {
		errs = append(errs, field.Invalid(operator.path(), t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		errs = append(errs, field.Invalid(effect.path(), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
	}
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		if msgs := utilvalidation.IsValidLabelValue(t.Value); len(msgs) != 0 {
			errs = append(errs, field.Invalid(operator.path(), t.Value, strings.Join(msgs, ";")))
		}
	case corev1.TolerationOpExists:
		if t.Value != "" {
			errs = append(errs, field.Invalid(operator.path(), t.Value, "value must be empty when `operator` is 'Exists'"))
		}
	case corev1.TolerationOpLt, corev1.TolerationOpGt: // behind a gate that is off, and named all the same
		errs = append(errs, field.NotSupported(operator.path(), t.Operator,
			[]corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt}))
	default:
		errs = append(errs, field.NotSupported(operator.path(), t.Operator, []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}))
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

// MergeTolerations returns what tolerates all that both lists do: their tolerations in order, without those that another covers, and of equal ones the first.
// The result is the caller's, the lists are only read.
func MergeTolerations(first, second []corev1.Toleration) (merged []corev1.Toleration) {
	all := slices.Concat(first, second)
	for i, t := range all {
		kept := slices.ContainsFunc(merged, func(other corev1.Toleration) bool { return covers(other, t) })
		later := slices.ContainsFunc(all[i+1:], func(other corev1.Toleration) bool { return !equality.Semantic.DeepEqual(t, other) && Covers(other, t) })
		if !kept && !later {
			merged = append(merged, *t.DeepCopy())
		}
	}
	return merged
}

// AllCovered says whether each toleration of list is one of those allowed, or covered by one. None allowed: all are.
func AllCovered(list, allowed []corev1.Toleration) bool {
	return len(allowed) == 0 || !slices.ContainsFunc(list, func(t corev1.Toleration) bool {
		return !slices.ContainsFunc(allowed, func(a corev1.Toleration) bool { return covers(a, t) })
	})
}

// covers is Covers, of equal tolerations too.
func covers(a, b corev1.Toleration) bool { return equality.Semantic.DeepEqual(a, b) || Covers(a, b) }

// TolerationsOf reports what is wrong with tolerations that stand in no pod.
func TolerationsOf(list []corev1.Toleration, path *field.Path) field.ErrorList {
	return validateTolerations(list, false, place{up: path})
}
