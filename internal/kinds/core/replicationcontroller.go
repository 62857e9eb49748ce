package core

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// nonConvertible begins annotations that say what of a controller no other version could hold, and so may not change.
const nonConvertible = "non-convertible.kubernetes.io"

// ReplicationController is v1 ReplicationController, what replica sets were before there were any.
func ReplicationController() *kinds.Kind {
	gvk, verbs := corev1.SchemeGroupVersion.WithKind("ReplicationController"), []string{"get", "patch", "update"}
	return &kinds.Kind{
		GVK: gvk, Resource: "replicationcontrollers", Singular: "replicationcontroller", ShortNames: []string{"rc"}, Categories: []string{"all"}, Namespaced: true, Dependents: kinds.DependentsOrphaned,
		Storage: "controllers", ValidName: controllerName,
		New:     func() kinds.Object { return &corev1.ReplicationController{} },
		NewList: func() runtime.Object { return &corev1.ReplicationControllerList{} },
		Default: defaultController,
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			rc := obj.(*corev1.ReplicationController)
			rc.Status, rc.Generation = corev1.ReplicationControllerStatus{}, 1
			if t := rc.Spec.Template; t != nil {
				podspec.DropDisabledTemplate(t, nil)
			}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			rc, was := obj.(*corev1.ReplicationController), old.(*corev1.ReplicationController)
			rc.Status = *was.Status.DeepCopy()
			if t := rc.Spec.Template; t != nil {
				podspec.DropDisabledTemplate(t, was.Spec.Template)
			}
			if changed(rc.Spec, was.Spec) {
				rc.Generation = was.Generation + 1
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if isStored(obj) {
				return nil // ValidateUpdate says all
			}
			return validateController(&obj.(*corev1.ReplicationController).Spec, nil, field.NewPath("spec"))
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			rc, was := obj.(*corev1.ReplicationController), old.(*corev1.ReplicationController)
			return append(validateController(&rc.Spec, was.Spec.Template, field.NewPath("spec")), validateConvertible(rc, was)...)
		},
		Warnings: controllerWarnings,
		Columns:  controllerColumns(),
		Fields: func(obj kinds.Object) fields.Set {
			return fields.Set{"status.replicas": strconv.Itoa(int(obj.(*corev1.ReplicationController).Status.Replicas))}
		},
		Resets: []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "scale", GVK: autoscalingv1.SchemeGroupVersion.WithKind("Scale"), Verbs: verbs, New: func() runtime.Object { return &autoscalingv1.Scale{} }, Scale: &kinds.Scale{
				Read: func(obj kinds.Object) (int32, int32, string) {
					rc := obj.(*corev1.ReplicationController)
					return wanted(rc), rc.Status.Replicas, labels.SelectorFromSet(rc.Spec.Selector).String()
				},
				Write: func(obj kinds.Object, want int32) { obj.(*corev1.ReplicationController).Spec.Replicas = &want },
			}},
			{Name: "status", GVK: gvk, Verbs: verbs, Resets: []string{"spec"}, Update: controllerStatus},
		},
	}
}

// controllerName holds names to the rules of a DNS subdomain, in the words of upstream's declared validation, which judges a prefix by what is made of it.
func controllerName(name string, prefix bool) []string {
	if prefix {
		return nil
	}
	return content.IsDNS1123Subdomain(name)
}

// defaultController lets the template's labels be the selector, and the controller's own labels, where there are none.
func defaultController(obj kinds.Object) {
	rc := obj.(*corev1.ReplicationController)
	if t := rc.Spec.Template; t != nil {
		if len(rc.Spec.Selector) == 0 && t.Labels != nil {
			rc.Spec.Selector = maps.Clone(t.Labels)
		}
		if len(rc.Labels) == 0 && t.Labels != nil {
			rc.Labels = maps.Clone(t.Labels)
		}
		defaultTemplate(t)
	}
	if rc.Spec.Replicas == nil {
		one := int32(1)
		rc.Spec.Replicas = &one
	}
}

func wanted(rc *corev1.ReplicationController) int32 {
	if rc.Spec.Replicas == nil {
		return 0
	}
	return *rc.Spec.Replicas
}

