package plan

import (
	"fmt"
	"strings"
)

const (
	rightsSpace = "f-rights"
	rbacRoot    = "/apis/rbac.authorization.k8s.io/v1"
)

func rule(verbs, groups, resources string, more ...string) map[string]any {
	out := map[string]any{"verbs": words(verbs), "apiGroups": words(groups), "resources": words(resources)}
	if len(more) > 0 {
		out["resourceNames"] = words(strings.Join(more, " "))
	}
	return out
}

// words are the words of a text; "core" is the empty one.
func words(text string) []any {
	out := []any{}
	for word := range strings.FieldsSeq(text) {
		if word == "core" {
			word = ""
		}
		out = append(out, word)
	}
	return out
}

func subject(kind, name string) map[string]any {
	out := map[string]any{"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}
	if kind == "ServiceAccount" {
		delete(out, "apiGroup")
		out["namespace"] = rightsSpace
	}
	return out
}

func roleRef(kind, name string) map[string]any {
	return map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
}

// rights are requests of users who may do little: what they are refused, what they may not give others, as whom they may act, and what reviews say of all that.
func (c *family) rights() {
	c.namespace(rightsSpace, nil)
	roles, bindings := rbacRoot+"/namespaces/"+rightsSpace+"/roles", rbacRoot+"/namespaces/"+rightsSpace+"/rolebindings"
	clusterRoles, clusterBindings := rbacRoot+"/clusterroles", rbacRoot+"/clusterrolebindings"
	c.add("a role to read", "POST", roles, map[string]any{"metadata": map[string]any{"name": "reader"}, "rules": []any{
		rule("get list watch", "core", "configmaps"), rule("get", "core", "secrets", "one two"), rule("get update", "core", "pods/status")}})
	c.add("a role to give roles", "POST", roles, map[string]any{"metadata": map[string]any{"name": "giver"}, "rules": []any{
		rule("*", "rbac.authorization.k8s.io", "roles rolebindings"), rule("get", "core", "configmaps")}})
	c.add("a cluster role", "POST", clusterRoles, map[string]any{"metadata": map[string]any{"name": "f-rights-wide"}, "rules": []any{
		rule("list", "core", "nodes"), map[string]any{"verbs": words("get"), "nonResourceURLs": words("/metrics /logs/*")}}})
	c.add("a cluster role to bind", "POST", clusterRoles, map[string]any{"metadata": map[string]any{"name": "f-rights-binder"}, "rules": []any{
		rule("bind", "rbac.authorization.k8s.io", "clusterroles", "view"), rule("bind", "rbac.authorization.k8s.io", "roles", "reader"),
		rule("create get", "rbac.authorization.k8s.io", "rolebindings")}})
	c.add("a cluster role to escalate", "POST", clusterRoles, map[string]any{"metadata": map[string]any{"name": "f-rights-escalator"}, "rules": []any{
		rule("escalate create update patch get", "rbac.authorization.k8s.io", "roles")}})
	c.add("a cluster role to act as others", "POST", clusterRoles, map[string]any{"metadata": map[string]any{"name": "f-rights-actor"}, "rules": []any{
		rule("impersonate", "core", "users", "carol"), rule("impersonate", "core", "groups", "team"), rule("impersonate", "authentication.k8s.io", "userextras/scopes", "view"),
		rule("impersonate", "authentication.k8s.io", "uids", "u-1")}})
	c.add("an aggregated cluster role", "POST", clusterRoles, map[string]any{"metadata": map[string]any{"name": "f-rights-sum"},
		"aggregationRule": map[string]any{"clusterRoleSelectors": []any{map[string]any{"matchLabels": map[string]any{"x": "y"}}}}})
	bind := func(list, name string, to map[string]any, subjects ...any) {
		c.add("binding "+name, "POST", list, map[string]any{"metadata": map[string]any{"name": name}, "roleRef": to, "subjects": subjects})
	}
	bind(bindings, "readers", roleRef("Role", "reader"), subject("User", "carol"), subject("Group", "team"), subject("ServiceAccount", "default"))
	bind(bindings, "givers", roleRef("Role", "giver"), subject("User", "gina"))
	bind(bindings, "binders", roleRef("ClusterRole", "f-rights-binder"), subject("User", "bert"))
	bind(bindings, "escalators", roleRef("ClusterRole", "f-rights-escalator"), subject("User", "eve"))
	bind(bindings, "viewers", roleRef("ClusterRole", "view"), subject("User", "vera"))
	bind(bindings, "editors", roleRef("ClusterRole", "edit"), subject("User", "edda"))
	bind(bindings, "admins", roleRef("ClusterRole", "admin"), subject("User", "adam"))
	bind(bindings, "of a role that is not there", roleRef("Role", "gone"), subject("User", "lost"))
	bind(bindings, "lost", roleRef("Role", "gone"), subject("User", "lost"))
	bind(clusterBindings, "f-rights-wide", roleRef("ClusterRole", "f-rights-wide"), subject("User", "carol"))
	bind(clusterBindings, "f-rights-actors", roleRef("ClusterRole", "f-rights-actor"), subject("User", "alice"))
	bind(clusterBindings, "f-rights-sums", roleRef("ClusterRole", "f-rights-sum"), subject("User", "sue"))
	for _, name := range []string{"one", "two"} {
		c.add("configuration "+name, "POST", "/api/v1/namespaces/"+rightsSpace+"/configmaps", meta("name", name))
		c.add("secret "+name, "POST", "/api/v1/namespaces/"+rightsSpace+"/secrets", meta("name", name))
	}
	c.settle()
	c.refused()
	c.escalations(roles, bindings)
	c.impersonations()
	c.accessReviews()
	c.tokens()
}

// refused tries each verb as each user.
func (c *family) refused() {
	in := "/api/v1/namespaces/" + rightsSpace
	object, patch := meta("name", "three"), `{"metadata":{"labels":{"a":"b"}}}`
	for _, user := range []string{"carol", "nobody", "lost", "vera", "edda", "adam", "sue", "system:anonymous", "system:serviceaccount:" + rightsSpace + ":default", "system:node:n", "system:kube-scheduler"} {
		for _, r := range []struct {
			method, path string
			body         any
			header       []string
		}{
			{method: "GET", path: in + "/configmaps"}, {method: "GET", path: in + "/configmaps/one"}, {method: "GET", path: in + "/configmaps/none"},
			{method: "GET", path: in + "/configmaps?watch=1&timeoutSeconds=1&resourceVersion=1&fieldSelector=metadata.name%3Dnone"}, {method: "GET", path: "/api/v1/configmaps?limit=1&labelSelector=none%3Dx"},
			{method: "POST", path: in + "/configmaps" + dry, body: object}, {method: "PUT", path: in + "/configmaps/one" + dry, body: meta("name", "one")},
			{method: "PATCH", path: in + "/configmaps/one" + dry, body: patch, header: []string{mergePatch}},
			{method: "PATCH", path: in + "/configmaps/new" + dry + "&fieldManager=m", body: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "new"}}, header: []string{applyPatch}},
			{method: "DELETE", path: in + "/configmaps/one" + dry}, {method: "DELETE", path: in + "/configmaps" + dry},
			{method: "GET", path: in + "/secrets"}, {method: "GET", path: in + "/secrets/one"}, {method: "GET", path: in + "/secrets/three"}, {method: "GET", path: in + "/secrets?fieldSelector=metadata.name%3Done"},
			{method: "GET", path: in + "/pods/p/log"}, {method: "GET", path: in + "/pods/p/status"}, {method: "POST", path: in + "/pods/p/exec?command=ls"}, {method: "POST", path: in + "/pods/p/eviction", body: "{}"},
			{method: "POST", path: in + "/pods/p/binding", body: "{}"}, {method: "GET", path: in + "/pods/p/proxy/a/b"}, {method: "GET", path: in + "/services/s:80/proxy/"},
			{method: "POST", path: in + "/serviceaccounts/default/token", body: "{}"}, {method: "GET", path: "/api/v1/nodes?labelSelector=none%3Dx"}, {method: "GET", path: "/api/v1/nodes/n"}, {method: "GET", path: "/api/v1/nodes/n/proxy/"},
			{method: "GET", path: "/apis/apps/v1/namespaces/" + rightsSpace + "/deployments/d/scale"}, {method: "PUT", path: "/apis/apps/v1/namespaces/" + rightsSpace + "/deployments/d/status", body: "{}"},
			{method: "GET", path: "/api/v1/namespaces/" + rightsSpace + "?x=y"}, {method: "PUT", path: "/api/v1/namespaces/" + rightsSpace + "/finalize", body: "{}"}, {method: "DELETE", path: "/api/v1/namespaces/" + rightsSpace + dry},
			{method: "POST", path: "/api/v1/namespaces" + dry, body: meta("name", "f-rights-more")}, {method: "GET", path: in + "/gadgets"}, {method: "GET", path: "/apis/none.example.com/v1/gadgets"},
			{method: "GET", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/none"},
			{method: "PUT", path: "/apis/certificates.k8s.io/v1/certificatesigningrequests/none/approval", body: "{}"},
			{method: "GET", path: "/metrics/none"}, {method: "GET", path: "/logs/a/b"}, {method: "GET", path: "/nothing"}, {method: "POST", path: "/healthz"}, {method: "GET", path: "/livez/ping"},
			{method: "GET", path: "/openapi/v3/none"}, {method: "GET", path: "/apis/none"}, {method: "GET", path: "/flagz"}, {method: "GET", path: "/statusz"}, {method: "GET", path: "/debug/pprof/none"},
		} {
			if (user == "system:anonymous" || user == "nobody") && r.path == "/healthz" {
				continue
			}
			c.add(user+": "+r.method+" "+r.path, r.method, r.path, r.body, append(r.header, as(user))...)
		}
	}
	for _, t := range []string{"flagz", "statusz"} {
		for _, accept := range []string{"application/json", "application/vnd.kubernetes.protobuf", "application/*", "text/html", "application/json;as=Wrong;v=v1beta1;g=config.k8s.io", "text/plain;as=Flagz;v=v1beta1;g=config.k8s.io"} {
			c.add(t+" as "+accept, "GET", "/"+t, nil, "Accept: "+accept)
		}
		c.add("below "+t, "GET", "/"+t+"/", nil)
	}
}

