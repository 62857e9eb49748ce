package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/floe-k8s/floe/test/peers/transcript"
)

// script is the list of requests of one kind.
type script struct {
	*Spec
	list
}

// list is a list of requests that grows.
type list struct {
	blocks []transcript.Block
	names  map[string]int // how often each was used
}

// Blocks are all requests of the kind, without answers. A block's lead names it: "# NAME".
func (s *Spec) Blocks() ([]transcript.Block, error) {
	c := &script{s, list{names: map[string]int{}}}
	if s.Namespaced {
		c.add("namespace", "POST", "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": s.namespace()}})
		// No controller gives the namespace one, and no pod is let in that has none.
		for _, name := range append([]string{"default"}, s.Accounts...) {
			c.add("service account "+name, "POST", "/api/v1/namespaces/"+s.namespace()+"/serviceaccounts", meta("name", name))
		}
	}
	for _, n := range s.Needs {
		c.add("need of "+n.Resource, "POST", rootOf(versionOf(n.Object))+"/"+n.Resource, n.Object)
	}
	if len(s.Needs) > 0 {
		c.settle()
	}
	if s.has("create") {
		c.create()
	}
	for i, text := range s.Requests {
		c.own(i, text)
	}
	if s.has("list") {
		c.forms()
		c.lists()
		c.refusals()
	}
	if s.has("create") {
		c.metadata()
		c.bad()
		c.bodies()
	}
	if s.has("update") && !s.Unsettled {
		c.updates()
		c.patches()
		c.applies()
		c.subresources()
	}
	if s.has("delete") && s.has("create") && !s.Unsettled {
		c.deletions()
	}
	return c.whole(s.Name())
}

// whole are the requests, none of which is empty.
func (c *list) whole(of string) ([]transcript.Block, error) {
	for _, b := range c.blocks {
		if strings.TrimSpace(b.Input) == "" {
			return nil, fmt.Errorf("%s: %s is empty", of, b.Lead)
		}
	}
	return c.blocks, nil
}

// settle waits until the server's caches have what was written. floe has none.
func (c *list) settle() { c.put("settle", "SETTLE\n") }

// add appends a request. Headers are "Name: value"; a body is nil, a text, or what is sent as JSON.
func (c *list) add(name, method, path string, body any, headers ...string) {
	text := ""
	switch body := body.(type) {
	case nil:
	case string:
		text = body
	default:
		data, err := json.Marshal(body)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", name, err)) // bodies are made of what JSON is made of
		}
		text = string(data)
	}
	input := method + " " + path + "\n"
	for _, h := range headers {
		input += h + "\n"
	}
	if text != "" {
		input += "\n" + text + "\n"
	}
	c.put(name, input)
}

func (c *list) put(name, input string) {
	if c.names[name]++; c.names[name] > 1 {
		name = fmt.Sprintf("%s (%d)", name, c.names[name])
	}
	c.blocks = append(c.blocks, transcript.Block{Lead: "# " + name + "\n\n", Input: input})
}

// own is a request that stands in the specification: a line that names it, then its text.
func (c *script) own(i int, text string) {
	name := fmt.Sprintf("own %d", i+1)
	if rest, found := strings.CutPrefix(text, "# "); found {
		name, text, _ = strings.Cut(rest, "\n")
	}
	words := strings.NewReplacer("BASE", c.collection(), "ROOT", c.root(), "NAMESPACE", c.namespace())
	c.put(name, strings.TrimRight(words.Replace(text), "\n")+"\n")
}

// object is a copy of the i-th good object in the kind's namespace.
func (c *script) object(i int) map[string]any {
	if c.Namespaced {
		return merged(c.Objects[i], meta("namespace", c.namespace()))
	}
	return maps.Clone(c.Objects[i])
}

// another is an object like the first, with a name of its own.
func (c *script) another() map[string]any {
	return merged(merged(c.object(0), c.Fresh), meta("name", c.name(0)+"-m"))
}

