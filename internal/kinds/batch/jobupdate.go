package batch

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// validateJobAgain checks a job whose pods may have been labelled before labels had a prefix.
func validateJobAgain(obj, old kinds.Object) field.ErrorList {
	t := &old.(*batchv1.Job).Spec.Template
	_, name := t.Labels[batchv1.JobNameLabel]
	_, uid := t.Labels[batchv1.ControllerUidLabel]
	return validateJob(obj.(*batchv1.Job), t, name && uid)
}

// validateJobUpdate checks that what may not change has not. Upstream checks the specification again here, and lists its violations twice.
func validateJobUpdate(obj, old kinds.Object) field.ErrorList {
	j, was := obj.(*batchv1.Job), old.(*batchv1.Job)
	s, o, path := &j.Spec, &was.Spec, field.NewPath("spec")
	errs := validateSpec(s, &o.Template, path)
	errs = append(errs, validateCompletionsChange(s, o, path)...)
	errs = append(errs, validation.ValidateImmutableField(s.Selector, o.Selector, path.Child("selector"))...)
	errs = append(errs, validateTemplateChange(s, was, path)...)
	errs = append(errs, validation.ValidateImmutableField(s.CompletionMode, o.CompletionMode, path.Child("completionMode"))...)
	errs = append(errs, fixed(s.PodFailurePolicy, o.PodFailurePolicy, path.Child("podFailurePolicy"))...)
	errs = append(errs, validation.ValidateImmutableField(s.BackoffLimitPerIndex, o.BackoffLimitPerIndex, path.Child("backoffLimitPerIndex"))...)
	errs = append(errs, validation.ValidateImmutableField(s.ManagedBy, o.ManagedBy, path.Child("managedBy"))...)
	return append(errs, fixed(s.SuccessPolicy, o.SuccessPolicy, path.Child("successPolicy"))...)
}

// fixed is for structs of the group itself, which messages show untagged.
func fixed[T any](now, before *T, path *field.Path) field.ErrorList {
	return fixedAs(untagged.Value(now), equality.Semantic.DeepEqual(now, before), path)
}

func fixedAs(now any, same bool, path *field.Path) field.ErrorList {
	if same {
		return nil
	}
	return field.ErrorList{field.Invalid(path, now, validation.FieldImmutableErrorMsg)}
}

// validateCompletionsChange lets an indexed job be scaled, completions and parallelism as one.
func validateCompletionsChange(s, o *batchv1.JobSpec, path *field.Path) field.ErrorList {
	at := path.Child("completions")
	switch {
	case !indexed(s):
		return validation.ValidateImmutableField(s.Completions, o.Completions, at)
	case s.Completions == nil || equality.Semantic.DeepEqual(s.Completions, o.Completions):
		return nil // none at all is reported elsewhere
	case s.Parallelism == nil || *s.Completions != *s.Parallelism:
		return field.ErrorList{field.Invalid(at, *s.Completions, fmt.Sprintf("can only be modified in tandem with %s", path.Root().Child("parallelism")))}
	}
	return nil
}

// validateTemplateChange lets a job that is suspended and has no pods be told where its pods may run and what they get.
func validateTemplateChange(s *batchv1.JobSpec, was *batchv1.Job, path *field.Path) field.ErrorList {
	suspended := was.Spec.Suspend != nil && *was.Spec.Suspend
	idle := suspended && was.Status.Active == 0 && (was.Status.StartTime == nil || holds(was, batchv1.JobSuspended))
	before := &was.Spec.Template
	if idle {
		before = before.DeepCopy()
		takePlacement(before, &s.Template)
		takeResources(before.Spec.Containers, s.Template.Spec.Containers)
		takeResources(before.Spec.InitContainers, s.Template.Spec.InitContainers)
		return fixedAs(podspec.Shown(&s.Template.Spec), equality.Semantic.DeepEqual(s.Template.Spec, before.Spec), path.Child("template", "spec"))
	}
	return fixedAs(podspec.ShownTemplate(&s.Template), equality.Semantic.DeepEqual(&s.Template, before), path.Child("template"))
}

// takePlacement gives before, which the caller owns, what t says about where pods run, and its labels and annotations.
func takePlacement(before, t *corev1.PodTemplateSpec) {
	switch now, b := t.Spec.Affinity, &before.Spec; {
	case now == nil && b.Affinity != nil:
		b.Affinity.NodeAffinity = nil
		if *b.Affinity == (corev1.Affinity{}) {
			b.Affinity = nil
		}
	case now != nil && b.Affinity == nil:
		b.Affinity = &corev1.Affinity{NodeAffinity: now.NodeAffinity}
	case now != nil:
		b.Affinity.NodeAffinity = now.NodeAffinity
	}
	before.Spec.NodeSelector, before.Spec.Tolerations, before.Spec.SchedulingGates = t.Spec.NodeSelector, t.Spec.Tolerations, t.Spec.SchedulingGates
	before.Annotations, before.Labels = t.Annotations, t.Labels
}

func takeResources(before, now []corev1.Container) {
	if len(before) != len(now) {
		return
	}
	for i := range now {
		if before[i].Name == now[i].Name {
			before[i].Resources = now[i].Resources
		}
	}
}

// holds says whether a job has the condition.
func holds(j *batchv1.Job, t batchv1.JobConditionType) bool {
	return hasStatus(j, t, corev1.ConditionTrue)
}

func hasStatus(j *batchv1.Job, t batchv1.JobConditionType, s corev1.ConditionStatus) bool {
	for _, c := range j.Status.Conditions {
		if c.Type == t && c.Status == s {
			return true
		}
	}
	return false
}
