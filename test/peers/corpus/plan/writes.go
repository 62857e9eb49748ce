package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/floe-k8s/floe/test/peers/transcript"
)

const (
	mergePatch = "Content-Type: application/merge-patch+json"
	jsonPatch  = "Content-Type: application/json-patch+json"
	strategic  = "Content-Type: application/strategic-merge-patch+json"
	applyPatch = "Content-Type: application/apply-patch+yaml"
	managed    = transcript.Show + ": managedFields"
)

// current is an object as it would be put: with the version of what is there.
func current(object map[string]any) map[string]any {
	return merged(object, meta("resourceVersion", "LASTVERSION"))
}

// updates puts the first object with one part changed each, on trial.
func (c *script) updates() {
	good, at := c.object(0), c.one()
	c.add("put the same", "PUT", at, current(good), managed)
	for _, m := range mutants(good, edits, max(20, c.Limit/3), c.Shallow) {
		c.add("put: "+m.name, "PUT", at+dry, current(m.object))
	}
	for i, patch := range c.Changes {
		c.add(fmt.Sprintf("put change %d", i+1), "PUT", at+dry, current(merged(good, patch)))
	}
	if c.Status != nil {
		c.add("put a status through main", "PUT", at+dry, current(merged(good, map[string]any{"status": c.Status})))
	}
	for _, t := range []struct {
		name  string
		patch map[string]any
	}{
		{"without a version", meta("resourceVersion", nil)}, {"an old version", meta("resourceVersion", "1")}, {"a bad version", meta("resourceVersion", "abc")},
		{"another name", meta("name", "another")}, {"no name", meta("name", nil)}, {"another namespace", meta("namespace", "another")}, {"another uid", meta("uid", "another")},
		{"another creationTimestamp", meta("creationTimestamp", "2020-01-01T00:00:00Z")}, {"another generation", meta("generation", 99)},
		{"a deletionTimestamp", meta("deletionTimestamp", "2020-01-01T00:00:00Z")}, {"labels bad", meta("labels", map[string]any{"a b": "c"})},
		{"another kind", map[string]any{"kind": "Wrong"}}, {"another apiVersion", map[string]any{"apiVersion": "wrong/v1"}}, {"unknown field", map[string]any{"colour": "red"}},
		{"generateName", meta("generateName", "x-")}, {"finalizer bad", meta("finalizers", []any{"a b"})},
	} {
		c.add("put: "+t.name, "PUT", at+dry, merged(current(good), t.patch))
	}
	c.add("put strictly an unknown field", "PUT", at+dry+"&fieldValidation=Strict", merged(current(good), map[string]any{"colour": "red"}))
}

