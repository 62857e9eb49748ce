package rbac_test

import (
	"reflect"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/rbac"
)

func TestRules(t *testing.T) {
	const only = "namespaced rules cannot apply to non-resource URLs"
	pods := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}
	urls := rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz"}}
	both := rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz"}, ResourceNames: []string{"a"}}
	for name, c := range map[string]struct {
		rule             rbacv1.PolicyRule
		cluster, namesps []string
	}{
		"pods": {pods, nil, nil},
		"urls": {urls, nil, []string{`rules[0].nonResourceURLs: Invalid value: ["/healthz"]: ` + only}},
		"both": {both,
			[]string{`rules[0].nonResourceURLs: Invalid value: ["/healthz"]: rules cannot apply to both regular resources and non-resource URLs`},
			[]string{`rules[0].nonResourceURLs: Invalid value: ["/healthz"]: ` + only, `rules[0].nonResourceURLs: Invalid value: ["/healthz"]: rules cannot apply to both regular resources and non-resource URLs`}},
		"none": {rbacv1.PolicyRule{}, empty, empty},
	} {
		rules := []rbacv1.PolicyRule{c.rule}
		kindtest.Same(t, name+" in the cluster", kindtest.Create(rbac.ClusterRole(), &rbacv1.ClusterRole{Rules: rules}), c.cluster)
		kindtest.Same(t, name+" in a namespace", kindtest.Create(rbac.Role(), &rbacv1.Role{Rules: rules}), c.namesps)
		kindtest.Same(t, name+" in a namespace, updated", kindtest.Update(rbac.Role(), &rbacv1.Role{Rules: rules}, &rbacv1.Role{}), c.namesps)
	}
}

var empty = []string{
	"rules[0].verbs: Required value: verbs must contain at least one value",
	"rules[0].apiGroups: Required value: resource rules must supply at least one api group",
	"rules[0].resources: Required value: resource rules must supply at least one resource",
}

func TestAggregation(t *testing.T) {
	role := func(s ...metav1.LabelSelector) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: s}}
	}
	good := metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	odd := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In", Values: []string{"-b"}}}}
	const label = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
	bad := []string{
		`aggregationRule.clusterRoleSelectors[0].matchExpressions[0].values[0]: Invalid value: "-b": ` + label,
		`aggregationRule.clusterRoleSelectors[0]: Invalid value: null: invalid label selector.`,
	}
	k := rbac.ClusterRole()
	kindtest.Same(t, "good", kindtest.Create(k, role(good)), nil)
	kindtest.Same(t, "none", kindtest.Create(k, role()), []string{"aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"})
	kindtest.Same(t, "odd", kindtest.Create(k, role(odd)), bad)
	kindtest.Same(t, "odd now", kindtest.Update(k, role(odd), role(good)), bad)
	kindtest.Same(t, "odd as before", kindtest.Update(k, role(odd), role(odd)), bad[1:])
}

