package rbac_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/rbac"
	"github.com/floe-k8s/floe/internal/auth/rbac/policy"
	"github.com/floe-k8s/floe/internal/auth/rbac/rbactest"
	"github.com/floe-k8s/floe/internal/kinds"
)

func controller(name string) auth.User {
	return auth.User{Name: "system:serviceaccount:kube-system:" + name, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", auth.Authenticated}}
}

// TestFirstPolicy asks what the roles that every cluster begins with let the well-known identities do.
func TestFirstPolicy(t *testing.T) {
	a := rbac.New(rbactest.Fixed(policy.Objects()))
	on := func(verb, group, resource, sub string) auth.Attributes {
		return auth.Attributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: "default"}
	}
	path := func(p string) auth.Attributes { return auth.Attributes{Verb: "get", Path: p} }
	nobody := auth.User{Name: auth.Anonymous, Groups: []string{auth.Unauthenticated}}
	bob := auth.User{Name: "bob", Groups: []string{auth.Authenticated}}
	scheduler := auth.User{Name: "system:kube-scheduler"}
	for _, c := range []struct {
		who   auth.User
		what  auth.Attributes
		allow bool
	}{
		{auth.User{Name: "x", Groups: []string{auth.Masters}}, on("delete", "any.example.com", "things", ""), true},
		{auth.User{Name: "x", Groups: []string{auth.Masters}}, path("/anything"), true},
		{nobody, path("/readyz"), true},
		{nobody, path("/version"), true},
		{nobody, path("/api"), false},
		{nobody, on("get", "", "pods", ""), false},
		{bob, path("/apis/apps/v1"), true},
		{bob, path("/metrics"), false},
		{bob, on("list", "", "pods", ""), false},
		{bob, on("create", "authorization.k8s.io", "selfsubjectaccessreviews", ""), true},
		{scheduler, on("create", "", "pods", "binding"), true},
		{scheduler, on("create", "", "pods", ""), false},
		{scheduler, on("update", "", "pods", "status"), true},
		{controller("deployment-controller"), on("create", "apps", "replicasets", ""), true},
		{controller("deployment-controller"), on("create", "", "pods", ""), false},
		{controller("replicaset-controller"), on("create", "", "pods", ""), true},
		{controller("generic-garbage-collector"), on("delete", "any", "things", ""), true},
		{controller("generic-garbage-collector"), on("create", "any", "things", ""), false},
		{controller("namespace-controller"), on("update", "", "namespaces", "finalize"), true},
		{controller("root-ca-cert-publisher"), path("/.well-known/openid-configuration"), true},
		{auth.User{Name: "system:node:a", Groups: []string{auth.Nodes}}, on("update", "", "pods", "status"), false}, // the node authorizer's
	} {
		if got, reason, err := a.Authorize(t.Context(), c.who, c.what); (got == auth.Allow) != c.allow || err != nil || strings.HasPrefix(reason, "RBAC: allowed by") != c.allow {
			t.Errorf("%s: %+v: %v %q %v, want allowed %v", c.who.Name, c.what, got, reason, err, c.allow)
		}
	}
}

// one is a policy in which everybody in group g has the rule.
func one(rule rbacv1.PolicyRule) rbactest.Fixed {
	return rbactest.Fixed{
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{rule}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "b"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "r"}, Subjects: []rbacv1.Subject{{Kind: "Group", Name: "g"}}},
	}
}

