package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Role is rbac.authorization.k8s.io/v1 Role.
func Role() *kinds.Kind {
	return &kinds.Kind{
		GVK: rbacv1.SchemeGroupVersion.WithKind("Role"), Resource: "roles", Singular: "role", Namespaced: true, MetaAgain: kinds.MetaAll,
		New:       func() kinds.Object { return &rbacv1.Role{} },
		NewList:   func() runtime.Object { return &rbacv1.RoleList{} },
		ValidName: validName, CreateOnUpdate: true,
		Validate: func(obj kinds.Object) field.ErrorList { return validateRules(obj.(*rbacv1.Role).Rules, true) },
		Rights:   roleRights("roles"),
	}
}
