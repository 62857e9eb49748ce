package apps

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// StatefulSet is apps/v1 StatefulSet.
func StatefulSet() *kinds.Kind {
	gvk := appsv1.SchemeGroupVersion.WithKind("StatefulSet")
	return &kinds.Kind{
		GVK: gvk, Resource: "statefulsets", Singular: "statefulset", ShortNames: []string{"sts"}, Categories: []string{"all"}, Namespaced: true,
		New:       func() kinds.Object { return &appsv1.StatefulSet{} },
		NewList:   func() runtime.Object { return &appsv1.StatefulSetList{} },
		ValidName: validation.NameIsDNSLabel, // pods' host names begin with it
		Default:   defaultStatefulSet,
		Complete:  typeClaims,
		Blank:     func(obj kinds.Object) { def(&obj.(*appsv1.StatefulSet).Spec.Replicas, 0) },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			s := obj.(*appsv1.StatefulSet)
			s.Status, s.Generation = appsv1.StatefulSetStatus{}, 1
			podspec.DropDisabledTemplate(&s.Spec.Template, nil)
			dropMaxUnavailable(s, &appsv1.StatefulSet{})
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			s, was := obj.(*appsv1.StatefulSet), old.(*appsv1.StatefulSet)
			s.Status = *was.Status.DeepCopy()
			podspec.DropDisabledTemplate(&s.Spec.Template, &was.Spec.Template)
			dropMaxUnavailable(s, was)
			if changed(s.Spec, was.Spec) {
				s.Generation = was.Generation + 1
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) {
				return nil // validateStatefulSetUpdate says all
			}
			return validateStatefulSet(&obj.(*appsv1.StatefulSet).Spec, nil, all, field.NewPath("spec"))
		},
		ValidateUpdate: validateStatefulSetUpdate,
		Warnings:       statefulSetWarnings,
		Columns:        statefulSetColumns(),
		Resets:         []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "scale", GVK: autoscalingv1.SchemeGroupVersion.WithKind("Scale"), Verbs: scaleVerbs[:], New: func() runtime.Object { return &autoscalingv1.Scale{} }, Scale: &kinds.Scale{
				Read: func(obj kinds.Object) (int32, int32, string) {
					s := obj.(*appsv1.StatefulSet)
					return replicas(s.Spec.Replicas), s.Status.Replicas, podspec.Selector(s.Spec.Selector)
				},
				Write: func(obj kinds.Object, want int32) { obj.(*appsv1.StatefulSet).Spec.Replicas = &want },
			}},
			{Name: "status", GVK: gvk, Verbs: scaleVerbs[:], Resets: []string{"spec"}, Update: statefulSetStatus},
		},
	}
}

// typeClaims makes the claims' templates say of what kind they are, as upstream's do since before its conversions were generated.
func typeClaims(obj kinds.Object) {
	list := obj.(*appsv1.StatefulSet).Spec.VolumeClaimTemplates
	for i := range list {
		list[i].SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
	}
}