// patches tries each type of patch.
func (c *script) patches() {
	at := c.one()
	for i, patch := range c.Changes {
		c.add(fmt.Sprintf("merge patch change %d", i+1), "PATCH", at+dry, patch, mergePatch)
		c.add(fmt.Sprintf("strategic patch change %d", i+1), "PATCH", at+dry, patch, strategic)
	}
	label := `{"metadata":{"labels":{"patched":"yes"}}}`
	c.add("merge patch a label", "PATCH", at+"?fieldManager=patcher", label, mergePatch, managed)
	c.add("merge patch nothing", "PATCH", at, `{}`, mergePatch, managed)
	c.add("merge patch removes a label", "PATCH", at+"?fieldManager=patcher", `{"metadata":{"labels":{"patched":null}}}`, mergePatch, managed)
	c.add("strategic patch a label", "PATCH", at+dry, label, strategic)
	c.add("strategic patch replaces labels", "PATCH", at+dry, `{"metadata":{"labels":{"$patch":"replace","app":"corpus"}}}`, strategic)
	c.add("strategic patch a finalizer", "PATCH", at+dry, `{"metadata":{"finalizers":["example.com/a"]}}`, strategic)
	c.add("strategic patch a bad directive", "PATCH", at+dry, `{"metadata":{"labels":{"$patch":"nothing"}}}`, strategic)
	c.add("json patch a label", "PATCH", at+dry, `[{"op":"add","path":"/metadata/labels/patched","value":"yes"}]`, jsonPatch)
	c.add("json patch a test that fails", "PATCH", at+dry, `[{"op":"test","path":"/metadata/name","value":"x"}]`, jsonPatch)
	c.add("json patch a path that is not there", "PATCH", at+dry, `[{"op":"remove","path":"/spec/nothing"}]`, jsonPatch)
	c.add("json patch an operation that is none", "PATCH", at+dry, `[{"op":"invent","path":"/spec"}]`, jsonPatch)
	c.add("json patch no list", "PATCH", at+dry, `{}`, jsonPatch)
	c.add("json patch the name", "PATCH", at+dry, `[{"op":"replace","path":"/metadata/name","value":"x"}]`, jsonPatch)
	c.add("json patch the kind", "PATCH", at+dry, `[{"op":"replace","path":"/kind","value":"Wrong"}]`, jsonPatch)
	for _, kind := range []string{mergePatch, strategic} {
		of := strings.TrimSuffix(strings.TrimPrefix(kind, "Content-Type: application/"), "+json")
		c.add(of+" cut", "PATCH", at+dry, `{"metadata":`, kind)
		c.add(of+" a list", "PATCH", at+dry, `[]`, kind)
		c.add(of+" of a wrong type", "PATCH", at+dry, `{"metadata":{"labels":5}}`, kind)
		c.add(of+" unknown field: Strict", "PATCH", at+dry+"&fieldValidation=Strict", `{"colour":"red"}`, kind)
		c.add(of+" unknown field", "PATCH", at+dry, `{"colour":"red"}`, kind)
		c.add(of+" an old version", "PATCH", at+dry, meta("resourceVersion", "1"), kind)
		c.add(of+" another uid", "PATCH", at+dry, meta("uid", "another"), kind)
		c.add(of+" the name", "PATCH", at+dry, meta("name", "another"), kind)
		c.add(of+" a bad label", "PATCH", at+dry, meta("labels", map[string]any{"a b": "c"}), kind)
	}
	c.add("patch of no type", "PATCH", at+dry, `{}`, "Content-Type: application/json")
	c.add("patch in YAML", "PATCH", at+dry, `metadata: {}`, "Content-Type: application/yaml")
	for _, m := range mutants(c.object(0), mutations, 16, c.Shallow) {
		if m.change.value == (removed{}) || containsPlace(m.at.path) {
			continue
		}
		c.add("merge patch: "+m.name, "PATCH", at+dry, nested(m.at.path, m.change.value), mergePatch)
		if m.change.what != badKey { // where two fields are unknown, either may be named
			c.add("strategic patch: "+m.name, "PATCH", at+dry, nested(m.at.path, m.change.value), strategic)
		}
		c.add("json patch: "+m.name, "PATCH", at+dry, []any{map[string]any{"op": "replace", "path": pointer(m.at.path), "value": m.change.value}}, jsonPatch)
	}
	for _, n := range lists(c.object(0), 4) {
		c.add("strategic patch empties "+n.path.String(), "PATCH", at+dry, nested(n.path, []any{map[string]any{"$patch": "replace"}}), strategic)
		c.add("strategic patch sends again "+n.path.String(), "PATCH", at+dry, nested(n.path, n.value), strategic)
	}
}

// lists are the first n lists of an object that no list holds.
func lists(object map[string]any, n int) []node {
	var out []node
	for _, at := range nodes(object) {
		if _, ok := at.value.([]any); ok && !containsPlace(at.path) && len(out) < n {
			out = append(out, at)
		}
	}
	return out
}

func containsPlace(p path) bool {
	return slices.ContainsFunc(p, func(step any) bool { _, ok := step.(int); return ok })
}

// nested is a patch of one part.
func nested(p path, value any) any {
	for _, step := range slices.Backward(p) {
		value = map[string]any{step.(string): value}
	}
	return value
}

