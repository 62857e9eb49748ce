// Package rbactest gives tests what the authorizer by roles reads, without a store.
package rbactest

import (
	"iter"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/auth/rbac"
	"github.com/floe-k8s/floe/internal/kinds"
	kindsrbac "github.com/floe-k8s/floe/internal/kinds/rbac"
)

// Fixed is a table that never changes.
type Fixed []kinds.Object

var _ rbac.Table = Fixed(nil)

// Get implements rbac.Table.
func (f Fixed) Get(res schema.GroupVersionResource, namespace, name string) kinds.Object {
	for _, obj := range f {
		if resourceOf(obj) == res && obj.GetNamespace() == namespace && obj.GetName() == name {
			return obj
		}
	}
	return nil
}

// Lookup implements rbac.Table, for the index of subjects.
func (f Fixed) Lookup(res schema.GroupVersionResource, _, value string) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for _, obj := range f {
			if resourceOf(obj) == res && slices.Contains(kindsrbac.Subjects(obj), value) && !yield(obj) {
				return
			}
		}
	}
}

// Changed implements rbac.Table.
func (Fixed) Changed(schema.GroupVersionResource) uint64 { return 1 }

func resourceOf(obj kinds.Object) schema.GroupVersionResource {
	switch obj.(type) {
	case *rbacv1.Role:
		return resource("roles")
	case *rbacv1.ClusterRole:
		return resource("clusterroles")
	case *rbacv1.RoleBinding:
		return resource("rolebindings")
	default:
		return resource("clusterrolebindings")
	}
}

func resource(name string) schema.GroupVersionResource {
	return rbacv1.SchemeGroupVersion.WithResource(name)
}
