package apps

import (
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// DaemonSet is apps/v1 DaemonSet.
//
// How often its template has changed is counted in an annotation, appsv1.DeprecatedTemplateGeneration, which clients see and cannot change: in
// old versions it was a field.
func DaemonSet() *kinds.Kind {
	gvk := appsv1.SchemeGroupVersion.WithKind("DaemonSet")
	return &kinds.Kind{
		GVK: gvk, Resource: "daemonsets", Singular: "daemonset", ShortNames: []string{"ds"}, Categories: []string{"all"}, Namespaced: true,
		New:     func() kinds.Object { return &appsv1.DaemonSet{} },
		NewList: func() runtime.Object { return &appsv1.DaemonSetList{} },
		Default: defaultDaemonSet, Blank: countTemplates,
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			d := obj.(*appsv1.DaemonSet)
			d.Status, d.Generation = appsv1.DaemonSetStatus{}, 1
			podspec.DropDisabledTemplate(&d.Spec.Template, nil)
			if n, err := templateGeneration(d); err == nil { // Validate refuses the rest
				setTemplateGeneration(d, max(n, 1))
			}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			d, was := obj.(*appsv1.DaemonSet), old.(*appsv1.DaemonSet)
			d.Status = *was.Status.DeepCopy()
			podspec.DropDisabledTemplate(&d.Spec.Template, &was.Spec.Template)
			if changed(d.Spec, was.Spec) {
				d.Generation = was.Generation + 1
			}
			keepTemplateGeneration(d, was)
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) {
				return nil // ValidateUpdate says all
			}
			return validateDaemonSet(obj.(*appsv1.DaemonSet), nil)
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			d, was := obj.(*appsv1.DaemonSet), &old.(*appsv1.DaemonSet).Spec
			errs := validation.ValidateImmutableField(d.Spec.Selector, was.Selector, field.NewPath("spec", "selector"))
			return append(errs, validateDaemonSet(d, was)...)
		},
		Warnings: func(obj, old kinds.Object) []string {
			return podspec.WorkloadWarnings(obj, old, &obj.(*appsv1.DaemonSet).Spec.Template, false, field.NewPath("spec", "template"))
		},
		Columns:      daemonSetColumns(),
		Inner:        []string{appsv1.DeprecatedTemplateGeneration},
		Resets:       []string{"status"},
		Subresources: []kinds.Subresource{{Name: "status", GVK: gvk, Verbs: scaleVerbs[:], Resets: []string{"spec"}, Update: daemonSetStatus}},
	}
}