// pointer is a path as a JSON patch has it.
func pointer(p path) string {
	var out strings.Builder
	for _, step := range p {
		out.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(fmt.Sprint(step)))
	}
	return out.String()
}

// applies goes through server-side apply.
func (c *script) applies() {
	at, good := c.one(), c.object(0)
	bare := map[string]any{"apiVersion": good["apiVersion"], "kind": good["kind"]}
	labelled := merged(bare, meta("labels", map[string]any{"applied": "one"}))
	other := merged(bare, meta("labels", map[string]any{"applied": "two"}))
	c.add("apply on trial", "PATCH", at+dry+"&fieldManager=applier&force=true", good, applyPatch, managed)
	c.add("apply all, conflicts", "PATCH", at+dry+"&fieldManager=applier", merged(good, meta("labels", map[string]any{"app": "other"})), applyPatch)
	c.add("apply a label", "PATCH", at+"?fieldManager=applier", labelled, applyPatch, managed)
	c.add("apply a label again", "PATCH", at+"?fieldManager=applier", labelled, applyPatch, managed)
	c.add("apply another value, conflict", "PATCH", at+"?fieldManager=second", other, applyPatch)
	c.add("apply another value, forced", "PATCH", at+"?fieldManager=second&force=true", other, applyPatch, managed)
	c.add("apply without the label", "PATCH", at+"?fieldManager=second", bare, applyPatch, managed)
	c.add("apply without a manager", "PATCH", at, labelled, applyPatch)
	c.add("apply another name", "PATCH", at+"?fieldManager=applier", merged(labelled, meta("name", "another")), applyPatch)
	c.add("apply an unknown field", "PATCH", at+dry+"&fieldManager=applier", merged(labelled, map[string]any{"colour": "red"}), applyPatch)
	c.add("apply an unknown field: Strict", "PATCH", at+dry+"&fieldManager=applier&fieldValidation=Strict", merged(labelled, map[string]any{"colour": "red"}), applyPatch)
	c.add("apply managed fields", "PATCH", at+dry+"&fieldManager=applier", merged(labelled, meta("managedFields", []any{})), applyPatch)
	c.add("apply another kind", "PATCH", at+dry+"&fieldManager=applier", merged(labelled, map[string]any{"kind": "Wrong"}), applyPatch)
	c.add("apply no kind", "PATCH", at+dry+"&fieldManager=applier", meta("labels", map[string]any{"a": "b"}), applyPatch)
	c.add("apply in CBOR", "PATCH", at+dry+"&fieldManager=applier", labelled, "Content-Type: application/apply-patch+cbor")
	c.add("apply with a version", "PATCH", at+dry+"&fieldManager=applier", merged(labelled, meta("resourceVersion", "1")), applyPatch)
	c.add("apply creates", "PATCH", c.collection()+"/"+c.name(0)+"-a"+dry+"&fieldManager=applier", merged(good, meta("name", c.name(0)+"-a")), applyPatch, managed)
	c.add("force without apply", "PATCH", at+"?force=true", `{}`, mergePatch)
	for _, m := range mutants(good, mutations, 8, c.Shallow) {
		c.add("apply: "+m.name, "PATCH", at+dry+"&fieldManager=applier&force=true", m.object, applyPatch)
	}
}

