package batch

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// Bounds that keep the status of an indexed job, which lists indexes, storable.
const (
	maxParallelism   = 100_000
	maxFailedIndexes = 100_000
	// With more completions than manyCompletions and a limit for each index, the two below hold instead.
	manyCompletions      = 100_000
	maxParallelismOfMany = 10_000
	maxFailedOfMany      = 10_000
	maxManagedBy         = 63 // bytes
)

// validateJob checks a job. prefixed: its template must have the labels with a prefix, as all have that were made since there are such.
func validateJob(j *batchv1.Job, was *corev1.PodTemplateSpec, prefixed bool) (errs field.ErrorList) {
	errs = append(errs, validateOwnSelector(j, prefixed)...)
	errs = append(errs, validateSpec(&j.Spec, was, field.NewPath("spec"))...)
	if s := &j.Spec; indexed(s) && s.Completions != nil && *s.Completions > 0 {
		// Each pod's host name is the job's name and its index.
		host := fmt.Sprintf("%s-%d", j.Name, *s.Completions-1)
		if len(utilvalidation.IsDNS1123Label(host)) > 0 {
			errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), j.Name, "will not able to create pod with invalid DNS label: "+host))
		}
	}
	return errs
}

func indexed(s *batchv1.JobSpec) bool {
	return s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion
}

// validateOwnSelector checks what selectByUID made, which labels given by hand may have spoilt.
func validateOwnSelector(j *batchv1.Job, prefixed bool) (errs field.ErrorList) {
	s := &j.Spec
	if s.ManualSelector != nil && *s.ManualSelector || s.Selector == nil {
		return nil
	}
	if j.UID == "" {
		errs = append(errs, field.Required(field.NewPath("metadata", "uid"), ""))
	}
	own := labels.Set{}
	wanted := []struct{ key, value string }{
		{oldControllerUID, string(j.UID)}, {oldJobName, j.Name}, {batchv1.ControllerUidLabel, string(j.UID)}, {batchv1.JobNameLabel, j.Name},
	}
	if !prefixed {
		wanted = wanted[:2]
	}
	for _, want := range wanted {
		own[want.key] = want.value
		at, must := field.NewPath("spec", "template", "metadata", "labels").Key(want.key), fmt.Sprintf("must be '%s'", want.value)
		if value, ok := s.Template.Labels[want.key]; !ok {
			errs = append(errs, field.Required(at, must))
		} else if value != want.value {
			errs = append(errs, field.Invalid(at, s.Template.Labels, must))
		}
	}
	if sel, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil && !sel.Matches(own) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "selector"), s.Selector, "`selector` not auto-generated"))
	}
	return errs
}

// validateSpec checks a job's specification, selector included.
func validateSpec(s *batchv1.JobSpec, was *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := validateTemplateSpec(s, was, path)
	if s.Selector == nil {
		errs = append(errs, field.Required(path.Child("selector"), ""))
	} else {
		errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, path.Child("selector"))...)
	}
	if sel, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil && !sel.Matches(labels.Set(s.Template.Labels)) {
		errs = append(errs, field.Invalid(path.Child("template", "metadata", "labels"), s.Template.Labels, "`selector` does not match template `labels`"))
	}
	return errs
}

