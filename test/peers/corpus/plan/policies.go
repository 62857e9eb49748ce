package plan

import "fmt"

const policyRoot = "/apis/admissionregistration.k8s.io/v1/"

// about is a rule of a policy or a webhook: what is meant.
func about(groups, versions, operations, resources string) map[string]any {
	return map[string]any{"apiGroups": words(groups), "apiVersions": words(versions), "operations": words(operations), "resources": words(resources)}
}

// here keeps a policy or webhook to one namespace.
func here(space string) map[string]any {
	return map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": space}}
}

// policies are requests under validating and mutating admission policies.
func (c *family) policies() {
	const space = "f-policies"
	c.namespace(space, nil)
	in := "/api/v1/namespaces/" + space
	c.add("parameters", "POST", in+"/configmaps", map[string]any{"metadata": map[string]any{"name": "params", "labels": map[string]any{"p": "yes"}}, "data": map[string]any{"max": "3", "word": "hello"}})
	c.add("more parameters", "POST", in+"/configmaps", map[string]any{"metadata": map[string]any{"name": "params-2", "labels": map[string]any{"p": "yes"}}, "data": map[string]any{"max": "5"}})
	for _, p := range []struct {
		name          string
		spec, binding map[string]any
	}{
		{"plain", map[string]any{"validations": []any{map[string]any{"expression": "!has(object.metadata.labels) || !('bad' in object.metadata.labels)"}}}, nil},
		{"message", map[string]any{"validations": []any{map[string]any{"expression": "object.type != 'odd'", "message": "odd secrets are not wanted", "reason": "Unauthorized"}, map[string]any{"expression": "object.type != 'odder'", "messageExpression": "'not ' + object.type + ' in ' + namespaceObject.metadata.name", "reason": "Invalid"},
			map[string]any{"expression": "object.type != 'huge'", "message": "too much", "reason": "RequestEntityTooLarge"}}}, nil},
		{"fails", map[string]any{"validations": []any{map[string]any{"expression": "object.type != 'crash' || object.data.none.exists(x, true)"}}}, nil},
		{"ignores", map[string]any{"failurePolicy": "Ignore", "validations": []any{map[string]any{"expression": "object.type != 'crash' || int(object.type) > 0"}}}, nil},
		{"warns", map[string]any{"validations": []any{map[string]any{"expression": "object.type != 'warned'", "message": "you were warned"}}, "auditAnnotations": []any{map[string]any{"key": "type", "valueExpression": "object.type"}}}, map[string]any{"validationActions": words("Warn Audit")}},
		{"variables", map[string]any{"variables": []any{map[string]any{"name": "n", "expression": "size(object.?data.orValue({}))"}, map[string]any{"name": "twice", "expression": "variables.n * 2"}}, "validations": []any{map[string]any{"expression": "variables.twice < 6", "messageExpression": "'twice is ' + string(variables.twice)"}}}, nil},
		{"conditions", map[string]any{"matchConditions": []any{map[string]any{"name": "user", "expression": "request.userInfo.username != 'x' && object.type == 'conditional'"}}, "validations": []any{map[string]any{"expression": "false", "message": "conditional is refused"}}}, nil},
		{"bad-condition", map[string]any{"matchConditions": []any{map[string]any{"name": "crash", "expression": "object.type == 'condition' ? object.none.none : false"}}, "validations": []any{map[string]any{"expression": "true"}}}, nil},
		{"params", map[string]any{"paramKind": map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}, "validations": []any{map[string]any{"expression": "object.type != 'params' || int(params.data.max) > 4", "messageExpression": "'max is ' + params.data.max"}}}, map[string]any{"paramRef": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"p": "yes"}}, "parameterNotFoundAction": "Deny"}}},
		{"one-param", map[string]any{"paramKind": map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}, "matchConditions": []any{map[string]any{"name": "c", "expression": "object.type == 'one'"}}, "validations": []any{map[string]any{"expression": "params.data.word == 'bye'"}}}, map[string]any{"paramRef": map[string]any{"name": "params", "parameterNotFoundAction": "Deny"}}},
		{"no-param", map[string]any{"paramKind": map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}, "matchConditions": []any{map[string]any{"name": "c", "expression": "object.type == 'lost'"}}, "validations": []any{map[string]any{"expression": "true"}}}, map[string]any{"paramRef": map[string]any{"name": "none", "namespace": space, "parameterNotFoundAction": "Deny"}}},
		{"allowed-without", map[string]any{"paramKind": map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}, "validations": []any{map[string]any{"expression": "object.type != 'free' || params == null"}}}, map[string]any{"paramRef": map[string]any{"name": "none", "parameterNotFoundAction": "Allow"}}},
		{"authorizer", map[string]any{"validations": []any{map[string]any{"expression": "object.type != 'guarded' || authorizer.group('').resource('secrets').namespace('" + space + "').check('own').allowed()", "message": "may not"}}}, nil},
	} {
		rules := []any{about("core", "v1", "CREATE UPDATE", "secrets")}
		spec := merged(map[string]any{"matchConstraints": map[string]any{"resourceRules": rules}}, p.spec)
		if p.name == "no-param" { // which refuses all that it is about, whatever its conditions
			spec = merged(spec, map[string]any{"matchConstraints": map[string]any{"objectSelector": map[string]any{"matchLabels": map[string]any{"lost": "yes"}}}})
		}
		c.add("policy "+p.name, "POST", policyRoot+"validatingadmissionpolicies", map[string]any{"metadata": map[string]any{"name": "f-" + p.name}, "spec": spec})
		binding := merged(map[string]any{"policyName": "f-" + p.name, "validationActions": words("Deny"), "matchResources": map[string]any{"namespaceSelector": here(space)}}, p.binding)
		c.add("binding "+p.name, "POST", policyRoot+"validatingadmissionpolicybindings", map[string]any{"metadata": map[string]any{"name": "f-" + p.name}, "spec": binding})
	}
	c.add("policy of deletions", "POST", policyRoot+"validatingadmissionpolicies", map[string]any{"metadata": map[string]any{"name": "f-deletes"}, "spec": map[string]any{"matchConstraints": map[string]any{"resourceRules": []any{about("core", "v1", "DELETE", "secrets"), about("core", "v1", "*", "pods/*"), about("apps", "v1", "*", "deployments/scale")}},
		"validations": []any{map[string]any{"expression": "request.operation != 'DELETE' || oldObject.metadata.name != 'kept'", "message": "kept is kept"}, map[string]any{"expression": "request.subResource != 'ephemeralcontainers'", "message": "no shells"}}}})
	c.add("binding of deletions", "POST", policyRoot+"validatingadmissionpolicybindings", map[string]any{"metadata": map[string]any{"name": "f-deletes"}, "spec": map[string]any{"policyName": "f-deletes", "validationActions": words("Deny"), "matchResources": map[string]any{"namespaceSelector": here(space)}}})
	c.add("binding of nothing", "POST", policyRoot+"validatingadmissionpolicybindings", map[string]any{"metadata": map[string]any{"name": "f-lost"}, "spec": map[string]any{"policyName": "f-none", "validationActions": words("Deny")}})
	c.settle()
	c.settle()
	secret := func(kind string, more map[string]any) map[string]any {
		return merged(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s"}, "type": kind}, more)
	}
	tries := func(when string) {
		for _, kind := range []string{"plain", "odd", "odder", "huge", "crash", "warned", "conditional", "condition", "params", "one", "lost", "free", "guarded"} {
			c.add(kind+" secret "+when, "POST", in+"/secrets"+dry, secret(kind, nil))
			if kind == "odd" || kind == "warned" {
				c.add(kind+" secret applied "+when, "PATCH", in+"/secrets/s"+dry+"&fieldManager=m", secret(kind, nil), applyPatch)
			}
		}
		c.add("lost label "+when, "POST", in+"/secrets"+dry, secret("x", meta("labels", map[string]any{"lost": "yes"})))
		c.add("labelled secret "+when, "POST", in+"/secrets"+dry, secret("x", meta("labels", map[string]any{"bad": "yes"})))
		c.add("large secret "+when, "POST", in+"/secrets"+dry, secret("x", map[string]any{"stringData": map[string]any{"a": "1", "b": "2", "c": "3"}}))
		c.add("two reasons "+when, "POST", in+"/secrets"+dry, secret("warned", meta("labels", map[string]any{"bad": "yes"})))
		c.add("elsewhere "+when, "POST", "/api/v1/namespaces/default/secrets"+dry, secret("odd", nil))
		c.add("carol's guarded secret "+when, "POST", in+"/secrets"+dry, secret("guarded", nil), as("carol"))
	}
	tries("under policies")
	c.add("kept", "POST", in+"/secrets", secret("plain", meta("name", "kept")))
	c.add("kept is changed badly", "PATCH", in+"/secrets/kept"+dry, meta("labels", map[string]any{"bad": "yes"}), mergePatch)
	c.add("kept is changed well", "PATCH", in+"/secrets/kept"+dry, meta("labels", map[string]any{"good": "yes"}), mergePatch)
	c.add("kept is deleted", "DELETE", in+"/secrets/kept", nil)
	c.add("all are deleted", "DELETE", in+"/secrets"+dry, nil)
	c.add("a pod", "POST", in+"/pods", pod("p", nil))
	c.add("a shell", "PATCH", in+"/pods/p/ephemeralcontainers"+dry, `{"spec":{"ephemeralContainers":[{"name":"e","image":"i"}]}}`, strategic)
	c.mutations(space)
	for _, list := range []string{"validatingadmissionpolicybindings", "validatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingadmissionpolicies"} {
		c.add("delete all "+list, "DELETE", policyRoot+list, nil)
	}
	c.settle()
	tries("after policies")
}