// validateController checks a specification; was is its template before, nil when there is none.
func validateController(s *corev1.ReplicationControllerSpec, was *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := validation.ValidateNonnegativeField(int64(s.MinReadySeconds), path.Child("minReadySeconds"))
	if len(s.Selector) == 0 {
		errs = append(errs, field.Required(path.Child("selector"), ""))
	}
	if s.Replicas == nil {
		errs = append(errs, field.Required(path.Child("replicas"), ""))
	} else {
		errs = append(errs, validation.ValidateNonnegativeField(int64(*s.Replicas), path.Child("replicas"))...)
	}
	t, at := s.Template, path.Child("template")
	if t == nil {
		return append(errs, field.Required(at, ""))
	}
	if !labels.SelectorFromSet(s.Selector).Matches(labels.Set(t.Labels)) {
		errs = append(errs, field.Invalid(at.Child("metadata", "labels"), t.Labels, "`selector` does not match template `labels`"))
	}
	return append(errs, podspec.ValidateLasting(t, was, "ReplicationController", at)...)
}

func validateConvertible(rc, was *corev1.ReplicationController) (errs field.ErrorList) {
	for _, key := range slices.Sorted(maps.Keys(was.Annotations)) {
		parts := strings.Split(key, "/")
		if !strings.HasPrefix(key, nonConvertible) || len(parts) != 2 {
			continue
		}
		if !strings.Contains(parts[1], "selector") {
			errs = append(errs, &field.Error{Type: field.ErrorTypeNotFound, BadValue: was.Annotations[key], Field: parts[1], Detail: "unknown non-convertible field"})
		} else if changed(was.Spec.Selector, rc.Spec.Selector) {
			errs = append(errs, field.Invalid(field.NewPath("spec", "selector"), rc.Spec.Selector, "cannot update non-convertible selector"))
		}
	}
	return errs
}

func controllerStatus(_ kinds.Env, obj, old kinds.Object) (errs field.ErrorList) {
	rc := obj.(*corev1.ReplicationController)
	rc.Spec = *old.(*corev1.ReplicationController).Spec.DeepCopy()
	s, path := rc.Status, field.NewPath("status")
	counts := []struct {
		name string
		n    int32
	}{{"replicas", s.Replicas}, {"fullyLabeledReplicas", s.FullyLabeledReplicas}, {"readyReplicas", s.ReadyReplicas}, {"availableReplicas", s.AvailableReplicas}}
	for _, c := range counts {
		errs = append(errs, validation.ValidateNonnegativeField(int64(c.n), path.Child(c.name))...)
	}
	errs = append(errs, validation.ValidateNonnegativeField(s.ObservedGeneration, path.Child("observedGeneration"))...)
	for _, c := range counts[1:] {
		if c.n > s.Replicas {
			errs = append(errs, field.Invalid(path.Child(c.name), c.n, "cannot be greater than status.replicas"))
		}
	}
	if s.AvailableReplicas > s.ReadyReplicas {
		errs = append(errs, field.Invalid(path.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than readyReplicas"))
	}
	return errs
}

func controllerColumns() []kinds.Column {
	cell := func(name, kind, doc string, priority int32, f func(*corev1.ReplicationController) any) kinds.Column {
		return kinds.Column{Name: name, Type: kind, Description: doc, Priority: priority, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*corev1.ReplicationController)) }}
	}
	template := func(f func(*corev1.PodTemplateSpec) string) func(*corev1.ReplicationController) any {
		return func(rc *corev1.ReplicationController) any {
			if rc.Spec.Template == nil {
				return ""
			}
			return f(rc.Spec.Template)
		}
	}
	spec, status := corev1.ReplicationControllerSpec{}.SwaggerDoc(), corev1.ReplicationControllerStatus{}.SwaggerDoc()
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Desired", "integer", spec["replicas"], 0, func(rc *corev1.ReplicationController) any { return int64(wanted(rc)) }),
		cell("Current", "integer", status["replicas"], 0, func(rc *corev1.ReplicationController) any { return int64(rc.Status.Replicas) }),
		cell("Ready", "integer", status["readyReplicas"], 0, func(rc *corev1.ReplicationController) any { return int64(rc.Status.ReadyReplicas) }),
		kinds.AgeColumn(),
		cell("Containers", "string", "Names of each container in the template.", 1, template(containerNames)),
		cell("Images", "string", "Images referenced by each container in the template.", 1, template(containerImages)),
		cell("Selector", "string", spec["selector"], 1, func(rc *corev1.ReplicationController) any { return labels.FormatLabels(rc.Spec.Selector) }),
	}
}
