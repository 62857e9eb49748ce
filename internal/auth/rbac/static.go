package rbac

import (
	"iter"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
	kindsrbac "github.com/floe-k8s/floe/internal/kinds/rbac"
)

// Allow says whether one of the rules allows what a request wants.
func Allow(rules []rbacv1.PolicyRule, attrs *auth.Attributes) bool {
	for i := range rules {
		if allows(&rules[i], attrs) {
			return true
		}
	}
	return false
}

// Fixed is a table that never changes.
type Fixed []kinds.Object

var _ Table = Fixed(nil)

// Get implements Table.
func (f Fixed) Get(res schema.GroupVersionResource, namespace, name string) kinds.Object {
	for _, obj := range f {
		if resourceOf(obj) == res && obj.GetNamespace() == namespace && obj.GetName() == name {
			return obj
		}
	}
	return nil
}

// Lookup implements Table, for the index of subjects.
func (f Fixed) Lookup(res schema.GroupVersionResource, _, value string) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for _, obj := range f {
			if resourceOf(obj) == res && slices.Contains(kindsrbac.Subjects(obj), value) && !yield(obj) {
				return
			}
		}
	}
}

// Changed implements Table.
func (Fixed) Changed(schema.GroupVersionResource) uint64 { return 1 }

func resourceOf(obj kinds.Object) schema.GroupVersionResource {
	switch obj.(type) {
	case *rbacv1.Role:
		return roles
	case *rbacv1.ClusterRole:
		return clusterRoles
	case *rbacv1.RoleBinding:
		return roleBindings
	default:
		return clusterRoleBindings
	}
}