// templateGeneration is 0 where there is none.
func templateGeneration(d *appsv1.DaemonSet) (int64, error) {
	text, ok := d.Annotations[appsv1.DeprecatedTemplateGeneration]
	if !ok {
		return 0, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

func setTemplateGeneration(d *appsv1.DaemonSet, n int64) {
	d.Annotations = maps.Clone(d.Annotations)
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(n, 10)
}

// keepTemplateGeneration carries the count on, and raises it when the template is another. An annotation that is no number is left for Validate.
func keepTemplateGeneration(d, was *appsv1.DaemonSet) {
	if _, err := templateGeneration(d); err != nil {
		return
	}
	n, err := templateGeneration(was)
	if err != nil {
		return
	}
	if changed(d.Spec.Template, was.Spec.Template) {
		n++
	}
	setTemplateGeneration(d, n)
}

// countTemplates writes the count of the template's changes, which every daemon set shows and whoever sends one comes to own, as upstream.
func countTemplates(obj kinds.Object) {
	d := obj.(*appsv1.DaemonSet)
	if n, err := templateGeneration(d); err == nil {
		setTemplateGeneration(d, n)
	}
}

func defaultDaemonSet(obj kinds.Object) {
	countTemplates(obj)
	s := &obj.(*appsv1.DaemonSet).Spec
	u := &s.UpdateStrategy
	if u.Type == "" {
		u.Type = appsv1.RollingUpdateDaemonSetStrategyType
	}
	if u.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		def(&u.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
		def(&u.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
	}
	if u.RollingUpdate != nil { // with another type too, where upstream knows no unset
		def(&u.RollingUpdate.MaxUnavailable, intstr.FromInt32(0))
		def(&u.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	def(&s.RevisionHistoryLimit, 10)
	podspec.Default(&s.Template.Spec)
}

// validateDaemonSet checks a daemon set. What is odd in was, the specification before, may stay so; was is nil for a new one.
func validateDaemonSet(d *appsv1.DaemonSet, was *appsv1.DaemonSetSpec) (errs field.ErrorList) {
	anyValue, before := false, (*corev1.PodTemplateSpec)(nil)
	if was != nil {
		anyValue, before = metavalidation.LabelSelectorHasInvalidLabelValue(was.Selector), &was.Template
	}
	s, path := &d.Spec, field.NewPath("spec")
	if _, err := templateGeneration(d); err != nil {
		at := field.NewPath("metadata", "annotations").Key(appsv1.DeprecatedTemplateGeneration)
		errs = append(errs, field.Invalid(at, d.Annotations[appsv1.DeprecatedTemplateGeneration], err.Error()))
	}
	at := path.Child("selector")
	errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: anyValue}, at)...)
	if sel, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil && !sel.Matches(labels.Set(s.Template.Labels)) {
		errs = append(errs, field.Invalid(path.Child("template", "metadata", "labels"), s.Template.Labels, "`selector` does not match template `labels`"))
	}
	if s.Selector != nil && len(s.Selector.MatchLabels)+len(s.Selector.MatchExpressions) == 0 {
		errs = append(errs, field.Invalid(at, s.Selector, "empty selector is invalid for daemonset"))
	}
	errs = append(errs, podspec.ValidateTemplate(&s.Template, before, path.Child("template"))...)
	errs = append(errs, alwaysRestarts(&s.Template, "DaemonSet", path.Child("template", "spec"))...)
	errs = append(errs, notNegative(s.MinReadySeconds, path.Child("minReadySeconds"))...)
	errs = append(errs, validateDaemonStrategy(&s.UpdateStrategy, path.Child("updateStrategy"))...)
	if n := s.RevisionHistoryLimit; n != nil {
		errs = append(errs, notNegative(*n, path.Child("revisionHistoryLimit"))...)
	}
	return errs
}

func validateDaemonStrategy(u *appsv1.DaemonSetUpdateStrategy, path *field.Path) (errs field.ErrorList) {
	switch u.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
		return nil
	case appsv1.RollingUpdateDaemonSetStrategyType:
		if u.RollingUpdate == nil {
			return field.ErrorList{field.Required(path.Child("rollingUpdate"), "")}
		}
	default:
		return field.ErrorList{field.NotSupported(path, untagged.Value(u), []appsv1.DaemonSetUpdateStrategyType{appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType})}
	}
	r := u.RollingUpdate
	down, surge := path.Child("rollingUpdate", "maxUnavailable"), path.Child("rollingUpdate", "maxSurge")
	errs = append(errs, intOrPercent(*r.MaxUnavailable, down)...)
	errs = append(errs, intOrPercent(*r.MaxSurge, surge)...)
	errs = append(errs, atMostAll(*r.MaxUnavailable, down)...)
	errs = append(errs, atMostAll(*r.MaxSurge, surge)...)
	switch downs, surges := amount(*r.MaxUnavailable) != 0, amount(*r.MaxSurge) != 0; {
	case downs && surges:
		errs = append(errs, field.Invalid(surge, *r.MaxSurge, "may not be set when maxUnavailable is non-zero"))
	case !downs && !surges:
		errs = append(errs, field.Required(down, "cannot be 0 when maxSurge is 0"))
	}
	return errs
}

func daemonSetStatus(_ kinds.Env, obj, old kinds.Object) (errs field.ErrorList) {
	d, was := obj.(*appsv1.DaemonSet), old.(*appsv1.DaemonSet)
	d.Spec = *was.Spec.DeepCopy()
	if n, err := templateGeneration(was); err == nil {
		setTemplateGeneration(d, n)
	}
	s, path := &d.Status, field.NewPath("status")
	errs = append(errs, countsNotNegative([]count{
		{"currentNumberScheduled", s.CurrentNumberScheduled}, {"numberMisscheduled", s.NumberMisscheduled},
		{"desiredNumberScheduled", s.DesiredNumberScheduled}, {"numberReady", s.NumberReady},
	}, path)...)
	errs = append(errs, validation.ValidateNonnegativeField(s.ObservedGeneration, path.Child("observedGeneration"))...)
	errs = append(errs, countsNotNegative([]count{
		{"updatedNumberScheduled", s.UpdatedNumberScheduled}, {"numberAvailable", s.NumberAvailable}, {"numberUnavailable", s.NumberUnavailable},
	}, path)...)
	if n := s.CollisionCount; n != nil {
		errs = append(errs, notNegative(*n, path.Child("collisionCount"))...)
	}
	return append(errs, collisionsRise(s.CollisionCount, was.Status.CollisionCount, path)...)
}

func daemonSetColumns() []kinds.Column {
	cell := func(name, kind, doc string, priority int32, f func(*appsv1.DaemonSet) any) kinds.Column {
		return kinds.Column{Name: name, Type: kind, Description: doc, Priority: priority, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*appsv1.DaemonSet)) }}
	}
	number := func(name, part string, f func(*appsv1.DaemonSetStatus) int32) kinds.Column {
		return cell(name, "integer", appsv1.DaemonSetStatus{}.SwaggerDoc()[part], 0, func(d *appsv1.DaemonSet) any { return int64(f(&d.Status)) })
	}
	return []kinds.Column{
		kinds.NameColumn(),
		number("Desired", "desiredNumberScheduled", func(s *appsv1.DaemonSetStatus) int32 { return s.DesiredNumberScheduled }),
		number("Current", "currentNumberScheduled", func(s *appsv1.DaemonSetStatus) int32 { return s.CurrentNumberScheduled }),
		number("Ready", "numberReady", func(s *appsv1.DaemonSetStatus) int32 { return s.NumberReady }),
		number("Up-to-date", "updatedNumberScheduled", func(s *appsv1.DaemonSetStatus) int32 { return s.UpdatedNumberScheduled }),
		number("Available", "numberAvailable", func(s *appsv1.DaemonSetStatus) int32 { return s.NumberAvailable }),
		cell("Node Selector", "string", corev1.PodSpec{}.SwaggerDoc()["nodeSelector"], 0, func(d *appsv1.DaemonSet) any {
			return labels.FormatLabels(d.Spec.Template.Spec.NodeSelector)
		}),
		kinds.AgeColumn(),
		cell("Containers", "string", "Names of each container in the template.", 1, func(d *appsv1.DaemonSet) any { return containerNames(&d.Spec.Template) }),
		cell("Images", "string", "Images referenced by each container in the template.", 1, func(d *appsv1.DaemonSet) any { return containerImages(&d.Spec.Template) }),
		cell("Selector", "string", appsv1.DaemonSetSpec{}.SwaggerDoc()["selector"], 1, func(d *appsv1.DaemonSet) any { return selectorText(d.Spec.Selector) }),
	}
}
