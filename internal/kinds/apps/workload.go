package apps

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

func changed(a, b any) bool { return !equality.Semantic.DeepEqual(a, b) }

// isNew tells an object that is being made from one that replaces another: only that has a version, when it is validated. Kinds whose rules for
// the two differ in more than additions ask it in Validate, and have ValidateUpdate say all about an update, in upstream's order.
func isNew(obj kinds.Object) bool { return obj.GetResourceVersion() == "" }

// bump raises the generation when what is wanted has changed.
func bump(obj, old kinds.Object, spec, was any) {
	if changed(spec, was) || changed(obj.GetAnnotations(), old.GetAnnotations()) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
}

// validateSelector checks a workload's selector, and that it chooses the pods of its own template. was is the template before, nil for a new workload.
func validateSelector(s *metav1.LabelSelector, template, was *corev1.PodTemplateSpec, path *field.Path, empty string) (errs field.ErrorList) {
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
	return append(errs, podspec.ValidateLasting(template, was, "ReplicaSet", path.Child("template"))...)
}

// alwaysRestarts wants a template of pods that never end by themselves; kind is the workload's, for the message.
func alwaysRestarts(t *corev1.PodTemplateSpec, kind string, path *field.Path) (errs field.ErrorList) {
	if p := t.Spec.RestartPolicy; p != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(path.Child("restartPolicy"), p, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if t.Spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(path.Child("activeDeadlineSeconds"), "activeDeadlineSeconds in "+kind+" is not Supported"))
	}
	return errs
}

// atMostAll refuses a share of more than all pods. What is no share at all is refused elsewhere.
func atMostAll(v intstr.IntOrString, path *field.Path) field.ErrorList {
	if v.Type == intstr.String && len(utilvalidation.IsValidPercent(v.StrVal)) == 0 && amount(v) > 100 {
		return field.ErrorList{field.Invalid(path, v, "must not be greater than 100%")}
	}
	return nil
}

// collisionsRise refuses a count of collisions that has gone, or become less.
func collisionsRise(now, before *int32, path *field.Path) field.ErrorList {
	n := int32(0)
	if now != nil {
		n = *now
	}
	if before == nil || now != nil && n >= *before {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("collisionCount"), n, "cannot be decremented")}
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

// def sets *p to v when nothing is there.
func def[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
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