// mutations are mutating policies.
func (c *family) mutations(space string) {
	in := "/api/v1/namespaces/" + space
	apply := func(expression string) map[string]any {
		return map[string]any{"patchType": "ApplyConfiguration", "applyConfiguration": map[string]any{"expression": expression}}
	}
	patch := func(expression string) map[string]any {
		return map[string]any{"patchType": "JSONPatch", "jsonPatch": map[string]any{"expression": expression}}
	}
	for i, p := range []struct {
		name, condition string
		mutations       []any
		more            map[string]any
	}{
		{"label", "object.data.kind == 'label'", []any{apply("Object{metadata: Object.metadata{labels: {'by': 'policy', 'user': request.userInfo.username}}}")}, nil},
		{"patch", "object.data.kind == 'patch'", []any{patch("[JSONPatch{op: 'add', path: '/data/more', value: 'yes'}, JSONPatch{op: 'test', path: '/data/kind', value: 'patch'}]")}, nil},
		{"twice", "object.data.kind == 'twice'", []any{apply("Object{data: {'one': '1'}}"), patch("[JSONPatch{op: 'replace', path: '/data/one', value: object.data.one + '1'}]")}, nil},
		{"missing", "object.data.kind == 'missing'", []any{patch("[JSONPatch{op: 'remove', path: '/data/none'}]")}, nil},
		{"crash", "object.data.kind == 'crash'", []any{patch("[JSONPatch{op: 'add', path: '/data/x', value: object.none.none}]")}, nil},
		{"ignored", "object.data.kind == 'ignored'", []any{patch("[JSONPatch{op: 'remove', path: '/data/none'}]")}, map[string]any{"failurePolicy": "Ignore"}},
		{"variables", "object.data.kind == 'variables'", []any{apply("Object{data: {'size': variables.size}}")}, map[string]any{"variables": []any{map[string]any{"name": "size", "expression": "string(size(object.data))"}}}},
		{"again", "object.data.kind == 'again'", []any{patch("[JSONPatch{op: 'add', path: '/data/count', value: has(object.data.count) ? object.data.count + 'x' : 'x'}]")}, map[string]any{"reinvocationPolicy": "IfNeeded"}},
		{"atomic", "object.data.kind == 'atomic'", []any{apply("Object{metadata: Object.metadata{finalizers: ['example.com/a']}}")}, nil},
	} {
		spec := merged(map[string]any{"matchConstraints": map[string]any{"resourceRules": []any{about("core", "v1", "CREATE UPDATE", "configmaps")}}, "failurePolicy": "Fail", "reinvocationPolicy": "Never", "mutations": p.mutations,
			"matchConditions": []any{map[string]any{"name": "kind", "expression": "has(object.data) && has(object.data.kind) && " + p.condition}}}, p.more)
		name := fmt.Sprintf("f-%d-%s", i, p.name)
		c.add("mutating policy "+p.name, "POST", policyRoot+"mutatingadmissionpolicies", map[string]any{"metadata": map[string]any{"name": name}, "spec": spec})
		c.add("mutating binding "+p.name, "POST", policyRoot+"mutatingadmissionpolicybindings", map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{"policyName": name, "matchResources": map[string]any{"namespaceSelector": here(space)}}})
	}
	c.settle()
	c.settle()
	for _, kind := range []string{"label", "patch", "twice", "missing", "crash", "ignored", "variables", "again", "atomic", "none"} {
		object := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c-" + kind}, "data": map[string]any{"kind": kind}}
		c.add("configuration "+kind, "POST", in+"/configmaps", object, managed)
		c.add("configuration "+kind+" again", "PUT", in+"/configmaps/c-"+kind, object, managed)
		c.add("configuration "+kind+" applied", "PATCH", in+"/configmaps/d-"+kind+"?fieldManager=m", merged(object, meta("name", "d-"+kind)), applyPatch, managed)
	}
}