func TestRulesMatch(t *testing.T) {
	rule := func(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: strings.Split(groups, ","), Resources: strings.Split(resources, ","), ResourceNames: names}
	}
	paths := func(list ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: list}
	}
	for i, c := range []struct {
		rule rbacv1.PolicyRule
		want auth.Attributes
		ok   bool
	}{
		{rule("get", "", "pods"), auth.Attributes{Verb: "get", Resource: "pods"}, true},
		{rule("get", "", "pods"), auth.Attributes{Verb: "get", Resource: "pods", Subresource: "log"}, false},
		{rule("get", "", "pods/log"), auth.Attributes{Verb: "get", Resource: "pods", Subresource: "log"}, true},
		{rule("get", "", "pods/log"), auth.Attributes{Verb: "get", Resource: "pods"}, false},
		{rule("*", "*", "*/scale"), auth.Attributes{Verb: "update", Group: "apps", Resource: "deployments", Subresource: "scale"}, true},
		{rule("*", "*", "*/scale"), auth.Attributes{Verb: "update", Group: "apps", Resource: "deployments"}, false},
		{rule("*", "*", "*/scale"), auth.Attributes{Verb: "update", Group: "apps", Resource: "deployments", Subresource: "status"}, false},
		{rule("*", "*", "*"), auth.Attributes{Verb: "update", Group: "apps", Resource: "deployments", Subresource: "status"}, true},
		{rule("*", "*", "*"), auth.Attributes{Verb: "get", Path: "/api"}, false},
		{rule("get", "", "pods", "a"), auth.Attributes{Verb: "get", Resource: "pods", Name: "b"}, false},
		{rule("get", "", "pods", "b", "a"), auth.Attributes{Verb: "get", Resource: "pods", Name: "a"}, true},
		{rule("get", "", "pods", "a"), auth.Attributes{Verb: "list", Resource: "pods"}, false},
		{rule("get", "apps", "pods"), auth.Attributes{Verb: "get", Resource: "pods"}, false},
		{paths("/apis/*"), auth.Attributes{Verb: "get", Path: "/apis/apps"}, true},
		{paths("/apis/*"), auth.Attributes{Verb: "get", Path: "/api"}, false},
		{paths("/apis"), auth.Attributes{Verb: "get", Path: "/apis/apps"}, false},
		{paths("*"), auth.Attributes{Verb: "get", Path: "/x"}, true},
		{paths("*"), auth.Attributes{Verb: "post", Path: "/x"}, false},
		{paths("*"), auth.Attributes{Verb: "get", Resource: "pods"}, false},
	} {
		got, _, err := rbac.New(one(c.rule)).Authorize(t.Context(), auth.User{Name: "u", Groups: []string{"g"}}, c.want)
		if (got == auth.Allow) != c.ok || err != nil {
			t.Errorf("%d: %+v on %+v: %v, %v, want %v", i, c.rule, c.want, got, err, c.ok)
		}
	}
}

func TestReasons(t *testing.T) {
	role := func(namespace, name string) kinds.Object {
		return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}}
	}
	bind := func(namespace, name, kind, role string, subject rbacv1.Subject) kinds.Object {
		return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: rbacv1.RoleRef{Kind: kind, Name: role}, Subjects: []rbacv1.Subject{subject}}
	}
	a := rbac.New(rbactest.Fixed{
		role("one", "r"), bind("one", "b", "Role", "r", rbacv1.Subject{Kind: "ServiceAccount", Name: "robot"}), bind("two", "b", "Role", "r", rbacv1.Subject{Kind: "User", Name: "u"}),
		bind("two", "c", "ClusterRole", "gone", rbacv1.Subject{Kind: "User", Name: "u"}), bind("one", "d", "Role", "r", rbacv1.Subject{Kind: "User", Name: "u"}),
	})
	for _, c := range []struct {
		user, namespace string
		decision        auth.Decision
		reason          string
	}{
		{"system:serviceaccount:one:robot", "one", auth.Allow, `RBAC: allowed by RoleBinding "b/one" of Role "r" to ServiceAccount "robot/one"`},
		{"system:serviceaccount:two:robot", "one", auth.NoOpinion, ""},
		{"u", "one", auth.Allow, `RBAC: allowed by RoleBinding "d/one" of Role "r" to User "u"`},
		{"u", "two", auth.NoOpinion, `RBAC: [role.rbac.authorization.k8s.io "r" not found, clusterrole.rbac.authorization.k8s.io "gone" not found]`},
		{"u", "", auth.NoOpinion, ""},
	} {
		got, reason, err := a.Authorize(t.Context(), auth.User{Name: c.user}, auth.Attributes{Verb: "get", Resource: "pods", Namespace: c.namespace})
		if got != c.decision || reason != c.reason || err != nil {
			t.Errorf("%s in %q: %v %q %v, want %v %q", c.user, c.namespace, got, reason, err, c.decision, c.reason)
		}
	}
}