// escalations are roles and bindings that give more than their makers have.
func (c *family) escalations(roles, bindings string) {
	role := func(name string, rules ...any) map[string]any {
		return map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": map[string]any{"name": name}, "rules": rules}
	}
	binding := func(name string, to map[string]any, subjects ...any) map[string]any {
		return map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": map[string]any{"name": name}, "roleRef": to, "subjects": subjects}
	}
	sets := [][]any{
		{rule("get", "core", "configmaps")}, {rule("get", "core", "configmaps", "one")}, {rule("list", "core", "configmaps")}, {rule("*", "*", "*")}, {rule("get list", "core apps", "secrets pods/log")},
		{rule("get", "core", "configmaps"), rule("delete", "core", "secrets", "x"), rule("create", "batch", "jobs jobs/status")}, {rule("get", "*", "configmaps")}, {rule("get", "core", "*")}, {rule("get", "core", "*/status")},
		{rule("escalate bind", "rbac.authorization.k8s.io", "roles")}, {}, {map[string]any{"verbs": words("get"), "nonResourceURLs": words("/metrics")}},
	}
	for _, user := range []string{"gina", "eve", "bert", "adam", "nobody"} {
		for i, rules := range sets {
			c.add(fmt.Sprintf("%s gives rules %d", user, i), "POST", roles+dry, role("given", rules...), as(user))
			c.add(fmt.Sprintf("%s changes to rules %d", user, i), "PUT", roles+"/reader"+dry, role("reader", rules...), as(user))
			c.add(fmt.Sprintf("%s patches to rules %d", user, i), "PATCH", roles+"/giver"+dry, map[string]any{"rules": rules}, mergePatch, as(user))
			c.add(fmt.Sprintf("%s applies rules %d", user, i), "PATCH", roles+"/applied"+dry+"&fieldManager=m", role("applied", rules...), applyPatch, as(user))
		}
		for _, to := range []map[string]any{roleRef("Role", "reader"), roleRef("Role", "giver"), roleRef("Role", "none"), roleRef("ClusterRole", "view"), roleRef("ClusterRole", "admin"), roleRef("ClusterRole", "cluster-admin"), roleRef("ClusterRole", "none"), roleRef("ClusterRole", "f-rights-sum"), roleRef("ClusterRole", "f-rights-wide")} {
			what := fmt.Sprintf("%s %s", to["kind"], to["name"])
			c.add(user+" binds "+what, "POST", bindings+dry, binding("given", to, subject("User", "x")), as(user))
			c.add(user+" binds for all "+what, "POST", rbacRoot+"/clusterrolebindings"+dry, map[string]any{"metadata": map[string]any{"name": "f-rights-given"}, "roleRef": to, "subjects": []any{subject("Group", "x")}}, as(user))
		}
		c.add(user+" adds a subject", "PATCH", bindings+"/readers"+dry, map[string]any{"subjects": []any{subject("User", "x")}}, mergePatch, as(user))
		c.add(user+" changes what is bound", "PATCH", bindings+"/readers"+dry, map[string]any{"roleRef": roleRef("ClusterRole", "admin")}, mergePatch, as(user))
		c.add(user+" labels a binding", "PATCH", bindings+"/admins"+dry, meta("labels", map[string]any{"a": "b"}), mergePatch, as(user))
		c.add(user+" gives to all", "POST", rbacRoot+"/clusterroles"+dry, map[string]any{"metadata": map[string]any{"name": "f-rights-new"}, "rules": sets[0]}, as(user))
		c.add(user+" sums up", "POST", rbacRoot+"/clusterroles"+dry, map[string]any{"metadata": map[string]any{"name": "f-rights-new"}, "aggregationRule": map[string]any{"clusterRoleSelectors": []any{map[string]any{}}}}, as(user))
	}
}