func TestBindings(t *testing.T) {
	ref := func(kind, name string) rbacv1.RoleRef { return rbacv1.RoleRef{Kind: kind, Name: name} }
	for name, c := range map[string]struct {
		subject          rbacv1.Subject
		ref              rbacv1.RoleRef
		cluster, namesps []string
	}{
		"user":  {rbacv1.Subject{Kind: "User", Name: "system:a"}, ref("ClusterRole", "r"), nil, nil},
		"group": {rbacv1.Subject{Kind: "Group", Name: "g"}, ref("ClusterRole", "system:r"), nil, nil},
		"role": {rbacv1.Subject{Kind: "Group", Name: "g"}, ref("Role", "r"),
			[]string{`roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"`}, nil},
		"no namespace": {rbacv1.Subject{Kind: "ServiceAccount", Name: "a"}, ref("ClusterRole", "r"),
			[]string{"subjects[0].namespace: Required value"}, nil},
		"no names": {rbacv1.Subject{Kind: "User"}, ref("ClusterRole", ""),
			[]string{"roleRef.name: Required value", "subjects[0].name: Required value"}, []string{"roleRef.name: Required value", "subjects[0].name: Required value"}},
		"odd group": {rbacv1.Subject{Kind: "User", Name: "u", APIGroup: "x"}, rbacv1.RoleRef{APIGroup: "y", Kind: "ClusterRole", Name: "a/b"}, oddGroup, oddGroup},
		"odd kind": {rbacv1.Subject{Kind: "Robot", Name: "u"}, ref("ClusterRole", "r"),
			[]string{`subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"`},
			[]string{`subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"`}},
		"account's group": {rbacv1.Subject{Kind: "ServiceAccount", Name: "a", Namespace: "n", APIGroup: "x"}, ref("ClusterRole", "r"),
			[]string{`subjects[0].apiGroup: Unsupported value: "x": supported values: ""`}, []string{`subjects[0].apiGroup: Unsupported value: "x": supported values: ""`}},
	} {
		all := &rbacv1.ClusterRoleBinding{Subjects: []rbacv1.Subject{c.subject}, RoleRef: c.ref}
		one := &rbacv1.RoleBinding{Subjects: []rbacv1.Subject{c.subject}, RoleRef: c.ref}
		rbac.ClusterRoleBinding().Default(all)
		rbac.RoleBinding().Default(one)
		kindtest.Same(t, name+" in the cluster", kindtest.Create(rbac.ClusterRoleBinding(), all), c.cluster)
		kindtest.Same(t, name+" in a namespace", kindtest.Create(rbac.RoleBinding(), one), c.namesps)
	}
}

var oddGroup = []string{
	`roleRef.apiGroup: Unsupported value: "y": supported values: "rbac.authorization.k8s.io"`,
	`roleRef.name: Invalid value: "a/b": may not contain '/'`,
	`subjects[0].apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io"`,
}

func TestRoleOfABindingStays(t *testing.T) {
	now, was := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "b"}, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "a"}
	want := []string{`roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"b"}: cannot change roleRef`}
	kindtest.Same(t, "cluster", kindtest.Update(rbac.ClusterRoleBinding(), &rbacv1.ClusterRoleBinding{RoleRef: now}, &rbacv1.ClusterRoleBinding{RoleRef: was}), want)
	kindtest.Same(t, "namespace", kindtest.Update(rbac.RoleBinding(), &rbacv1.RoleBinding{RoleRef: now}, &rbacv1.RoleBinding{RoleRef: was}), want)
	kindtest.Same(t, "the same", kindtest.Update(rbac.RoleBinding(), &rbacv1.RoleBinding{RoleRef: now}, &rbacv1.RoleBinding{RoleRef: now}), nil)
}

func TestColumns(t *testing.T) {
	made := metav1.NewTime(kindtest.Env().Now.Add(-90 * 60e9))
	b := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "b", CreationTimestamp: made}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "r"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "u"}, {Kind: "User", Name: "v"}, {Kind: "Group", Name: "g"}, {Kind: "ServiceAccount", Name: "a", Namespace: "n"}},
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "r", CreationTimestamp: made}}
	for _, c := range []struct {
		kind   *kinds.Kind
		obj    kinds.Object
		header []string
		row    []any
	}{
		{rbac.RoleBinding(), b, []string{"Name/name", "Role", "Age", "Users*", "Groups*", "ServiceAccounts*"}, []any{"b", "Role/r", "90m", "u, v", "g", "n/a"}},
		{rbac.Role(), role, []string{"Name/name", "Created At:date"}, []any{"r", "2026-03-01T10:30:00Z"}},
	} {
		if got := kindtest.Header(c.kind); !reflect.DeepEqual(got, c.header) {
			t.Errorf("%s: got %v, want %v", c.kind.Resource, got, c.header)
		}
		if got := kindtest.Row(c.kind, c.obj); !reflect.DeepEqual(got, c.row) {
			t.Errorf("%s: got %v, want %v", c.kind.Resource, got, c.row)
		}
	}
}