// name is the name of the i-th object.
func (c *script) name(i int) string {
	m, _ := c.Objects[i]["metadata"].(map[string]any)
	name, _ := m["name"].(string)
	return name
}

// one is the path of the first object.
func (c *script) one() string { return c.collection() + "/" + c.name(0) }

// meta is a patch of one field of the metadata.
func meta(key string, value any) map[string]any {
	return map[string]any{"metadata": map[string]any{key: value}}
}

const dry = "?dryRun=All"

// create makes the good objects, those that differ from the first in one part only on trial.
func (c *script) create() {
	verb := c.collection()
	if c.Unsettled || !c.has("delete") {
		verb += dry
	}
	for i := range c.Objects {
		c.add(fmt.Sprintf("create %d", i+1), "POST", verb, c.object(i), showManaged(i)...)
	}
	if !c.has("delete") {
		verb = c.collection()
	} else {
		verb = c.collection() + dry
	}
	for _, m := range mutants(merged(c.object(0), c.Fresh), mutations, c.Limit, c.Shallow) {
		m.object = merged(m.object, meta("name", c.name(0)+"-m"))
		c.add("create: "+m.name, "POST", verb, m.object)
	}
	if !c.Unsettled && c.has("delete") {
		c.add("create again", "POST", c.collection(), c.object(0))
		c.add("create again on trial", "POST", c.collection()+dry, c.object(0))
	}
}

// showManaged lets the managed fields of the first object be seen.
func showManaged(i int) []string {
	if i > 0 {
		return nil
	}
	return []string{transcript.Show + ": managedFields", transcript.Keep + ": version"}
}

// bad sends what the specification lists as such.
func (c *script) bad() {
	for i, patch := range c.Bad {
		patch = merged(meta("name", c.name(0)+"-b"), patch)
		c.add(fmt.Sprintf("create bad %d", i+1), "POST", c.collection()+dry, merged(merged(c.object(0), c.Fresh), patch))
	}
}

// metadata tries what all objects have.
func (c *script) metadata() {
	long := strings.Repeat("n", 254)
	for _, t := range []struct {
		name  string
		patch map[string]any
	}{
		{"name removed", meta("name", nil)}, {"name upper case", meta("name", "Upper")}, {"name with dots", meta("name", "a.b")},
		{"name with a slash", meta("name", "a/b")}, {"name ..", meta("name", "..")}, {"name long", meta("name", long)},
		{"name 63 long", meta("name", long[:63])}, {"name 64 long", meta("name", long[:64])}, {"name begins with a digit", meta("name", "1a")},
		{"name with a colon", meta("name", "system:a_B")}, {"generateName", merged(meta("name", nil), meta("generateName", "g-"))},
		{"generateName bad", merged(meta("name", nil), meta("generateName", "G_"))}, {"name and generateName", meta("generateName", "g-")},
		{"label key bad", meta("labels", map[string]any{"a b": "c"})}, {"label key of three parts", meta("labels", map[string]any{"x/y/z": "c"})},
		{"label key empty", meta("labels", map[string]any{"": "c"})}, {"label value bad", meta("labels", map[string]any{"a": "b c"})},
		{"label value long", meta("labels", map[string]any{"l": long})},
		{"label a number", meta("labels", map[string]any{"a": 5})}, {"annotation key bad", meta("annotations", map[string]any{"a b": "c"})},
		{"annotation key upper case", meta("annotations", map[string]any{"A/b": "c"})},
		{"finalizer bad", meta("finalizers", []any{"a b", "plain", "example.com/ok"})}, {"finalizers both", meta("finalizers", []any{"orphan", "foregroundDeletion"})},
		{"owner incomplete", meta("ownerReferences", []any{map[string]any{}})},
		{"owners two controllers", meta("ownerReferences", []any{owner("a", true), owner("b", true)})}, {"owner an event", meta("ownerReferences", []any{
			map[string]any{"apiVersion": "v1", "kind": "Event", "name": "a", "uid": "u"}})},
		{"owner good", meta("ownerReferences", []any{owner("a", true), owner("b", false)})}, {"namespace another", meta("namespace", "another")},
		{"resourceVersion", meta("resourceVersion", "5")}, {"uid and time", merged(meta("uid", "my-own"), meta("creationTimestamp", "2020-01-01T00:00:00Z"))},
		{"creationTimestamp bad", meta("creationTimestamp", "yesterday")}, {"generation", meta("generation", 7)},
		{"deletionTimestamp", meta("deletionTimestamp", "2020-01-01T00:00:00Z")}, {"selfLink", meta("selfLink", "/x")}, {"metadata removed", map[string]any{"metadata": nil}},
		{"metadata a list", map[string]any{"metadata": []any{}}}, {"kind removed", map[string]any{"kind": nil}}, {"kind another", map[string]any{"kind": "Wrong"}},
		{"apiVersion removed", map[string]any{"apiVersion": nil}}, {"apiVersion another", map[string]any{"apiVersion": "wrong/v1"}},
		{"apiVersion and kind removed", map[string]any{"apiVersion": nil, "kind": nil}},
		{"managedFields bad", meta("managedFields", []any{map[string]any{"manager": "m", "operation": "Nothing", "fieldsType": "FieldsV2"}})},
	} {
		c.add("create: "+t.name, "POST", c.collection()+dry, merged(c.another(), t.patch))
	}
}