// impersonations act as others.
func (c *family) impersonations() {
	self := "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	body := map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
	for _, user := range []string{"", "alice", "bob"} {
		var who []string
		if user != "" {
			who = []string{as(user)}
		}
		for _, headers := range [][]string{
			{"Impersonate-User: carol"}, {"Impersonate-User: dave"}, {"Impersonate-User: carol", "Impersonate-Group: team"}, {"Impersonate-User: carol", "Impersonate-Group: system:masters"},
			{"Impersonate-Group: team"}, {"Impersonate-Uid: u-1"}, {"Impersonate-User: carol", "Impersonate-Uid: u-1"}, {"Impersonate-User: carol", "Impersonate-Uid: u-2"},
			{"Impersonate-User: carol", "Impersonate-Extra-Scopes: view"}, {"Impersonate-User: carol", "Impersonate-Extra-Scopes: edit"}, {"Impersonate-User: carol", "Impersonate-Extra-Other: view"}, {"Impersonate-Extra-Scopes: view"},
			{"Impersonate-User: system:serviceaccount:" + rightsSpace + ":default"}, {"Impersonate-User: system:serviceaccount:bad"}, {"Impersonate-User: system:node:n"}, {"Impersonate-User: system:anonymous"},
			{"Impersonate-User: system:anonymous", "Impersonate-Group: team"}, {"Impersonate-User: carol", "Impersonate-Group: system:unauthenticated"}, {"Impersonate-User: carol", "Impersonate-Group: system:authenticated"},
		} {
			c.add(fmt.Sprintf("%q as %s", user, strings.Join(headers, ", ")), "POST", self, body, append(headers, who...)...)
			c.add(fmt.Sprintf("%q lists as %s", user, strings.Join(headers, ", ")), "GET", "/api/v1/namespaces/"+rightsSpace+"/configmaps", nil, append(headers, who...)...)
		}
	}
	for _, user := range []string{"carol", "system:serviceaccount:" + rightsSpace + ":default", "system:node:n", "system:anonymous"} {
		c.add("who is "+user, "POST", self, body, as(user))
	}
}

