package batch

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// How many rules, exit codes and conditions a policy may list, and how long (in bytes) a list of indexes may be.
const (
	maxRules         = 20
	maxExitCodes     = 255
	maxConditions    = 20
	maxIndexesLength = 64 << 10
)

// oneOf refuses a value that is none of the allowed, which stand in the order in which the message lists them.
func oneOf[T ~string](value T, path *field.Path, allowed ...T) field.ErrorList {
	switch {
	case value == "":
		return field.ErrorList{field.Required(path, fmt.Sprintf("valid values: %q", allowed))}
	case !slices.Contains(allowed, value):
		return field.ErrorList{field.NotSupported(path, value, allowed)}
	}
	return nil
}

func validateFailurePolicy(s *batchv1.JobSpec, path *field.Path) (errs field.ErrorList) {
	rules := s.PodFailurePolicy.Rules
	if len(rules) > maxRules {
		errs = append(errs, field.TooMany(path, len(rules), maxRules))
	}
	names := sets.New[string]()
	for _, list := range [][]corev1.Container{s.Template.Spec.Containers, s.Template.Spec.InitContainers} {
		for _, c := range list {
			names.Insert(c.Name)
		}
	}
	for i := range rules {
		errs = append(errs, validateFailureRule(&rules[i], s.BackoffLimitPerIndex != nil, names, path.Index(i))...)
	}
	return errs
}

// validateFailureRule checks a rule of a job that has, or has not, a limit for each index.
func validateFailureRule(r *batchv1.PodFailurePolicyRule, perIndex bool, containers sets.Set[string], path *field.Path) (errs field.ErrorList) {
	action := path.Child("action")
	if r.Action == batchv1.PodFailurePolicyActionFailIndex && !perIndex {
		errs = append(errs, field.Invalid(action, r.Action, "requires the backoffLimitPerIndex to be set"))
	} else {
		errs = append(errs, oneOf(r.Action, action, batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex,
			batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore)...)
	}
	if r.OnExitCodes != nil {
		errs = append(errs, validateExitCodes(r.OnExitCodes, containers, path.Child("onExitCodes"))...)
	}
	errs = append(errs, validateConditions(r.OnPodConditions, path.Child("onPodConditions"))...)
	switch codes, conditions := r.OnExitCodes != nil, len(r.OnPodConditions) > 0; {
	case codes && conditions:
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported"))
	case !codes && !conditions:
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required"))
	}
	return errs
}

func validateConditions(list []batchv1.PodFailurePolicyOnPodConditionsPattern, path *field.Path) (errs field.ErrorList) {
	if len(list) > maxConditions {
		errs = append(errs, field.TooMany(path, len(list), maxConditions))
	}
	for i, c := range list {
		at := path.Index(i)
		for _, msg := range utilvalidation.IsQualifiedName(string(c.Type)) {
			errs = append(errs, field.Invalid(at.Child("type"), string(c.Type), msg))
		}
		errs = append(errs, oneOf(c.Status, at.Child("status"), corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown)...)
	}
	return errs
}

func validateExitCodes(c *batchv1.PodFailurePolicyOnExitCodesRequirement, containers sets.Set[string], path *field.Path) field.ErrorList {
	errs := oneOf(c.Operator, path.Child("operator"), batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn)
	if name := c.ContainerName; name != nil && !containers.Has(*name) {
		errs = append(errs, field.Invalid(path.Child("containerName"), *name, "must be one of the container or initContainer names in the pod template"))
	}
	values := path.Child("values")
	if n := len(c.Values); n == 0 {
		errs = append(errs, field.Invalid(values, c.Values, "at least one value is required"))
	} else if n > maxExitCodes {
		errs = append(errs, field.TooMany(values, n, maxExitCodes))
	}
	seen := sets.New[int32]()
	for i, code := range c.Values {
		if code == 0 && c.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
			errs = append(errs, field.Invalid(values.Index(i), code, "must not be 0 for the In operator"))
		}
		if seen.Has(code) {
			errs = append(errs, field.Duplicate(values.Index(i), code))
		}
		seen.Insert(code)
	}
	if !slices.IsSorted(c.Values) {
		errs = append(errs, field.Invalid(values, c.Values, "must be ordered"))
	}
	return errs
}

// validateReplacement checks when pods are replaced. With a failure policy they are judged by how they end, so only then.
func validateReplacement(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	p, allowed := s.PodReplacementPolicy, []batchv1.PodReplacementPolicy{batchv1.Failed, batchv1.TerminatingOrFailed}
	if s.PodFailurePolicy != nil {
		allowed = allowed[:1]
	}
	if p == nil || slices.Contains(allowed, *p) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, *p, allowed)}
}

func validateSuccessPolicy(s *batchv1.JobSpec, path *field.Path) (errs field.ErrorList) {
	rules := s.SuccessPolicy.Rules
	if len(rules) == 0 {
		errs = append(errs, field.Required(path, "at least one rules must be specified when the successPolicy is specified"))
	}
	if len(rules) > maxRules {
		errs = append(errs, field.TooMany(path, len(rules), maxRules))
	}
	var completions int32 // its absence is reported elsewhere
	if s.Completions != nil {
		completions = *s.Completions
	}
	for i := range rules {
		errs = append(errs, validateSuccessRule(&rules[i], completions, path.Index(i))...)
	}
	return errs
}

func validateSuccessRule(r *batchv1.SuccessPolicyRule, completions int32, path *field.Path) (errs field.ErrorList) {
	if r.SucceededCount == nil && r.SucceededIndexes == nil {
		errs = append(errs, field.Required(path, "at least one of succeededCount or succeededIndexes must be specified"))
	}
	var named int32
	if text := r.SucceededIndexes; text != nil {
		at := path.Child("succeededIndexes")
		if len(*text) > maxIndexesLength {
			errs = append(errs, field.TooLong(at, "", maxIndexesLength))
		}
		var err error
		if named, err = parseIndexes(*text, completions); err != nil {
			errs = append(errs, field.Invalid(at, *text, "error parsing succeededIndexes: "+err.Error()))
		}
	}
	n := r.SucceededCount
	if n == nil {
		return errs
	}
	at := path.Child("succeededCount")
	errs = append(errs, notNegative(n, at)...)
	if *n > completions {
		errs = append(errs, field.Invalid(at, *n, fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions)))
	}
	if r.SucceededIndexes != nil && *n > named {
		errs = append(errs, field.Invalid(at, *n, fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", named)))
	}
	return errs
}