func owner(name string, controller bool) map[string]any {
	return map[string]any{"apiVersion": "example.com/v1", "kind": "Owner", "name": name, "uid": "uid-" + name, "controller": controller}
}

// bodies tries what a body may be, and the options of a creation.
func (c *script) bodies() {
	good := c.another()
	unknown := merged(good, map[string]any{"colour": "red", "metadata": merged(good["metadata"].(map[string]any), map[string]any{"shape": "round"})})
	text, err := json.Marshal(good)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", c.Name(), err)) // it came from JSON
	}
	twice := strings.TrimSuffix(string(text), "}") + `,"kind":"Again"}`
	at := c.collection() + dry
	for _, option := range []string{"Strict", "Warn", "Ignore", "Perhaps"} {
		c.add("unknown fields: "+option, "POST", at+"&fieldValidation="+option, unknown)
	}
	c.add("unknown fields", "POST", at, unknown)
	c.add("a field twice: Strict", "POST", at+"&fieldValidation=Strict", twice)
	c.add("a field twice", "POST", at, twice)
	c.add("body cut", "POST", at, string(text)[:len(text)/2])
	c.add("body of two objects", "POST", at, string(text)+string(text))
	c.add("body null", "POST", at, "null")
	c.add("body a list", "POST", at, "[]")
	c.add("body empty", "POST", at, nil, "Content-Type: application/json")
	c.add("body of a list kind", "POST", at, map[string]any{"apiVersion": good["apiVersion"], "kind": fmt.Sprint(good["kind"]) + "List", "items": []any{}})
	c.add("body in YAML", "POST", at, yamlText(good), "Content-Type: application/yaml")
	c.add("body in YAML with unknown fields: Strict", "POST", at+"&fieldValidation=Strict", yamlText(unknown), "Content-Type: application/yaml")
	c.add("body in protobuf", "POST", at, good, transcript.Form+": protobuf")
	c.add("body in CBOR", "POST", at, good, "Content-Type: application/cbor")
	c.add("body of no type", "POST", at, good, "Content-Type: text/plain")
	c.add("answer in YAML", "POST", at, good, "Accept: application/yaml")
	c.add("answer in protobuf", "POST", at, good, "Accept: application/vnd.kubernetes.protobuf")
	c.add("answer as table", "POST", at, good, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
	c.add("create with fieldManager", "POST", at+"&fieldManager=somebody", good, transcript.Show+": managedFields")
	c.add("create with a bad fieldManager", "POST", at+"&fieldManager="+strings.Repeat("m", 129), good)
	c.add("create with a bad dryRun", "POST", c.collection()+"?dryRun=Some", good)
}
