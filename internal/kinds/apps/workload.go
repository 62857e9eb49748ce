package apps

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

func changed(a, b any) bool { return !equality.Semantic.DeepEqual(a, b) }

// bump raises the generation when what is wanted has changed.
func bump(obj, old kinds.Object, spec, was any) {
	if changed(spec, was) || changed(obj.GetAnnotations(), old.GetAnnotations()) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
}

// validateSelector checks a workload's selector, and that it chooses the pods of its own template.
func validateSelector(s *metav1.LabelSelector, template *corev1.PodTemplateSpec, path *field.Path, empty string) (errs field.ErrorList) {
	if s == nil {
		errs = append(errs, field.Required(path.Child("selector"), ""))
	} else {
		errs = append(errs, metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path.Child("selector"))...)
		if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
			errs = append(errs, field.Invalid(path.Child("selector"), s, empty))
		}
	}
	sel, err := metav1.LabelSelectorAsSelector(s)
	switch {
	case err != nil:
		errs = append(errs, field.Invalid(path.Child("selector"), s, "invalid label selector"))
	case !sel.Empty() && !sel.Matches(labels.Set(template.Labels)):
		errs = append(errs, field.Invalid(path.Child("template", "metadata", "labels"), template.Labels, "`selector` does not match template `labels`"))
	}
	return append(errs, podspec.Template(template, path.Child("template"))...)
}

func notNegative(n int32, path *field.Path) field.ErrorList {
	return validation.ValidateNonnegativeField(int64(n), path)
}

// count is a number of a status, by its field.
type count struct {
	name string
	n    int32
}

// countsNotNegative and countsWithin check the counts of a status in the order given, so that an answer reads the same each time.
func countsNotNegative(list []count, path *field.Path) (errs field.ErrorList) {
	for _, c := range list {
		errs = append(errs, notNegative(c.n, path.Child(c.name))...)
	}
	return errs
}

func countsWithin(replicas, ready, available int32, list []count, path *field.Path) (errs field.ErrorList) {
	for _, c := range list {
		if c.n > replicas {
			errs = append(errs, field.Invalid(path.Child(c.name), c.n, "cannot be greater than status.replicas"))
		}
	}
	if available > ready {
		errs = append(errs, field.Invalid(path.Child("availableReplicas"), available, "cannot be greater than readyReplicas"))
	}
	return errs
}

func replicas(p *int32) int32 {
	if p == nil {
		return 1
	}
	return *p
}

// Cells of the wide columns that all workloads have.

func containerNames(t *corev1.PodTemplateSpec) string {
	var names []string
	for _, c := range t.Spec.Containers {
		names = append(names, c.Name)
	}
	return strings.Join(names, ",")
}

func containerImages(t *corev1.PodTemplateSpec) string {
	var images []string
	for _, c := range t.Spec.Containers {
		images = append(images, c.Image)
	}
	return strings.Join(images, ",")
}

func selectorText(s *metav1.LabelSelector) string { return metav1.FormatLabelSelector(s) }
