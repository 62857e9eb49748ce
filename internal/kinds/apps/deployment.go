package apps

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

var scaleVerbs = [...]string{"get", "patch", "update"}

// Deployment is apps/v1 Deployment.
func Deployment() *kinds.Kind {
	gvk := appsv1.SchemeGroupVersion.WithKind("Deployment")
	return &kinds.Kind{
		GVK: gvk, Resource: "deployments", Singular: "deployment", ShortNames: []string{"deploy"}, Categories: []string{"all"}, Namespaced: true,
		New:     func() kinds.Object { return &appsv1.Deployment{} },
		NewList: func() runtime.Object { return &appsv1.DeploymentList{} },
		Default: defaultDeployment,
		Blank:   func(obj kinds.Object) { def(&obj.(*appsv1.Deployment).Spec.Replicas, 0) },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			d := obj.(*appsv1.Deployment)
			d.Status, d.Generation = appsv1.DeploymentStatus{}, 1
			podspec.DropDisabledTemplate(&d.Spec.Template, nil)
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			d, was := obj.(*appsv1.Deployment), old.(*appsv1.Deployment)
			d.Status = *was.Status.DeepCopy()
			podspec.DropDisabledTemplate(&d.Spec.Template, &was.Spec.Template)
			bump(d, was, d.Spec, was.Spec)
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) {
				return nil // ValidateUpdate says all
			}
			return validateDeployment(obj, nil)
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			s, was := obj.(*appsv1.Deployment).Spec.Selector, &old.(*appsv1.Deployment).Spec
			errs := validateDeployment(obj, &was.Template)
			return append(errs, validation.ValidateImmutableField(s, was.Selector, field.NewPath("spec", "selector"))...)
		},
		Warnings: func(obj, old kinds.Object) []string {
			return podspec.WorkloadWarnings(obj, old, &obj.(*appsv1.Deployment).Spec.Template, true, field.NewPath("spec", "template"))
		},
		Columns: deploymentColumns(),
		Resets:  []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "scale", GVK: autoscalingv1.SchemeGroupVersion.WithKind("Scale"), Verbs: scaleVerbs[:], New: func() runtime.Object { return &autoscalingv1.Scale{} }, Scale: &kinds.Scale{
				Read: func(obj kinds.Object) (int32, int32, string) {
					d := obj.(*appsv1.Deployment)
					return replicas(d.Spec.Replicas), d.Status.Replicas, podspec.Selector(d.Spec.Selector)
				},
				Write: func(obj kinds.Object, want int32) { obj.(*appsv1.Deployment).Spec.Replicas = &want },
			}},
			{Name: "status", GVK: gvk, Verbs: scaleVerbs[:], Resets: []string{"spec", "metadata.labels"}, Update: deploymentStatus},
		},
	}
}

func defaultDeployment(obj kinds.Object) {
	s := &obj.(*appsv1.Deployment).Spec
	set := func(p **int32, v int32) {
		if *p == nil {
			*p = &v
		}
	}
	set(&s.Replicas, 1)
	set(&s.RevisionHistoryLimit, 10)
	set(&s.ProgressDeadlineSeconds, 600)
	podspec.Default(&s.Template.Spec)
	if s.Strategy.Type == "" {
		s.Strategy.Type = appsv1.RollingUpdateDeploymentStrategyType
	}
	if s.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType {
		return
	}
	if s.Strategy.RollingUpdate == nil {
		s.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
	}
	for _, p := range []**intstr.IntOrString{&s.Strategy.RollingUpdate.MaxUnavailable, &s.Strategy.RollingUpdate.MaxSurge} {
		if *p == nil {
			quarter := intstr.FromString("25%")
			*p = &quarter
		}
	}
}

// validateDeployment checks a deployment; was is its template before, nil for a new one.
func validateDeployment(obj kinds.Object, was *corev1.PodTemplateSpec) (errs field.ErrorList) {
	s, path := &obj.(*appsv1.Deployment).Spec, field.NewPath("spec")
	errs = append(errs, notNegative(replicas(s.Replicas), path.Child("replicas"))...)
	errs = append(errs, validateSelector(s.Selector, &s.Template, was, path, "empty selector is invalid for deployment")...)
	errs = append(errs, validateStrategy(&s.Strategy, path.Child("strategy"))...)
	errs = append(errs, notNegative(s.MinReadySeconds, path.Child("minReadySeconds"))...)
	if n := s.RevisionHistoryLimit; n != nil {
		errs = append(errs, notNegative(*n, path.Child("revisionHistoryLimit"))...)
	}
	if n := s.ProgressDeadlineSeconds; n != nil {
		errs = append(errs, notNegative(*n, path.Child("progressDeadlineSeconds"))...)
		if *n <= s.MinReadySeconds {
			errs = append(errs, field.Invalid(path.Child("progressDeadlineSeconds"), *n, "must be greater than minReadySeconds"))
		}
	}
	return errs
}

