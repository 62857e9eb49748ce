package rbac

import (
	"errors"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/floe-k8s/floe/internal/auth"
	kindsrbac "github.com/floe-k8s/floe/internal/kinds/rbac"
)

// compile puts together what holds for a user in a namespace: what cluster role bindings give, then what role bindings there do.
func (a *Authorizer) compile(user auth.User, namespace string, generation uint64) *grants {
	c := compiler{table: a.table, namespace: namespace, seen: map[string]bool{}, out: &grants{
		name: user.Name, groups: slices.Clone(user.Groups), namespace: namespace, generation: generation,
	}}
	c.bindings("", user)
	if namespace != "" {
		c.bindings(namespace, user)
	}
	if len(c.out.missing) > 0 {
		c.out.unresolved = fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(c.out.missing))
	}
	return c.out
}

type compiler struct {
	table     Table
	namespace string
	seen      map[string]bool // bindings and roles
	out       *grants
}

// bindings adds what the bindings of a namespace, or with "" the cluster role bindings, give the user.
func (c *compiler) bindings(namespace string, user auth.User) {
	c.subject(namespace, kindsrbac.UserSubject(namespace, user.Name))
	for _, group := range user.Groups {
		c.subject(namespace, kindsrbac.GroupSubject(namespace, group))
	}
}

// subject adds what bindings give to one value of their index of subjects.
func (c *compiler) subject(namespace, value string) {
	res := roleBindings
	if namespace == "" {
		res = clusterRoleBindings
	}
	for obj := range c.table.Lookup(res, kindsrbac.SubjectIndex, value) {
		switch b := obj.(type) {
		case *rbacv1.ClusterRoleBinding:
			c.binding(fmt.Sprintf("ClusterRoleBinding %q", b.Name), b.RoleRef, b.Subjects, "", value)
		case *rbacv1.RoleBinding:
			c.binding(fmt.Sprintf("RoleBinding %q", b.Name+"/"+b.Namespace), b.RoleRef, b.Subjects, b.Namespace, value)
		}
	}
}

// binding adds the rules of the role that a binding gives, unless another binding has given them.
func (c *compiler) binding(name string, ref rbacv1.RoleRef, subjects []rbacv1.Subject, namespace, value string) {
	role := namespace + "/" + ref.Kind + "/" + ref.Name
	if ref.Kind == "ClusterRole" {
		role = "/" + role[len(namespace)+1:] // the same everywhere
	}
	if c.seen[role] {
		return
	}
	c.seen[role] = true
	rules, err := c.rules(ref, namespace)
	if err != nil {
		c.out.missing = append(c.out.missing, err)
		return
	}
	i := slices.IndexFunc(subjects, func(s rbacv1.Subject) bool { return kindsrbac.SubjectValue(s, namespace) == value })
	reason := fmt.Sprintf("RBAC: allowed by %s of %s %q to %s", name, ref.Kind, ref.Name, describe(subjects[i], namespace))
	for i := range rules {
		c.out.list = append(c.out.list, grant{&rules[i], reason})
	}
}

// rules are those of a role; one that is not there is called what upstream's listers call it, in the singular.
func (c *compiler) rules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	switch ref.Kind {
	case "Role":
		if role, ok := c.table.Get(roles, namespace, ref.Name).(*rbacv1.Role); ok {
			return role.Rules, nil
		}
		return nil, apierrors.NewNotFound(rbacv1.Resource("role"), ref.Name)
	case "ClusterRole":
		if role, ok := c.table.Get(clusterRoles, "", ref.Name).(*rbacv1.ClusterRole); ok {
			return role.Rules, nil
		}
		return nil, apierrors.NewNotFound(rbacv1.Resource("clusterrole"), ref.Name)
	}
	return nil, errors.New("unsupported role reference kind: " + fmt.Sprintf("%q", ref.Kind))
}

// describe names a subject as upstream's reasons do.
func describe(s rbacv1.Subject, namespace string) string {
	if s.Kind != rbacv1.ServiceAccountKind {
		return fmt.Sprintf("%s %q", s.Kind, s.Name)
	}
	if s.Namespace != "" {
		namespace = s.Namespace
	}
	return fmt.Sprintf("%s %q", s.Kind, s.Name+"/"+namespace)
}