// subresources reads and writes status and scale.
func (c *script) subresources() {
	at, good := c.one(), c.object(0)
	if slices.Contains(c.Subresources, "status") {
		full := current(merged(good, map[string]any{"status": c.Status}))
		c.add("get status", "GET", at+"/status", nil)
		c.add("get status as table", "GET", at+"/status", nil, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
		for _, m := range mutants(map[string]any{"status": c.Status}, mutations, max(24, c.Limit/3), c.Shallow) {
			c.add("put status: "+m.name, "PUT", at+"/status"+dry, current(merged(good, map[string]any{"status": m.object["status"]})))
		}
		c.add("put status", "PUT", at+"/status", full, managed)
		c.add("put status with labels and no spec", "PUT", at+"/status"+dry, merged(current(merged(full, map[string]any{"spec": nil})), meta("labels", map[string]any{"app": "corpus", "s": "t"})))
		c.add("get with status", "GET", at, nil, managed)
		c.add("table with status", "GET", at, nil, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
		for _, m := range mutants(map[string]any{"status": c.Status}, edits, max(12, c.Limit/6), c.Shallow) {
			c.add("put status: "+m.name, "PUT", at+"/status"+dry, current(merged(good, map[string]any{"status": m.object["status"]})))
		}
		c.add("merge patch status", "PATCH", at+"/status"+dry, map[string]any{"status": c.Status, "spec": map[string]any{}}, mergePatch)
		c.add("strategic patch status", "PATCH", at+"/status"+dry, map[string]any{"status": c.Status}, strategic)
		c.add("apply status", "PATCH", at+"/status"+dry+"&fieldManager=applier&force=true",
			map[string]any{"apiVersion": good["apiVersion"], "kind": good["kind"], "status": c.Status}, applyPatch, managed)
		c.add("put status with an old version", "PUT", at+"/status", merged(full, meta("resourceVersion", "1")))
		c.add("post status", "POST", at+"/status", full)
		c.add("put main keeps status", "PUT", at, current(good), managed)
	}
	if slices.Contains(c.Subresources, "scale") {
		c.scale(at + "/scale")
	}
}

func (c *script) scale(at string) {
	of := func(replicas any) map[string]any {
		return map[string]any{"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": map[string]any{"name": c.name(0), "namespace": c.namespace()},
			"spec": map[string]any{"replicas": replicas}}
	}
	c.add("get scale", "GET", at, nil)
	c.add("get scale as table", "GET", at, nil, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
	c.add("get scale in protobuf", "GET", at, nil, "Accept: application/vnd.kubernetes.protobuf")
	c.add("put scale", "PUT", at, of(4), managed)
	for _, bad := range []any{-1, "four", 1.5, nil} {
		c.add(fmt.Sprintf("put scale %v", bad), "PUT", at+dry, of(bad))
	}
	c.add("put scale of another name", "PUT", at+dry, merged(of(4), meta("name", "another")))
	c.add("put scale with an old version", "PUT", at+dry, merged(of(4), meta("resourceVersion", "1")))
	c.add("put scale of another kind", "PUT", at+dry, merged(of(4), map[string]any{"kind": "Wrong"}))
	c.add("merge patch scale", "PATCH", at+"?fieldManager=scaler", `{"spec":{"replicas":5}}`, mergePatch)
	c.add("strategic patch scale", "PATCH", at+dry, `{"spec":{"replicas":6}}`, strategic)
	c.add("json patch scale", "PATCH", at+dry, `[{"op":"replace","path":"/spec/replicas","value":7}]`, jsonPatch)
	c.add("apply scale", "PATCH", at+dry+"&fieldManager=applier&force=true", map[string]any{"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": map[string]any{"replicas": 8}}, applyPatch)
	c.add("merge patch scale bad", "PATCH", at+dry, `{"spec":{"replicas":-5}}`, mergePatch)
	c.add("get what was scaled", "GET", strings.TrimSuffix(at, "/scale"), nil, managed)
}

// deletions ends with the objects gone.
func (c *script) deletions() {
	at := c.one()
	options := func(fields map[string]any) map[string]any {
		out := map[string]any{"apiVersion": "v1", "kind": "DeleteOptions"}
		maps.Copy(out, fields)
		return out
	}
	for _, t := range []struct {
		name string
		body any
	}{
		{"bad policy", options(map[string]any{"propagationPolicy": "Everything"})}, {"policy and orphans", options(map[string]any{"propagationPolicy": "Orphan", "orphanDependents": true})},
		{"negative grace", options(map[string]any{"gracePeriodSeconds": -1})}, {"grace a string", options(map[string]any{"gracePeriodSeconds": "one"})},
		{"bad uid", options(map[string]any{"preconditions": map[string]any{"uid": "another"}})},
		{"bad version", options(map[string]any{"preconditions": map[string]any{"resourceVersion": "1"}})},
		{"right preconditions", options(map[string]any{"dryRun": []any{"All"}, "preconditions": map[string]any{"uid": "LASTUID", "resourceVersion": "LASTVERSION"}})},
		{"dry run bad", options(map[string]any{"dryRun": []any{"Some"}})}, {"dry run", options(map[string]any{"dryRun": []any{"All"}})},
		{"dry run, grace", options(map[string]any{"dryRun": []any{"All"}, "gracePeriodSeconds": 5})},
		{"options of another kind", map[string]any{"apiVersion": "v1", "kind": "Wrong"}}, {"options cut", "{"},
	} {
		c.add("delete: "+t.name, "DELETE", at, t.body)
	}
	for _, q := range []string{"propagationPolicy=Orphan", "propagationPolicy=Foreground", "propagationPolicy=Background", "orphanDependents=true", "gracePeriodSeconds=0", "propagationPolicy=x"} {
		c.add("delete on trial: "+q, "DELETE", at+dry+"&"+q, nil)
	}
	c.held()
	if c.has("deletecollection") {
		list := c.ours(c.collection())
		c.add("delete all on trial", "DELETE", joined(list, "dryRun=All"), nil)
		c.add("delete some of a bad selector", "DELETE", joined(c.collection(), "labelSelector=a+b"), nil)
		c.add("delete some of a bad field", "DELETE", joined(list, "fieldSelector=spec.nothing%3Dx"), nil)
		c.add("delete all, one at a time, on trial", "DELETE", joined(list, "limit=1&dryRun=All"), nil)
	}
	c.add("delete", "DELETE", at, nil)
	c.add("get what was deleted", "GET", at, nil)
	if c.has("deletecollection") {
		c.add("delete all", "DELETE", joined(c.ours(c.collection()), "gracePeriodSeconds=0"), nil)
	}
	for i := range c.Objects[1:] {
		c.add(fmt.Sprintf("delete %d", i+2), "DELETE", c.collection()+"/"+c.name(i+1)+"?gracePeriodSeconds=0", nil)
	}
	c.add("list of nothing", "GET", c.ours(c.collection()), nil)
	if c.has("watch") {
		c.add("watch what was", "GET", joined(c.ours(c.collection()), "watch=1&timeoutSeconds=1&resourceVersion=FIRSTVERSION"), nil)
		c.add("watch one that was", "GET", joined(c.collection(), "watch=1&timeoutSeconds=1&resourceVersion=FIRSTVERSION&fieldSelector=metadata.name%3D"+c.name(0)), nil)
	}
}

// held deletes objects that a finalizer holds, by each policy.
func (c *script) held() {
	last := len(c.Objects) - 1
	for _, policy := range []string{"Orphan", "Foreground", "Background"} {
		name := c.name(last) + "-" + strings.ToLower(policy)
		object := merged(c.object(last), map[string]any{"metadata": map[string]any{"name": name, "finalizers": []any{"example.com/held"}}})
		at := c.collection() + "/" + name
		c.add("create held: "+policy, "POST", c.collection(), object)
		c.add("delete held: "+policy, "DELETE", at+"?gracePeriodSeconds=0&propagationPolicy="+policy, nil)
		c.add("get held: "+policy, "GET", at, nil)
		c.add("delete held again: "+policy, "DELETE", at+"?gracePeriodSeconds=0", nil)
		c.add("add a finalizer to held: "+policy, "PATCH", at, meta("finalizers", []any{"example.com/held", "example.com/more"}), mergePatch)
		c.add("let go: "+policy, "PATCH", at, meta("finalizers", nil), mergePatch)
		c.add("get let go: "+policy, "GET", at, nil)
	}
}
