package auth

import (
	"net/http/httptest"
	"testing"
)

func TestPolicy(t *testing.T) {
	may := Policy()
	controller := func(name string) User { return User{Name: controllerPrefix + name, Groups: []string{Authenticated}} }
	on := func(verb, group, resource, sub string) Attributes {
		return Attributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: "default"}
	}
	path := func(p string) Attributes { return Attributes{Verb: "get", Path: p} }
	nobody := User{Name: Anonymous, Groups: []string{Unauthenticated}}
	bob := User{Name: "bob", Groups: []string{Authenticated}}
	for _, c := range []struct {
		who   User
		what  Attributes
		allow bool
	}{
		{User{Name: "x", Groups: []string{Masters}}, on("delete", "any.example.com", "things", ""), true},
		{User{Name: "x", Groups: []string{Masters}}, path("/anything"), true},
		{nobody, path("/readyz"), true},
		{nobody, path("/version"), true},
		{nobody, path("/api"), false},
		{nobody, on("get", "", "pods", ""), false},
		{bob, path("/apis/apps/v1"), true},
		{bob, path("/metrics"), false},
		{bob, on("list", "", "pods", ""), false},
		{User{Name: "system:kube-scheduler"}, on("create", "", "pods", "binding"), true},
		{User{Name: "system:kube-scheduler"}, on("create", "", "pods", ""), false},
		{User{Name: "system:kube-scheduler"}, on("update", "", "pods", "status"), true},
		{controller("deployment-controller"), on("create", "apps", "replicasets", ""), true},
		{controller("deployment-controller"), on("create", "", "pods", ""), false},
		{controller("replicaset-controller"), on("create", "", "pods", ""), true},
		{controller("generic-garbage-collector"), on("delete", "any", "things", ""), true},
		{controller("generic-garbage-collector"), on("create", "any", "things", ""), false},
		{controller("namespace-controller"), on("update", "", "namespaces", "finalize"), true},
		{User{Name: "system:node:a", Groups: []string{Nodes}}, on("update", "", "pods", "status"), true},
		{User{Name: "system:node:a", Groups: []string{Nodes}}, on("update", "", "pods", ""), false},
		{User{Name: "system:node:a", Groups: []string{Nodes}}, on("list", "apps", "deployments", ""), false},
	} {
		if got, _ := may(c.who, c.what); got != c.allow {
			t.Errorf("%s: %+v: allowed %v, want %v", c.who.Name, c.what, got, c.allow)
		}
	}
}

func TestRulesMatch(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		want Attributes
		ok   bool
	}{
		{Rule{Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"pods"}}, Attributes{Verb: "get", Resource: "pods"}, true},
		{Rule{Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"pods"}}, Attributes{Verb: "get", Resource: "pods", Subresource: "log"}, false},
		{Rule{Verbs: []string{"*"}, Groups: []string{"*"}, Resources: []string{"*/scale"}}, Attributes{Verb: "update", Group: "apps", Resource: "deployments", Subresource: "scale"}, true},
		{Rule{Verbs: []string{"*"}, Groups: []string{"*"}, Resources: []string{"*/scale"}}, Attributes{Verb: "update", Group: "apps", Resource: "deployments"}, false},
		{Rule{Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"pods"}, Names: []string{"a"}}, Attributes{Verb: "get", Resource: "pods", Name: "b"}, false},
		{Rule{Verbs: []string{"get"}, Paths: []string{"/apis/*"}}, Attributes{Verb: "get", Path: "/apis/apps"}, true},
		{Rule{Verbs: []string{"get"}, Paths: []string{"/apis/*"}}, Attributes{Verb: "get", Path: "/api"}, false},
		{Rule{Verbs: []string{"*"}, Groups: []string{"*"}, Resources: []string{"*"}}, Attributes{Verb: "get", Path: "/api"}, false},
	} {
		if got := c.rule.allows(c.want); got != c.ok {
			t.Errorf("%+v on %+v: %v, want %v", c.rule, c.want, got, c.ok)
		}
	}
}

func TestABadTokenIsNotAnonymous(t *testing.T) {
	chain := First(NoTokens, AnonymousUser)
	for header, refused := range map[string]bool{"": false, "Bearer abc": true, "bearer  abc": true, "Basic abc": false, "Bearer ": false} {
		r := httptest.NewRequest("GET", "/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		user, ok, err := chain(r)
		if (err != nil) != refused || !refused && (!ok || user.Name != Anonymous) {
			t.Errorf("Authorization %q: %v, %v, %v", header, user, ok, err)
		}
	}
}