// accessReviews ask what users may.
func (c *family) accessReviews() {
	root := "/apis/authorization.k8s.io/v1/"
	attributes := []map[string]any{
		{"resourceAttributes": map[string]any{"verb": "get", "resource": "configmaps", "namespace": rightsSpace}}, {"resourceAttributes": map[string]any{"verb": "delete", "resource": "configmaps", "namespace": rightsSpace}},
		{"resourceAttributes": map[string]any{"verb": "get", "resource": "secrets", "name": "one", "namespace": rightsSpace}}, {"resourceAttributes": map[string]any{"verb": "get", "resource": "secrets", "name": "three", "namespace": rightsSpace}},
		{"resourceAttributes": map[string]any{"verb": "update", "resource": "pods", "subresource": "status", "namespace": rightsSpace}}, {"resourceAttributes": map[string]any{"verb": "list", "resource": "nodes"}},
		{"resourceAttributes": map[string]any{"verb": "*", "group": "*", "resource": "*"}}, {"resourceAttributes": map[string]any{"verb": "get", "resource": "configmaps", "namespace": "elsewhere", "version": "v1"}},
		{"resourceAttributes": map[string]any{"verb": "list", "resource": "configmaps", "namespace": rightsSpace, "fieldSelector": map[string]any{"rawSelector": "metadata.name=one"}}},
		{"resourceAttributes": map[string]any{"verb": "list", "resource": "configmaps", "namespace": rightsSpace, "labelSelector": map[string]any{"requirements": []any{map[string]any{"key": "a", "operator": "In", "values": words("b")}}}}},
		{"resourceAttributes": map[string]any{"verb": "list", "resource": "configmaps", "namespace": rightsSpace, "labelSelector": map[string]any{"rawSelector": "a=b", "requirements": []any{map[string]any{"key": "a", "operator": "Wrong"}}}}},
		{"nonResourceAttributes": map[string]any{"verb": "get", "path": "/metrics"}}, {"nonResourceAttributes": map[string]any{"verb": "get", "path": "/logs/x"}}, {"nonResourceAttributes": map[string]any{"verb": "post", "path": "/metrics"}},
		{"nonResourceAttributes": map[string]any{"verb": "get", "path": "/apis"}}, {"resourceAttributes": map[string]any{}, "nonResourceAttributes": map[string]any{}}, {},
		{"resourceAttributes": map[string]any{"verb": "impersonate", "resource": "users", "name": "carol"}}, {"resourceAttributes": map[string]any{"verb": "bind", "group": "rbac.authorization.k8s.io", "resource": "roles", "name": "reader", "namespace": rightsSpace}},
	}
	subjects := []map[string]any{
		{"user": "carol"}, {"user": "nobody"}, {"groups": words("team")}, {"user": "x", "groups": words("system:masters")}, {"user": "alice", "extra": map[string]any{"scopes": words("view")}, "uid": "u"},
		{"user": "system:serviceaccount:" + rightsSpace + ":default"}, {"user": "system:node:n", "groups": words("system:nodes")}, {"user": "vera"}, {"user": "lost"}, {"user": "bert"}, {},
	}
	for i, a := range attributes {
		for j, s := range subjects {
			name := fmt.Sprintf("%d of subject %d", i, j)
			c.add("review "+name, "POST", root+"subjectaccessreviews", map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": merged(a, s)})
			if j < 2 {
				c.add("local review "+name, "POST", root+"namespaces/"+rightsSpace+"/localsubjectaccessreviews", map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "LocalSubjectAccessReview", "metadata": map[string]any{"namespace": rightsSpace}, "spec": merged(a, s)})
			}
		}
		for _, user := range []string{"carol", "nobody", "vera", "system:anonymous"} {
			c.add(fmt.Sprintf("self review %d of %s", i, user), "POST", root+"selfsubjectaccessreviews", map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": a}, as(user))
		}
	}
	for _, user := range []string{"carol", "nobody", "alice", "sue", "lost", "bert", "vera", "system:anonymous", "system:node:n", "system:serviceaccount:" + rightsSpace + ":default"} {
		for _, space := range []string{rightsSpace, "default", "none", ""} {
			c.add(fmt.Sprintf("rules of %s in %q", user, space), "POST", root+"selfsubjectrulesreviews",
				map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": map[string]any{"namespace": space}}, as(user))
		}
	}
	for _, user := range []string{"carol", "adam"} {
		c.add("a review by "+user, "POST", root+"subjectaccessreviews", map[string]any{"spec": merged(attributes[0], subjects[0])}, as(user))
		c.add("a local review by "+user, "POST", root+"namespaces/"+rightsSpace+"/localsubjectaccessreviews", map[string]any{"spec": merged(attributes[0], subjects[0])}, as(user))
		c.add("a token review by "+user, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", map[string]any{"spec": map[string]any{"token": "x"}}, as(user))
	}
}

// tokens ask for tokens of service accounts, and who somebody is.
func (c *family) tokens() {
	at := "/api/v1/namespaces/" + rightsSpace + "/serviceaccounts/"
	for i, spec := range []any{
		map[string]any{}, map[string]any{"audiences": words("vault")}, map[string]any{"expirationSeconds": 600}, map[string]any{"expirationSeconds": 599}, map[string]any{"expirationSeconds": 3607}, map[string]any{"expirationSeconds": 4294967297},
		map[string]any{"boundObjectRef": map[string]any{"kind": "Pod", "apiVersion": "v1", "name": "none"}}, map[string]any{"boundObjectRef": map[string]any{"kind": "Secret", "apiVersion": "v1", "name": "one"}},
		map[string]any{"boundObjectRef": map[string]any{"kind": "Secret", "apiVersion": "v1", "name": "one", "uid": "wrong"}}, map[string]any{"boundObjectRef": map[string]any{"kind": "Node", "apiVersion": "v1", "name": "none"}},
		map[string]any{"boundObjectRef": map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "name": "one"}}, map[string]any{"boundObjectRef": map[string]any{}}, "wrong", nil,
	} {
		c.add(fmt.Sprintf("token %d", i), "POST", at+"default/token", map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
	}
	c.add("token of nobody", "POST", at+"none/token", map[string]any{"spec": map[string]any{}})
	c.add("token of another name", "POST", at+"default/token", map[string]any{"metadata": map[string]any{"name": "other", "namespace": "elsewhere"}, "spec": map[string]any{}})
	c.add("get a token", "GET", at+"default/token", nil)
	c.add("token on trial", "POST", at+"default/token"+dry, map[string]any{"spec": map[string]any{}})
	for i, spec := range []any{map[string]any{"token": ""}, map[string]any{"token": "x"}, map[string]any{"token": "x", "audiences": words("a b")}, map[string]any{"token": "eyJhbGciOiJSUzI1NiJ9.e30.x"}, nil} {
		c.add(fmt.Sprintf("token review %d", i), "POST", "/apis/authentication.k8s.io/v1/tokenreviews", map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec})
	}
}