// hooks are webhooks that nobody answers.
func (c *family) hooks() {
	const space = "f-hooks"
	c.namespace(space, nil)
	in := "/api/v1/namespaces/" + space
	hook := func(name string, more map[string]any) map[string]any {
		return merged(map[string]any{"name": name + ".example.com", "sideEffects": "None", "admissionReviewVersions": words("v1"), "clientConfig": map[string]any{"service": map[string]any{"name": "none", "namespace": space, "path": "/x"}}, "timeoutSeconds": 2,
			"namespaceSelector": here(space), "rules": []any{about("core", "v1", "CREATE", "configmaps")}}, more)
	}
	only := func(expression string) map[string]any {
		return map[string]any{"matchConditions": []any{map[string]any{"name": "only", "expression": "has(object.data) && has(object.data.kind) && (" + expression + ")"}}}
	}
	for _, kind := range []string{"validating", "mutating"} {
		c.add(kind+" hooks", "POST", policyRoot+kind+"webhookconfigurations", map[string]any{"metadata": map[string]any{"name": "f-hooks"}, "webhooks": []any{
			hook("service", only("object.data.kind == '"+kind+"-service'")), hook("ignored", merged(only("object.data.kind == '"+kind+"-ignored'"), map[string]any{"failurePolicy": "Ignore"})),
			hook("url", merged(only("object.data.kind == '"+kind+"-url'"), map[string]any{"clientConfig": map[string]any{"service": nil, "url": "https://127.0.0.1:1/hook"}})),
			hook("effects", merged(only("object.data.kind == '"+kind+"-effects'"), map[string]any{"sideEffects": "NoneOnDryRun"})),
			hook("crash", only("object.data.none == '"+kind+"'")),
		}})
	}
	c.settle()
	for _, kind := range []string{"validating", "mutating"} {
		for _, what := range []string{"service", "ignored", "url", "effects"} {
			object := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": kind + "-" + what}, "data": map[string]any{"kind": kind + "-" + what, "none": "x"}}
			c.add(kind+" "+what, "POST", in+"/configmaps", object)
			c.add(kind+" "+what+" on trial", "POST", in+"/configmaps"+dry, merged(object, meta("name", "trial")))
		}
		c.add(kind+" crash", "POST", in+"/configmaps"+dry, map[string]any{"metadata": map[string]any{"name": "x"}, "data": map[string]any{"kind": "x"}})
	}
	for _, kind := range []string{"validating", "mutating"} {
		c.add("delete "+kind, "DELETE", policyRoot+kind+"webhookconfigurations/f-hooks", nil)
	}
	c.settle()
	c.add("after hooks", "POST", in+"/configmaps"+dry, map[string]any{"metadata": map[string]any{"name": "x"}, "data": map[string]any{"kind": "validating-service"}})
}