func validateStrategy(s *appsv1.DeploymentStrategy, path *field.Path) (errs field.ErrorList) {
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if s.RollingUpdate != nil {
			errs = append(errs, field.Forbidden(path.Child("rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'"))
		}
	case appsv1.RollingUpdateDeploymentStrategyType:
		if s.RollingUpdate == nil {
			return field.ErrorList{field.Required(path.Child("rollingUpdate"), "this should be defaulted and never be nil")}
		}
		errs = append(errs, validateRolling(s.RollingUpdate, path.Child("rollingUpdate"))...)
	default:
		errs = append(errs, field.NotSupported(path, untagged.Value(s), []appsv1.DeploymentStrategyType{appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType}))
	}
	return errs
}

func validateRolling(r *appsv1.RollingUpdateDeployment, path *field.Path) (errs field.ErrorList) {
	surge, down := path.Child("maxSurge"), path.Child("maxUnavailable")
	errs = append(errs, intOrPercent(*r.MaxUnavailable, down)...)
	errs = append(errs, intOrPercent(*r.MaxSurge, surge)...)
	if amount(*r.MaxUnavailable) == 0 && amount(*r.MaxSurge) == 0 {
		errs = append(errs, field.Invalid(down, r.MaxUnavailable, "may not be 0 when `maxSurge` is 0"))
	}
	return append(errs, atMostAll(*r.MaxUnavailable, down)...)
}

func intOrPercent(v intstr.IntOrString, path *field.Path) (errs field.ErrorList) {
	if v.Type == intstr.Int {
		return notNegative(v.IntVal, path)
	}
	for _, msg := range utilvalidation.IsValidPercent(v.StrVal) {
		errs = append(errs, field.Invalid(path, v, msg))
	}
	return errs
}

// amount is the number in 3, "25%" or "3", which is no share but is read as upstream reads it; 0 when there is none.
func amount(v intstr.IntOrString) int {
	if v.Type == intstr.String && len(utilvalidation.IsValidPercent(v.StrVal)) == 0 {
		v.StrVal = strings.TrimSuffix(v.StrVal, "%")
	}
	return v.IntValue()
}

func deploymentStatus(_ kinds.Env, obj, old kinds.Object) (errs field.ErrorList) {
	d, was := obj.(*appsv1.Deployment), old.(*appsv1.Deployment)
	d.Spec, d.Labels = *was.Spec.DeepCopy(), was.Labels
	s, path := d.Status, field.NewPath("status")
	errs = append(errs, validation.ValidateNonnegativeField(s.ObservedGeneration, path.Child("observedGeneration"))...)
	counts := []count{
		{"replicas", s.Replicas}, {"updatedReplicas", s.UpdatedReplicas}, {"readyReplicas", s.ReadyReplicas},
		{"availableReplicas", s.AvailableReplicas}, {"unavailableReplicas", s.UnavailableReplicas},
	}
	if n := s.TerminatingReplicas; n != nil {
		counts = append(counts, count{"terminatingReplicas", *n})
	}
	if n := s.CollisionCount; n != nil {
		counts = append(counts, count{"collisionCount", *n})
	}
	errs = append(errs, countsNotNegative(counts, path)...)
	errs = append(errs, countsWithin(s.Replicas, s.ReadyReplicas, s.AvailableReplicas, counts[1:4], path)...)
	if before := was.Status.CollisionCount; before != nil {
		now := int32(0)
		if s.CollisionCount != nil {
			now = *s.CollisionCount
		}
		if s.CollisionCount == nil || now < *before {
			errs = append(errs, field.Invalid(path.Child("collisionCount"), now, "cannot be decremented"))
		}
	}
	return errs
}

func deploymentColumns() []kinds.Column {
	cell := func(name, kind, doc string, priority int32, f func(*appsv1.Deployment) any) kinds.Column {
		return kinds.Column{Name: name, Type: kind, Description: doc, Priority: priority, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*appsv1.Deployment)) }}
	}
	status := appsv1.DeploymentStatus{}.SwaggerDoc()
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Ready", "string", "Number of the pod with ready state", 0, func(d *appsv1.Deployment) any {
			return fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, replicas(d.Spec.Replicas))
		}),
		cell("Up-to-date", "string", status["updatedReplicas"], 0, func(d *appsv1.Deployment) any { return int64(d.Status.UpdatedReplicas) }),
		cell("Available", "string", status["availableReplicas"], 0, func(d *appsv1.Deployment) any { return int64(d.Status.AvailableReplicas) }),
		kinds.AgeColumn(),
		cell("Containers", "string", "Names of each container in the template.", 1, func(d *appsv1.Deployment) any { return containerNames(&d.Spec.Template) }),
		cell("Images", "string", "Images referenced by each container in the template.", 1, func(d *appsv1.Deployment) any { return containerImages(&d.Spec.Template) }),
		cell("Selector", "string", appsv1.DeploymentSpec{}.SwaggerDoc()["selector"], 1, func(d *appsv1.Deployment) any { return selectorText(d.Spec.Selector) }),
	}
}
