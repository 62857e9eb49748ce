package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/floe-k8s/floe/internal/kinds"
)

// SubjectIndex is the index of both bindings by whom they give their role to; its values are UserSubject, GroupSubject.
const SubjectIndex = "subject"

// subjectIndex is SubjectIndex.
func subjectIndex() []kinds.Index { return []kinds.Index{{Name: SubjectIndex, Values: Subjects}} }

// UserSubject is the index value of bindings in a namespace, or with "" of cluster role bindings, for a user. A service account is the user that it is
// authenticated as.
func UserSubject(namespace, name string) string { return namespace + "/u/" + name }

// GroupSubject is UserSubject of a group.
func GroupSubject(namespace, name string) string { return namespace + "/g/" + name }

// Subjects are the index values of a binding, each once; none of anything else.
func Subjects(obj kinds.Object) (values []string) {
	var list []rbacv1.Subject
	switch b := obj.(type) {
	case *rbacv1.RoleBinding:
		list = b.Subjects
	case *rbacv1.ClusterRoleBinding:
		list = b.Subjects
	}
	for _, s := range list {
		if v := SubjectValue(s, obj.GetNamespace()); v != "" && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// SubjectValue is the index value of one subject of a binding in a namespace; "" when it names nobody.
func SubjectValue(s rbacv1.Subject, namespace string) string {
	switch s.Kind {
	case rbacv1.UserKind:
		return UserSubject(namespace, s.Name)
	case rbacv1.GroupKind:
		return GroupSubject(namespace, s.Name)
	case rbacv1.ServiceAccountKind:
		home := s.Namespace
		if home == "" {
			home = namespace
		}
		if home != "" {
			return UserSubject(namespace, serviceaccount.MakeUsername(home, s.Name))
		}
	}
	return ""
}