// validateTemplateSpec checks what jobs and templates of jobs share: everything but the selector.
func validateTemplateSpec(s *batchv1.JobSpec, was *corev1.PodTemplateSpec, path *field.Path) (errs field.ErrorList) {
	errs = append(errs, notNegative(s.Parallelism, path.Child("parallelism"))...)
	errs = append(errs, notNegative(s.Completions, path.Child("completions"))...)
	errs = append(errs, notNegative(s.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	errs = append(errs, notNegative(s.BackoffLimit, path.Child("backoffLimit"))...)
	errs = append(errs, notNegative(s.TTLSecondsAfterFinished, path.Child("ttlSecondsAfterFinished"))...)
	errs = append(errs, notNegative(s.BackoffLimitPerIndex, path.Child("backoffLimitPerIndex"))...)
	errs = append(errs, notNegative(s.MaxFailedIndexes, path.Child("maxFailedIndexes"))...)
	if s.MaxFailedIndexes != nil && s.BackoffLimitPerIndex == nil {
		errs = append(errs, field.Required(path.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
	}
	if m := s.ManagedBy; m != nil {
		errs = append(errs, utilvalidation.IsDomainPrefixedPath(path.Child("managedBy"), *m)...)
		if len(*m) > maxManagedBy {
			errs = append(errs, field.TooLong(path.Child("managedBy"), "", maxManagedBy))
		}
	}
	errs = append(errs, validateMode(s, path)...)
	if s.PodFailurePolicy != nil {
		errs = append(errs, validateFailurePolicy(s, path.Child("podFailurePolicy", "rules"))...)
	}
	if at := path.Child("successPolicy"); s.SuccessPolicy != nil && indexed(s) {
		errs = append(errs, validateSuccessPolicy(s, at.Child("rules"))...)
	} else if s.SuccessPolicy != nil {
		errs = append(errs, field.Invalid(at, untagged.Value(s.SuccessPolicy), "requires indexed completion mode"))
	}
	errs = append(errs, validateReplacement(s, path.Child("podReplacementPolicy"))...)
	errs = append(errs, podspec.ValidateTemplate(&s.Template, was, path.Child("template"))...)
	return append(errs, validateRestart(s, path.Child("template", "spec", "restartPolicy"))...)
}

func notNegative[T int32 | int64](n *T, path *field.Path) field.ErrorList {
	if n == nil {
		return nil
	}
	return validation.ValidateNonnegativeField(int64(*n), path)
}

// validateMode checks the completion mode and what only an indexed job may have.
func validateMode(s *batchv1.JobSpec, path *field.Path) (errs field.ErrorList) {
	if m := s.CompletionMode; m != nil && *m != batchv1.NonIndexedCompletion && *m != batchv1.IndexedCompletion {
		errs = append(errs, field.NotSupported(path.Child("completionMode"), *m, []batchv1.CompletionMode{batchv1.NonIndexedCompletion, batchv1.IndexedCompletion}))
	}
	if indexed(s) {
		return append(errs, validateIndexed(s, path)...)
	}
	if s.CompletionMode == nil || *s.CompletionMode == batchv1.NonIndexedCompletion {
		const needs = "requires indexed completion mode"
		if n := s.BackoffLimitPerIndex; n != nil {
			errs = append(errs, field.Invalid(path.Child("backoffLimitPerIndex"), *n, needs))
		}
		if n := s.MaxFailedIndexes; n != nil {
			errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *n, needs))
		}
	}
	return errs
}

func validateIndexed(s *batchv1.JobSpec, path *field.Path) (errs field.ErrorList) {
	parallelism, maxFailed := path.Child("parallelism"), path.Child("maxFailedIndexes")
	if s.Completions == nil {
		errs = append(errs, field.Required(path.Child("completions"), "when completion mode is Indexed"))
	}
	if n := s.Parallelism; n != nil && *n > maxParallelism {
		errs = append(errs, field.Invalid(parallelism, *n, fmt.Sprintf("must be less than or equal to %d when completion mode is Indexed", maxParallelism)))
	}
	if n := s.MaxFailedIndexes; n != nil && s.Completions != nil && *n > *s.Completions {
		errs = append(errs, field.Invalid(maxFailed, *n, "must be less than or equal to completions"))
	}
	if n := s.MaxFailedIndexes; n != nil && *n > maxFailedIndexes {
		errs = append(errs, field.Invalid(maxFailed, *n, fmt.Sprintf("must be less than or equal to %d", maxFailedIndexes)))
	}
	if s.Completions == nil || *s.Completions <= manyCompletions || s.BackoffLimitPerIndex == nil {
		return errs
	}
	const within = "must be less than or equal to %d when completions are above %d and used with backoff limit per index"
	if s.MaxFailedIndexes == nil {
		errs = append(errs, field.Required(maxFailed, fmt.Sprintf("must be specified when completions is above %d", manyCompletions)))
	}
	if n := s.Parallelism; n != nil && *n > maxParallelismOfMany {
		errs = append(errs, field.Invalid(parallelism, *n, fmt.Sprintf(within, maxParallelismOfMany, manyCompletions)))
	}
	if n := s.MaxFailedIndexes; n != nil && *n > maxFailedOfMany {
		errs = append(errs, field.Invalid(maxFailed, *n, fmt.Sprintf(within, maxFailedOfMany, manyCompletions)))
	}
	return errs
}

// validateRestart wants pods that end. What is unset has become Always by default, so it counts as missing.
func validateRestart(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	switch p := s.Template.Spec.RestartPolicy; {
	case p == corev1.RestartPolicyAlways || p == "":
		return field.ErrorList{field.Required(path, fmt.Sprintf("valid values: %q, %q", corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever))}
	case p != corev1.RestartPolicyOnFailure && p != corev1.RestartPolicyNever:
		return field.ErrorList{field.NotSupported(path, p, []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever})}
	case s.PodFailurePolicy != nil && p != corev1.RestartPolicyNever:
		return field.ErrorList{field.Invalid(path, p, fmt.Sprintf("only %q is supported when podFailurePolicy is specified", corev1.RestartPolicyNever))}
	}
	return nil
}

// jobWarnings tell of a job that may fail at more indexes than its status can hold, and of its template.
func jobWarnings(obj, old kinds.Object, s *batchv1.JobSpec, path *field.Path) []string {
	const softCompletions, softParallelism = 100_000, 10_000
	list := podspec.WorkloadWarnings(obj, old, &s.Template, true, path.Child("template"))
	many := indexed(s) && s.Completions != nil && *s.Completions > softCompletions && s.Parallelism != nil && *s.Parallelism > softParallelism
	if !many || old != nil && obj.GetGeneration() == old.GetGeneration() {
		return list
	}
	return append(list, path.String()+": In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "+
		"Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
}