func defaultStatefulSet(obj kinds.Object) {
	typeClaims(obj)
	s := &obj.(*appsv1.StatefulSet).Spec
	if s.PodManagementPolicy == "" {
		s.PodManagementPolicy = appsv1.OrderedReadyPodManagement
	}
	u := &s.UpdateStrategy
	if u.Type == "" {
		u.Type = appsv1.RollingUpdateStatefulSetStrategyType
		if u.RollingUpdate == nil {
			u.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{}
		}
	}
	if u.RollingUpdate != nil {
		def(&u.RollingUpdate.Partition, 0)
	}
	def(&s.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
	for _, p := range []*appsv1.PersistentVolumeClaimRetentionPolicyType{&s.PersistentVolumeClaimRetentionPolicy.WhenDeleted, &s.PersistentVolumeClaimRetentionPolicy.WhenScaled} {
		if *p == "" {
			*p = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
		}
	}
	def(&s.Replicas, 1)
	def(&s.RevisionHistoryLimit, 10)
	podspec.Default(&s.Template.Spec)
	for i := range s.VolumeClaimTemplates {
		defaultClaim(&s.VolumeClaimTemplates[i])
	}
}

// dropMaxUnavailable clears a field that is off by default, unless it was there before.
func dropMaxUnavailable(s, was *appsv1.StatefulSet) {
	before := was.Spec.UpdateStrategy.RollingUpdate
	if now := s.Spec.UpdateStrategy.RollingUpdate; now != nil && (before == nil || before.MaxUnavailable == nil) {
		now.MaxUnavailable = nil
	}
}

// extent is how much of a set is checked.
type extent int

const (
	all            extent = iota
	whatMayAlter          // not the service's name and the claims, which stay what they are
	notTheTemplate        // nor the template: the old set was invalid already, and pods say more about it
)

// validateStatefulSet checks a set; was is its template before, nil for a new one.
func validateStatefulSet(s *appsv1.StatefulSetSpec, was *corev1.PodTemplateSpec, what extent, path *field.Path) (errs field.ErrorList) {
	switch at := path.Child("podManagementPolicy"); s.PodManagementPolicy {
	case appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement:
	case "":
		errs = append(errs, field.Required(at, ""))
	default:
		errs = append(errs, field.Invalid(at, s.PodManagementPolicy, "must be 'OrderedReady' or 'Parallel'"))
	}
	errs = append(errs, validateStatefulStrategy(&s.UpdateStrategy, path.Child("updateStrategy"))...)
	errs = append(errs, validateRetention(s.PersistentVolumeClaimRetentionPolicy, path.Child("persistentVolumeClaimRetentionPolicy"))...)
	for i := 0; what == all && i < len(s.VolumeClaimTemplates); i++ {
		errs = append(errs, volumespec.Claim(&s.VolumeClaimTemplates[i].Spec, nil, path.Child("volumeClaimTemplates").Index(i).Child("spec"))...)
	}
	errs = append(errs, notNegative(replicas(s.Replicas), path.Child("replicas"))...)
	errs = append(errs, notNegative(s.MinReadySeconds, path.Child("minReadySeconds"))...)
	if s.Ordinals != nil {
		errs = append(errs, notNegative(s.Ordinals.Start, path.Child("ordinals.start"))...)
	}
	if what == all && s.ServiceName != "" {
		for _, msg := range utilvalidation.IsDNS1123Label(s.ServiceName) {
			errs = append(errs, field.Invalid(path.Child("serviceName"), s.ServiceName, msg))
		}
	}
	errs = append(errs, validateStatefulSelector(s, was, what, path)...)
	return append(errs, alwaysRestarts(&s.Template, "StatefulSet", path.Child("template", "spec"))...)
}

func validateStatefulSelector(s *appsv1.StatefulSetSpec, was *corev1.PodTemplateSpec, what extent, path *field.Path) (errs field.ErrorList) {
	at := path.Child("selector")
	if s.Selector == nil {
		errs = append(errs, field.Required(at, ""))
	} else {
		errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, at)...)
		if len(s.Selector.MatchLabels)+len(s.Selector.MatchExpressions) == 0 {
			errs = append(errs, field.Invalid(at, s.Selector, "empty selector is invalid for statefulset"))
		}
	}
	sel, err := metav1.LabelSelectorAsSelector(s.Selector)
	if err != nil {
		return append(errs, field.Invalid(at, s.Selector, ""))
	}
	template := path.Child("template")
	if !sel.Empty() && !sel.Matches(labels.Set(s.Template.Labels)) {
		errs = append(errs, field.Invalid(template.Child("metadata", "labels"), s.Template.Labels, "`selector` does not match template `labels`"))
	}
	if what != notTheTemplate {
		errs = append(errs, podspec.ValidateTemplate(asItsPods(s), was, template)...)
	}
	// Upstream checks these twice, and so are they listed.
	errs = append(errs, metavalidation.ValidateLabels(s.Template.Labels, template.Child("labels"))...)
	return append(errs, validation.ValidateAnnotations(s.Template.Annotations, template.Child("annotations"))...)
}

// asItsPods is the template as the controller will use it: host names are the set's own, and the claims are volumes.
func asItsPods(s *appsv1.StatefulSetSpec) *corev1.PodTemplateSpec {
	t := s.Template
	t.Spec.Hostname, t.Spec.Subdomain = "", ""
	if len(s.VolumeClaimTemplates) == 0 {
		return &t
	}
	claims := map[string]bool{}
	var volumes []corev1.Volume
	for _, c := range s.VolumeClaimTemplates {
		if !claims[c.Name] {
			claims[c.Name] = true
			volumes = append(volumes, corev1.Volume{Name: c.Name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c.Name}}})
		}
	}
	for _, v := range t.Spec.Volumes {
		if !claims[v.Name] {
			volumes = append(volumes, v)
		}
	}
	t.Spec.Volumes = volumes
	return &t
}

