package core

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// PodTemplate is v1 PodTemplate: a template of pods that stands alone. Nothing in the cluster acts on it.
func PodTemplate() *kinds.Kind {
	return &kinds.Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("PodTemplate"), Resource: "podtemplates", Singular: "podtemplate", Namespaced: true,
		New:           func() kinds.Object { return &corev1.PodTemplate{} },
		NewList:       func() runtime.Object { return &corev1.PodTemplateList{} },
		ReturnDeleted: true,
		Default:       func(obj kinds.Object) { defaultTemplate(&obj.(*corev1.PodTemplate).Template) },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			obj.SetGeneration(1)
			podspec.DropDisabledTemplate(&obj.(*corev1.PodTemplate).Template, nil)
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			t, was := &obj.(*corev1.PodTemplate).Template, &old.(*corev1.PodTemplate).Template
			podspec.DropDisabledTemplate(t, was)
			if changed(*t, *was) {
				obj.SetGeneration(old.GetGeneration() + 1)
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if isStored(obj) {
				return nil // ValidateUpdate says all
			}
			return podspec.ValidateTemplate(&obj.(*corev1.PodTemplate).Template, nil, field.NewPath("template"))
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return podspec.ValidateTemplate(&obj.(*corev1.PodTemplate).Template, &old.(*corev1.PodTemplate).Template, field.NewPath("template"))
		},
		Warnings: podTemplateWarnings,
		Columns: []kinds.Column{
			kinds.NameColumn(),
			templateColumn("Containers", "Names of each container in the template.", containerNames),
			templateColumn("Images", "Images referenced by each container in the template.", containerImages),
			templateColumn("Pod Labels", "The labels for the pod template.", func(t *corev1.PodTemplateSpec) string { return labels.FormatLabels(t.Labels) }),
		},
	}
}

func templateColumn(name, doc string, f func(*corev1.PodTemplateSpec) string) kinds.Column {
	return kinds.Column{Name: name, Type: "string", Description: doc, Cell: func(_ kinds.Env, obj kinds.Object) any {
		return f(&obj.(*corev1.PodTemplate).Template)
	}}
}

func containerNames(t *corev1.PodTemplateSpec) string {
	return joined(t, func(c corev1.Container) string { return c.Name })
}

func containerImages(t *corev1.PodTemplateSpec) string {
	return joined(t, func(c corev1.Container) string { return c.Image })
}

func joined(t *corev1.PodTemplateSpec, f func(corev1.Container) string) string {
	var parts []string
	for _, c := range t.Spec.Containers {
		parts = append(parts, f(c))
	}
	return strings.Join(parts, ",")
}

// defaultTemplate fills a template, and drops annotations by which old clients once wrote what has been a field since.
func defaultTemplate(t *corev1.PodTemplateSpec) {
	old := func(k, _ string) bool {
		switch k {
		case "pod.beta.kubernetes.io/init-containers", "pod.alpha.kubernetes.io/init-containers",
			"pod.beta.kubernetes.io/init-container-statuses", "pod.alpha.kubernetes.io/init-container-statuses":
			return true
		}
		return false
	}
	maps.DeleteFunc(t.Annotations, old)
	podspec.Default(&t.Spec)
}
