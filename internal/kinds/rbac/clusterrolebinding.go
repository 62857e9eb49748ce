package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// ClusterRoleBinding is rbac.authorization.k8s.io/v1 ClusterRoleBinding: a cluster role, for use everywhere.
func ClusterRoleBinding() *kinds.Kind {
	return &kinds.Kind{
		GVK: rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"), Resource: "clusterrolebindings", Singular: "clusterrolebinding",
		MetaAgain: kinds.MetaAll,
		New:       func() kinds.Object { return &rbacv1.ClusterRoleBinding{} },
		NewList:   func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },
		ValidName: validName, CreateOnUpdate: true,
		Default: func(obj kinds.Object) {
			b := obj.(*rbacv1.ClusterRoleBinding)
			defaultBinding(b.Subjects, &b.RoleRef)
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			b := obj.(*rbacv1.ClusterRoleBinding)
			return validateBinding(b.Subjects, b.RoleRef, false, []string{"ClusterRole"})
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return sameRole(obj.(*rbacv1.ClusterRoleBinding).RoleRef, old.(*rbacv1.ClusterRoleBinding).RoleRef)
		},
		Rights:  bindingRights("clusterrolebindings", func(obj kinds.Object) rbacv1.RoleRef { return obj.(*rbacv1.ClusterRoleBinding).RoleRef }),
		Indexes: subjectIndex(),
		// The text is that of v1beta1, whose description upstream's table still has.
		Columns: bindingColumns("clusterRoleBinding", "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
			func(obj kinds.Object) ([]rbacv1.Subject, rbacv1.RoleRef) {
				b := obj.(*rbacv1.ClusterRoleBinding)
				return b.Subjects, b.RoleRef
			}),
	}
}