func validateStatefulStrategy(u *appsv1.StatefulSetUpdateStrategy, path *field.Path) (errs field.ErrorList) {
	r := u.RollingUpdate
	switch u.Type {
	case "":
		errs = append(errs, field.Required(path, ""))
	case appsv1.OnDeleteStatefulSetStrategyType:
		if r != nil {
			errs = append(errs, field.Invalid(path.Child("rollingUpdate"), untagged.Value(r), "only allowed for updateStrategy 'RollingUpdate'"))
		}
	case appsv1.RollingUpdateStatefulSetStrategyType:
		if r != nil && r.Partition != nil {
			errs = append(errs, notNegative(*r.Partition, path.Child("rollingUpdate", "partition"))...)
		}
		if at := path.Child("rollingUpdate", "maxUnavailable"); r != nil && r.MaxUnavailable != nil {
			errs = append(errs, intOrPercent(*r.MaxUnavailable, at)...)
			if amount(*r.MaxUnavailable) == 0 {
				errs = append(errs, field.Invalid(at, *r.MaxUnavailable, "cannot be 0"))
			}
			errs = append(errs, atMostAll(*r.MaxUnavailable, at)...)
		}
	default:
		errs = append(errs, field.Invalid(path, untagged.Value(u), "must be 'RollingUpdate' or 'OnDelete'"))
	}
	return errs
}

func validateRetention(p *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy, path *field.Path) (errs field.ErrorList) {
	if p == nil {
		return nil
	}
	const retain, remove = appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	check := func(value appsv1.PersistentVolumeClaimRetentionPolicyType, at *field.Path) {
		if value != retain && value != remove {
			errs = append(errs, field.NotSupported(at, value, []appsv1.PersistentVolumeClaimRetentionPolicyType{retain, remove}))
		}
	}
	check(p.WhenDeleted, path.Child("whenDeleted"))
	check(p.WhenScaled, path.Child("whenScaled"))
	return errs
}

func validateStatefulSetUpdate(obj, old kinds.Object) field.ErrorList {
	s, was := &obj.(*appsv1.StatefulSet).Spec, &old.(*appsv1.StatefulSet).Spec
	what, path := whatMayAlter, field.NewPath("spec")
	if len(validateStatefulSet(was, &was.Template, what, path)) > 0 {
		what = notTheTemplate
	}
	errs := validateStatefulSet(s, &was.Template, what, path)
	now := *s // what may change is made equal, and the rest must be
	now.Replicas, now.Template, now.UpdateStrategy, now.MinReadySeconds = was.Replicas, was.Template, was.UpdateStrategy, was.MinReadySeconds
	now.Ordinals, now.RevisionHistoryLimit, now.PersistentVolumeClaimRetentionPolicy = was.Ordinals, was.RevisionHistoryLimit, was.PersistentVolumeClaimRetentionPolicy
	if changed(&now, was) {
		errs = append(errs, field.Forbidden(path, "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"))
	}
	return errs
}

func statefulSetStatus(_ kinds.Env, obj, old kinds.Object) (errs field.ErrorList) {
	set, was := obj.(*appsv1.StatefulSet), old.(*appsv1.StatefulSet)
	set.Spec = *was.Spec.DeepCopy()
	s, path := &set.Status, field.NewPath("status")
	counts := []count{
		{"replicas", s.Replicas}, {"readyReplicas", s.ReadyReplicas}, {"currentReplicas", s.CurrentReplicas},
		{"updatedReplicas", s.UpdatedReplicas}, {"availableReplicas", s.AvailableReplicas},
	}
	errs = append(errs, countsNotNegative(counts, path)...)
	errs = append(errs, validation.ValidateNonnegativeField(s.ObservedGeneration, path.Child("observedGeneration"))...)
	if n := s.CollisionCount; n != nil {
		errs = append(errs, notNegative(*n, path.Child("collisionCount"))...)
	}
	for _, c := range counts[1:] {
		if c.n > s.Replicas {
			errs = append(errs, field.Invalid(path.Child(c.name), c.n, "cannot be greater than status.replicas"))
		}
	}
	if s.AvailableReplicas > s.ReadyReplicas {
		errs = append(errs, field.Invalid(path.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than status.readyReplicas"))
	}
	return append(errs, collisionsRise(s.CollisionCount, was.Status.CollisionCount, path)...)
}

func statefulSetColumns() []kinds.Column {
	cell := func(name, doc string, priority int32, f func(*appsv1.StatefulSet) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Priority: priority, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*appsv1.StatefulSet)) }}
	}
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Ready", "Number of the pod with ready state", 0, func(s *appsv1.StatefulSet) string {
			return fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, replicas(s.Spec.Replicas))
		}),
		kinds.AgeColumn(),
		cell("Containers", "Names of each container in the template.", 1, func(s *appsv1.StatefulSet) string { return containerNames(&s.Spec.Template) }),
		cell("Images", "Images referenced by each container in the template.", 1, func(s *appsv1.StatefulSet) string { return containerImages(&s.Spec.Template) }),
	}
}
