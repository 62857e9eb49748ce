package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// RoleBinding is rbac.authorization.k8s.io/v1 RoleBinding: a role of its namespace, or of the cluster, for use in its namespace.
func RoleBinding() *kinds.Kind {
	return &kinds.Kind{
		GVK: rbacv1.SchemeGroupVersion.WithKind("RoleBinding"), Resource: "rolebindings", Singular: "rolebinding", Namespaced: true,
		MetaAgain: kinds.MetaAll,
		New:       func() kinds.Object { return &rbacv1.RoleBinding{} },
		NewList:   func() runtime.Object { return &rbacv1.RoleBindingList{} },
		ValidName: validName, CreateOnUpdate: true,
		Default: func(obj kinds.Object) {
			b := obj.(*rbacv1.RoleBinding)
			defaultBinding(b.Subjects, &b.RoleRef)
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			b := obj.(*rbacv1.RoleBinding)
			return validateBinding(b.Subjects, b.RoleRef, true, []string{"Role", "ClusterRole"})
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return sameRole(obj.(*rbacv1.RoleBinding).RoleRef, old.(*rbacv1.RoleBinding).RoleRef)
		},
		Rights:  bindingRights("rolebindings", func(obj kinds.Object) rbacv1.RoleRef { return obj.(*rbacv1.RoleBinding).RoleRef }),
		Indexes: subjectIndex(),
		// The text is that of v1beta1, whose description upstream's table still has.
		Columns: bindingColumns("roleBinding", "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
			func(obj kinds.Object) ([]rbacv1.Subject, rbacv1.RoleRef) {
				b := obj.(*rbacv1.RoleBinding)
				return b.Subjects, b.RoleRef
			}),
	}
}