// changing is a policy of which a test says when it has changed.
type changing struct {
	rbactest.Fixed
	revision uint64
}

func (c *changing) Changed(schema.GroupVersionResource) uint64 { return c.revision }

func (c *changing) Get(res schema.GroupVersionResource, namespace, name string) kinds.Object {
	return c.Fixed.Get(res, namespace, name)
}

func (c *changing) Lookup(res schema.GroupVersionResource, index, value string) iter.Seq[kinds.Object] {
	return c.Fixed.Lookup(res, index, value)
}

func TestTheNewestPolicyHolds(t *testing.T) {
	table := &changing{revision: 1}
	a := rbac.New(table)
	asks := func() auth.Decision {
		got, _, _ := a.Authorize(t.Context(), auth.User{Name: "u", Groups: []string{"g"}}, auth.Attributes{Verb: "get", Resource: "pods"})
		return got
	}
	if asks() != auth.NoOpinion {
		t.Error("allowed by nobody")
	}
	table.Fixed, table.revision = one(rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}), 2
	if asks() != auth.Allow {
		t.Error("not allowed by a new binding")
	}
	table.Fixed, table.revision = nil, 3
	if asks() != auth.NoOpinion {
		t.Error("allowed by a binding that is gone")
	}
}

func TestADecisionAllocatesNothing(t *testing.T) {
	a := rbac.New(rbactest.Fixed(policy.Objects()))
	user := controller("namespace-controller")
	attrs := auth.Attributes{Verb: "update", Resource: "namespaces", Subresource: "finalize", Name: "x", Namespace: "x"}
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { _, _, _ = a.Authorize(ctx, user, attrs) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// TestManyUsers asks for more users than are remembered.
func TestManyUsers(t *testing.T) {
	a := rbac.New(one(rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}))
	for i := range 10_000 {
		got, _, _ := a.Authorize(t.Context(), auth.User{Name: fmt.Sprint("u", i), Groups: []string{"g"}}, auth.Attributes{Verb: "get", Resource: "pods"})
		if got != auth.Allow {
			t.Fatalf("user %d: %v", i, got)
		}
	}
}

func TestUncovered(t *testing.T) {
	user := auth.User{Name: "bob", Groups: []string{"dev", auth.Authenticated}}
	rule := func(verbs, resources string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: []string{""}, Resources: strings.Split(resources, ",")}
	}
	held := []rbacv1.PolicyRule{rule("get,list", "pods")}
	if err := rbac.Uncovered(user, held, nil, []rbacv1.PolicyRule{rule("get", "pods")}); err != nil {
		t.Errorf("what is held: %v", err)
	}
	err := rbac.Uncovered(user, held, nil, []rbacv1.PolicyRule{rule("get,delete,watch", "pods"), rule("*", "secrets"), {Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}}})
	const want = `user "bob" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["pods"], Verbs:["delete" "watch"]}
{APIGroups:[""], Resources:["secrets"], Verbs:["*"]}
{NonResourceURLs:["/x"], Verbs:["get"]}`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func BenchmarkAuthorize(b *testing.B) {
	objects := policy.Objects()
	for i := range 10_000 {
		objects = append(objects, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("b", i)}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"},
			Subjects: []rbacv1.Subject{{Kind: "User", Name: fmt.Sprint("u", i)}},
		})
	}
	a := rbac.New(rbactest.Fixed(objects))
	user := controller("namespace-controller")
	attrs := auth.Attributes{Verb: "update", Resource: "namespaces", Subresource: "finalize", Name: "x"}
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = a.Authorize(b.Context(), user, attrs)
	}
}
