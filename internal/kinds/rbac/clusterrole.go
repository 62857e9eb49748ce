package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// ClusterRole is rbac.authorization.k8s.io/v1 ClusterRole. Its rules may be the sum of others', which a controller keeps true.
func ClusterRole() *kinds.Kind {
	return &kinds.Kind{
		GVK: rbacv1.SchemeGroupVersion.WithKind("ClusterRole"), Resource: "clusterroles", Singular: "clusterrole", MetaAgain: kinds.MetaAll,
		New:       func() kinds.Object { return &rbacv1.ClusterRole{} },
		NewList:   func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		ValidName: validName, CreateOnUpdate: true,
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) {
				return nil
			}
			return validateClusterRole(obj.(*rbacv1.ClusterRole), nil)
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validateClusterRole(obj.(*rbacv1.ClusterRole), old.(*rbacv1.ClusterRole))
		},
		Rights: roleRights("clusterroles"),
	}
}

// isNew says that obj is being made: there is no resourceVersion yet. ValidateUpdate then judges all of an update, since what is allowed
// depends on what was there.
func isNew(obj kinds.Object) bool { return obj.GetResourceVersion() == "" }

// validateClusterRole checks role as the next state of was; nil: there is none.
func validateClusterRole(role, was *rbacv1.ClusterRole) field.ErrorList {
	errs := validateRules(role.Rules, false)
	if role.AggregationRule == nil {
		return errs
	}
	path := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(role.AggregationRule.ClusterRoleSelectors) == 0 {
		errs = append(errs, field.Required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
	}
	opts := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: was != nil && oddSelector(was)}
	for i := range role.AggregationRule.ClusterRoleSelectors {
		s := &role.AggregationRule.ClusterRoleSelectors[i]
		errs = append(errs, metavalidation.ValidateLabelSelector(s, opts, path.Index(i))...)
		if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
			// Upstream quotes the selector that could not be made, which is null.
			errs = append(errs, field.Invalid(path.Index(i), nil, "invalid label selector."))
		}
	}
	return errs
}

// oddSelector says that a stored role has a selector that would be refused today; such roles can still be changed.
func oddSelector(role *rbacv1.ClusterRole) bool {
	if role.AggregationRule == nil {
		return false
	}
	for i := range role.AggregationRule.ClusterRoleSelectors {
		s := &role.AggregationRule.ClusterRoleSelectors[i]
		if len(metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, nil)) > 0 {
			return true
		}
	}
	return false
}
