package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// ResourceQuota is v1 ResourceQuota: what all of a namespace may use together. What is used stands in its status, which a controller and
// admission write.
func ResourceQuota() *kinds.Kind {
	gvk := corev1.SchemeGroupVersion.WithKind("ResourceQuota")
	return &kinds.Kind{
		GVK: gvk, Resource: "resourcequotas", Singular: "resourcequota", ShortNames: []string{"quota"}, Namespaced: true,
		New:           func() kinds.Object { return &corev1.ResourceQuota{} },
		NewList:       func() runtime.Object { return &corev1.ResourceQuotaList{} },
		ReturnDeleted: true,
		Default: func(obj kinds.Object) {
			q := obj.(*corev1.ResourceQuota)
			kinds.RoundUp(q.Spec.Hard, q.Status.Hard, q.Status.Used)
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			obj.(*corev1.ResourceQuota).Status = corev1.ResourceQuotaStatus{}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			obj.(*corev1.ResourceQuota).Status = *old.(*corev1.ResourceQuota).Status.DeepCopy()
		},
		Validate: func(obj kinds.Object) field.ErrorList { return validateQuota(&obj.(*corev1.ResourceQuota).Spec) },
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			s, was := obj.(*corev1.ResourceQuota).Spec.Scopes, old.(*corev1.ResourceQuota).Spec.Scopes
			if sets.New(s...).Equal(sets.New(was...)) {
				return nil
			}
			return field.ErrorList{field.Invalid(field.NewPath("spec", "scopes"), s, validation.FieldImmutableErrorMsg)}
		},
		Warnings: quotaWarnings,
		Columns: []kinds.Column{kinds.NameColumn(), {
			Name: "Request", Type: "string", Description: "Request represents a minimum amount of cpu/memory that a container may consume.",
			Cell: func(_ kinds.Env, obj kinds.Object) any { return quotaUse(obj.(*corev1.ResourceQuota), false) },
		}, {
			Name: "Limit", Type: "string", Description: "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
			Cell: func(_ kinds.Env, obj kinds.Object) any { return quotaUse(obj.(*corev1.ResourceQuota), true) },
		}, kinds.AgeColumn()},
		Resets: []string{"status"},
		Subresources: []kinds.Subresource{{
			Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"},
			Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				q := obj.(*corev1.ResourceQuota)
				q.Spec = *old.(*corev1.ResourceQuota).Spec.DeepCopy()
				return append(validateQuotaResources(q.Status.Hard, field.NewPath("status", "hard")), validateQuotaResources(q.Status.Used, field.NewPath("status", "used"))...)
			},
		}},
	}
}

// quotaUse shows what is used of what there is, of limits or of all else: "pods: 3/10, requests.cpu: 1/2".
func quotaUse(q *corev1.ResourceQuota, limits bool) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(q.Status.Hard)) {
		if strings.HasPrefix(string(name), "limits.") == limits {
			used, hard := q.Status.Used[name], q.Status.Hard[name]
			parts = append(parts, fmt.Sprintf("%s: %s/%s", name, used.String(), hard.String()))
		}
	}
	return strings.Join(parts, ", ")
}

func validateQuota(s *corev1.ResourceQuotaSpec) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateQuotaResources(s.Hard, path.Child("hard"))
	at := path.Child("scopes")
	for _, scope := range s.Scopes {
		if !isScope(scope) {
			errs = append(errs, field.Invalid(at, s.Scopes, "unsupported scope"))
		}
		for range unscoped(scope, s.Hard) {
			errs = append(errs, field.Invalid(at, s.Scopes, "unsupported scope applied to resource"))
		}
	}
	errs = append(errs, conflicts(s, s.Scopes, at)...)
	if s.ScopeSelector == nil {
		return errs
	}
	at = path.Child("scopeSelector", "matchExpressions")
	scopes := make([]corev1.ResourceQuotaScope, 0, len(s.ScopeSelector.MatchExpressions))
	for _, e := range s.ScopeSelector.MatchExpressions {
		errs = append(errs, validateScope(e, s, at)...)
		scopes = append(scopes, e.ScopeName)
	}
	return append(errs, conflicts(s, scopes, at)...)
}

// validateScope checks one requirement of the selector. Upstream names no index.
func validateScope(e corev1.ScopedResourceSelectorRequirement, s *corev1.ResourceQuotaSpec, path *field.Path) (errs field.ErrorList) {
	if !isScope(e.ScopeName) {
		errs = append(errs, field.Invalid(path.Child("scopeName"), e.ScopeName, "unsupported scope"))
	}
	for range unscoped(e.ScopeName, s.Hard) {
		errs = append(errs, field.Invalid(path, untagged.Value(s.ScopeSelector), "unsupported scope applied to resource"))
	}
	switch e.ScopeName {
	case corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopeTerminating,
		corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		if e.Operator != corev1.ScopeSelectorOpExists {
			errs = append(errs, field.Invalid(path.Child("operator"), e.Operator, "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"))
		}
	}
	switch e.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		if len(e.Values) == 0 {
			errs = append(errs, field.Required(path.Child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
		}
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		if len(e.Values) != 0 {
			errs = append(errs, field.Invalid(path.Child("values"), e.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
		}
	default:
		errs = append(errs, field.Invalid(path.Child("operator"), e.Operator, "not a valid selector operator"))
	}
	return errs
}

// conflicts refuses scopes that no pod is in together. What is quoted are the scopes of the list, for those of the selector too.
func conflicts(s *corev1.ResourceQuotaSpec, scopes []corev1.ResourceQuotaScope, path *field.Path) (errs field.ErrorList) {
	for _, pair := range [][2]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if slices.Contains(scopes, pair[0]) && slices.Contains(scopes, pair[1]) {
			errs = append(errs, field.Invalid(path, s.Scopes, "conflicting scopes"))
		}
	}
	return errs
}

func isScope(s corev1.ResourceQuotaScope) bool {
	switch s {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort,
		corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeVolumeAttributesClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return true
	}
	return false
}

// unscoped are the resources of the API's own that a scope cannot tell apart: scopes of pods know those of pods, one of claims those of claims.
func unscoped(scope corev1.ResourceQuotaScope, hard corev1.ResourceList) (names []corev1.ResourceName) {
	var fit []corev1.ResourceName
	switch scope {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeNotBestEffort,
		corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		fit = []corev1.ResourceName{
			corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
			corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
		}
	case corev1.ResourceQuotaScopeBestEffort:
		fit = []corev1.ResourceName{corev1.ResourcePods}
	case corev1.ResourceQuotaScopeVolumeAttributesClass:
		fit = []corev1.ResourceName{corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage}
	default:
		return nil
	}
	for name := range hard {
		if isQuotaName(name) && !slices.Contains(fit, name) {
			names = append(names, name)
		}
	}
	return names
}
