// Package policy holds the roles and bindings that every cluster begins with. They are Kubernetes v1.36.3's, since add-ons, nodes and people know them by name.
//
// # Laws
//
//   - policy.txt is the only place where they stand; it is read when it is asked for, never at the program's start.
//   - What a client sees of them is upstream's: labels, annotations, the order of rules.
//
// # What it leaves to others
//
// Storing them, and keeping what an administrator added to them, belongs to controller/rbacpolicy.
package policy

import (
	_ "embed" // policy.txt
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
)

//go:embed policy.txt
var text string

const aggregateTo = "rbac.authorization.k8s.io/aggregate-to-"

// Objects returns the roles, then the bindings, each private to the caller.
func Objects() []kinds.Object {
	objects, err := parse(text)
	if err != nil {
		panic(err) // the file is part of the program, and a test reads it
	}
	return objects
}

// Rules returns the rules of a cluster role; nil when the policy has none of the name.
func Rules(clusterRole string) []rbacv1.PolicyRule {
	for _, obj := range Objects() {
		if role, ok := obj.(*rbacv1.ClusterRole); ok && role.Name == clusterRole {
			return role.Rules
		}
	}
	return nil
}

func parse(text string) (objects []kinds.Object, err error) {
	for i, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0][0] == '#':
			continue
		case line[0] == ' ' && len(objects) > 0:
			err = addRule(objects[len(objects)-1], fields)
		case len(fields) > 1 && fields[0] == "role":
			objects = append(objects, newRole(fields[1:]))
		case len(fields) > 1 && fields[0] == "bind":
			var b kinds.Object
			b, err = newBinding(fields[1:])
			objects = append(objects, b)
		default:
			err = fmt.Errorf("%q is neither a role, a rule nor a binding", line)
		}
		if err != nil {
			return nil, fmt.Errorf("policy.txt, line %d: %w", i+1, err)
		}
	}
	return objects, nil
}

// meta is the metadata of a name that may have a namespace before it.
func meta(name string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Name:        name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		m.Namespace, m.Name = namespace, rest
	}
	return m
}

func newRole(fields []string) kinds.Object {
	m := meta(fields[0])
	for _, label := range fields[1:] {
		m.Labels[aggregateTo+strings.TrimPrefix(label, "aggregate-to-")] = "true"
	}
	if m.Namespace != "" {
		return &rbacv1.Role{ObjectMeta: m}
	}
	return &rbacv1.ClusterRole{ObjectMeta: m}
}

func addRule(obj kinds.Object, fields []string) error {
	cluster, _ := obj.(*rbacv1.ClusterRole)
	if fields[0] == "gathers" && cluster != nil && len(fields) == 2 {
		cluster.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{aggregateTo + fields[1]: "true"}}}}
		return nil
	}
	if len(fields) < 3 || len(fields) > 4 {
		return fmt.Errorf("a rule has verbs, groups and resources, not %q", fields)
	}
	rule := rbacv1.PolicyRule{Verbs: strings.Split(fields[0], ",")}
	if fields[1] == "path" {
		rule.NonResourceURLs = strings.Split(fields[2], ",")
	} else {
		rule.APIGroups = strings.Split(fields[1], ",")
		for i, group := range rule.APIGroups {
			if group == "core" {
				rule.APIGroups[i] = ""
			}
		}
		rule.Resources = strings.Split(fields[2], ",")
		if len(fields) == 4 {
			rule.ResourceNames = strings.Split(fields[3], ",")
		}
	}
	switch role := obj.(type) {
	case *rbacv1.ClusterRole:
		role.Rules = append(role.Rules, rule)
	case *rbacv1.Role:
		role.Rules = append(role.Rules, rule)
	default:
		return fmt.Errorf("a rule below a %T", obj)
	}
	return nil
}

func newBinding(fields []string) (kinds.Object, error) {
	m := meta(fields[0])
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: m.Name}
	if m.Namespace != "" {
		ref.Kind = "Role"
	}
	fields = fields[1:]
	if len(fields) > 0 && strings.HasPrefix(fields[0], "role=") {
		ref.Kind, ref.Name, _ = strings.Cut(strings.TrimPrefix(fields[0], "role="), "/")
		fields = fields[1:]
	}
	var subjects []rbacv1.Subject
	for _, f := range fields {
		s, err := newSubject(f)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, s)
	}
	if m.Namespace != "" {
		return &rbacv1.RoleBinding{ObjectMeta: m, RoleRef: ref, Subjects: subjects}, nil
	}
	return &rbacv1.ClusterRoleBinding{ObjectMeta: m, RoleRef: ref, Subjects: subjects}, nil
}

func newSubject(text string) (rbacv1.Subject, error) {
	kind, name, _ := strings.Cut(text, ":")
	switch kind {
	case "user":
		return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}, nil
	case "group":
		return rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: name}, nil
	case "account":
		namespace, account, _ := strings.Cut(name, "/")
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}, nil
	}
	return rbacv1.Subject{}, fmt.Errorf("%q is no user:NAME, group:NAME or account:NAMESPACE/NAME", text)
}
