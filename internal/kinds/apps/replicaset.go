package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// ReplicaSet is apps/v1 ReplicaSet.
func ReplicaSet() *kinds.Kind {
	gvk := appsv1.SchemeGroupVersion.WithKind("ReplicaSet")
	return &kinds.Kind{
		GVK: gvk, Adopted: true, Resource: "replicasets", Singular: "replicaset", ShortNames: []string{"rs"}, Categories: []string{"all"}, Namespaced: true,
		New:     func() kinds.Object { return &appsv1.ReplicaSet{} },
		NewList: func() runtime.Object { return &appsv1.ReplicaSetList{} },
		Blank:   func(obj kinds.Object) { def(&obj.(*appsv1.ReplicaSet).Spec.Replicas, 0) },
		Default: func(obj kinds.Object) {
			s := &obj.(*appsv1.ReplicaSet).Spec
			if s.Replicas == nil {
				one := int32(1)
				s.Replicas = &one
			}
			podspec.Default(&s.Template.Spec)
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			rs := obj.(*appsv1.ReplicaSet)
			rs.Status, rs.Generation = appsv1.ReplicaSetStatus{}, 1
			podspec.DropDisabledTemplate(&rs.Spec.Template, nil)
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			rs, was := obj.(*appsv1.ReplicaSet), old.(*appsv1.ReplicaSet)
			rs.Status = *was.Status.DeepCopy()
			podspec.DropDisabledTemplate(&rs.Spec.Template, &was.Spec.Template)
			if changed(rs.Spec, was.Spec) {
				rs.Generation++
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) {
				return nil // ValidateUpdate says all
			}
			return validateReplicaSet(&obj.(*appsv1.ReplicaSet).Spec, nil, field.NewPath("spec"))
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			s, was, path := &obj.(*appsv1.ReplicaSet).Spec, &old.(*appsv1.ReplicaSet).Spec, field.NewPath("spec")
			errs := validateReplicaSet(s, &was.Template, path)
			return append(errs, validation.ValidateImmutableField(s.Selector, was.Selector, path.Child("selector"))...)
		},
		Warnings: func(obj, old kinds.Object) []string {
			return podspec.WorkloadWarnings(obj, old, &obj.(*appsv1.ReplicaSet).Spec.Template, true, field.NewPath("spec", "template"))
		},
		Columns: replicaSetColumns(),
		Resets:  []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "scale", GVK: autoscalingv1.SchemeGroupVersion.WithKind("Scale"), Verbs: scaleVerbs[:], New: func() runtime.Object { return &autoscalingv1.Scale{} }, Scale: &kinds.Scale{
				Read: func(obj kinds.Object) (int32, int32, string) {
					rs := obj.(*appsv1.ReplicaSet)
					return replicas(rs.Spec.Replicas), rs.Status.Replicas, podspec.Selector(rs.Spec.Selector)
				},
				Write: func(obj kinds.Object, want int32) { obj.(*appsv1.ReplicaSet).Spec.Replicas = &want },
			}},
			{Name: "status", GVK: gvk, Verbs: scaleVerbs[:], Resets: []string{"spec"}, Update: replicaSetStatus},
		},
	}
}

func replicaSetStatus(_ kinds.Env, obj, old kinds.Object) (errs field.ErrorList) {
	rs, was := obj.(*appsv1.ReplicaSet), old.(*appsv1.ReplicaSet)
	rs.Spec = *was.Spec.DeepCopy()
	s, path := rs.Status, field.NewPath("status")
	counts := []count{
		{"replicas", s.Replicas}, {"fullyLabeledReplicas", s.FullyLabeledReplicas}, {"readyReplicas", s.ReadyReplicas}, {"availableReplicas", s.AvailableReplicas},
	}
	errs = append(errs, countsNotNegative(counts, path)...)
	errs = append(errs, validation.ValidateNonnegativeField(s.ObservedGeneration, path.Child("observedGeneration"))...)
	if n := s.TerminatingReplicas; n != nil {
		errs = append(errs, notNegative(*n, path.Child("terminatingReplicas"))...)
	}
	return append(errs, countsWithin(s.Replicas, s.ReadyReplicas, s.AvailableReplicas, counts[1:], path)...)
}

func replicaSetColumns() []kinds.Column {
	cell := func(name, kind, doc string, priority int32, f func(*appsv1.ReplicaSet) any) kinds.Column {
		return kinds.Column{Name: name, Type: kind, Description: doc, Priority: priority, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*appsv1.ReplicaSet)) }}
	}
	spec, status := appsv1.ReplicaSetSpec{}.SwaggerDoc(), appsv1.ReplicaSetStatus{}.SwaggerDoc()
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Desired", "integer", spec["replicas"], 0, func(rs *appsv1.ReplicaSet) any { return int64(replicas(rs.Spec.Replicas)) }),
		cell("Current", "integer", status["replicas"], 0, func(rs *appsv1.ReplicaSet) any { return int64(rs.Status.Replicas) }),
		cell("Ready", "integer", status["readyReplicas"], 0, func(rs *appsv1.ReplicaSet) any { return int64(rs.Status.ReadyReplicas) }),
		kinds.AgeColumn(),
		cell("Containers", "string", "Names of each container in the template.", 1, func(rs *appsv1.ReplicaSet) any { return containerNames(&rs.Spec.Template) }),
		cell("Images", "string", "Images referenced by each container in the template.", 1, func(rs *appsv1.ReplicaSet) any { return containerImages(&rs.Spec.Template) }),
		cell("Selector", "string", spec["selector"], 1, func(rs *appsv1.ReplicaSet) any { return selectorText(rs.Spec.Selector) }),
	}
}

// validateReplicaSet checks a set; was is its template before, nil for a new one.
func validateReplicaSet(s *appsv1.ReplicaSetSpec, was *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := notNegative(replicas(s.Replicas), path.Child("replicas"))
	errs = append(errs, notNegative(s.MinReadySeconds, path.Child("minReadySeconds"))...)
	return append(errs, validateSelector(s.Selector, &s.Template, was, path, "empty selector is invalid for deployment")...)
}
