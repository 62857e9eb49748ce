package policy

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

func TestObjects(t *testing.T) {
	count := map[string]int{}
	seen := map[string]bool{}
	for _, obj := range Objects() {
		kind := ""
		switch o := obj.(type) {
		case *rbacv1.ClusterRole:
			kind = "ClusterRole"
			if len(o.Rules) == 0 && o.AggregationRule == nil && o.Name != "system:node" && !strings.HasPrefix(o.Name, "system:") {
				t.Errorf("%s has no rules", o.Name)
			}
		case *rbacv1.ClusterRoleBinding:
			kind = "ClusterRoleBinding"
		case *rbacv1.Role:
			kind = "Role"
		case *rbacv1.RoleBinding:
			kind = "RoleBinding"
		}
		count[kind]++
		name := kind + " " + obj.GetNamespace() + "/" + obj.GetName()
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
	}
	for kind, want := range map[string]int{"ClusterRole": 69, "ClusterRoleBinding": 50, "Role": 7, "RoleBinding": 7} {
		if count[kind] != want {
			t.Errorf("%d %ss, want %d, as many as Kubernetes v1.36.3 makes", count[kind], kind, want)
		}
	}
	if len(Rules("system:node")) == 0 || Rules("nobody") != nil {
		t.Error("the rules of system:node are missing, or nobody has some")
	}
}

func TestBadLines(t *testing.T) {
	for text, want := range map[string]string{
		"x":                        "line 1: \"x\" is neither a role, a rule nor a binding",
		"  get core pods":          "line 1: \"  get core pods\" is neither a role, a rule nor a binding",
		"role a\n  get core":       "line 2: a rule has verbs, groups and resources",
		"bind a robot:x":           "line 1: \"robot:x\" is no user:NAME",
		"bind a user:x\n  get a b": "line 2: a rule below a *v1.ClusterRoleBinding",
		"role n/a\n  gathers a":    "line 2: a rule has verbs, groups and resources",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
