package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"github.com/floe-k8s/floe/internal/kinds"
)

type object = map[string]any

const (
	metaPrefix = "io.k8s.apimachinery.pkg.apis.meta.v1."
	refPrefix  = "#/components/schemas/"
	gvkField   = "x-kubernetes-group-version-kind"
)

// The media types of bodies and answers, as the server negotiates them.
var (
	bodies  = []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}
	patches = []string{"application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"}
)

// document is the OpenAPI document of one group and version while it is being made.
type document struct {
	schemas map[string]map[string]any // of all types
	gv      schema.GroupVersion
	paths   object
	used    map[string]object // the schemas that this document refers to, with all that those refer to
}

func newDocument(schemas map[string]map[string]any, gv schema.GroupVersion) *document {
	return &document{schemas: schemas, gv: gv, paths: object{}, used: map[string]object{}}
}

func (d *document) encode() ([]byte, error) {
	return json.Marshal(object{
		"openapi": "3.0.0", "info": object{"title": "Kubernetes", "version": "unversioned"}, "paths": d.paths,
		"components": object{"schemas": d.used, "securitySchemes": object{"BearerToken": object{
			"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication",
		}}},
	})
}

// component is the name under which a type's schema is known.
func component(obj any) string {
	if named, ok := obj.(interface{ OpenAPIModelName() string }); ok {
		return named.OpenAPIModelName()
	}
	panic(fmt.Sprintf("%T has no name in OpenAPI", obj))
}

// ref uses a schema, and all that it refers to, and returns the reference.
func (d *document) ref(name string) object {
	if d.used[name] == nil {
		s, ok := d.schemas[name]
		if !ok {
			panic("no schema for " + name)
		}
		copied := maps.Clone(s)
		d.used[name] = copied
		d.follow(s)
	}
	return object{"$ref": refPrefix + name}
}

func (d *document) follow(v any) {
	switch v := v.(type) {
	case map[string]any:
		if r, ok := v["$ref"].(string); ok {
			d.ref(strings.TrimPrefix(r, refPrefix))
		}
		for _, inner := range v {
			d.follow(inner)
		}
	case []any:
		for _, inner := range v {
			d.follow(inner)
		}
	}
}

// is says that a component is the body of a kind, and maybe of others besides (DeleteOptions, of every group).
func (d *document) is(name string, gvk schema.GroupVersionKind) {
	d.ref(name)
	had, _ := d.used[name][gvkField].([]object)
	if !slices.ContainsFunc(had, func(o object) bool { return maps.Equal(o, gvkOf(gvk)) }) {
		d.used[name][gvkField] = append(had, gvkOf(gvk))
	}
}

func gvkOf(gvk schema.GroupVersionKind) object {
	return object{"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind}
}

// addVersion describes /version, which belongs to no group.
func (d *document) addVersion() {
	answer := object{"description": "OK", "content": d.content(component(version.Info{}), []string{"application/json"})}
	d.paths["/version/"] = object{"get": object{
		"tags": []string{"version"}, "description": "get the version information for this server", "operationId": "getCodeVersion",
		"responses": object{"200": answer, "401": object{"description": "Unauthorized"}},
	}}
}

func value(obj runtime.Object) any { return reflect.ValueOf(obj).Elem().Interface() }

// add describes a kind's paths.
func (d *document) add(k *kinds.Kind) {
	body, list := component(value(k.New())), component(value(k.NewList()))
	d.is(body, k.GVK)
	d.is(list, schema.GroupVersionKind{Group: k.GVK.Group, Version: k.GVK.Version, Kind: k.GVK.Kind + "List"})
	d.is(metaPrefix+"DeleteOptions", schema.GroupVersionKind{Version: "v1", Kind: "DeleteOptions"})
	d.is(metaPrefix+"DeleteOptions", schema.GroupVersionKind{Group: k.GVK.Group, Version: k.GVK.Version, Kind: "DeleteOptions"})
	d.is(metaPrefix+"Status", schema.GroupVersionKind{Version: "v1", Kind: "Status"})
	base, scope := d.base(), ""
	if k.Namespaced {
		d.paths[base+"/"+k.Resource] = object{
			"get": d.operation(op{k: k, action: "list", scope: "ForAllNamespaces", answer: list, query: listQuery()}), "parameters": commonQuery(),
		}
		base, scope = base+"/namespaces/{namespace}", "Namespaced"
	}
	collection, one := base+"/"+k.Resource, base+"/"+k.Resource+"/{name}"
	shared := func(more ...object) []object { return append(more, commonQuery()...) }
	var place []object
	if k.Namespaced {
		place = []object{pathParameter("namespace", "object name and auth scope, such as for teams and projects")}
	}
	named := append(slices.Clone(place), pathParameter("name", "name of the "+k.GVK.Kind))
	all := object{"parameters": shared(place...)}
	single := object{"parameters": shared(named...)}
	put := func(into object, method string, o op) {
		if k.Verbs == nil || slices.Contains(k.Verbs, o.action) {
			o.k, o.scope = k, scope
			into[method] = d.operation(o)
		}
	}
	status := metaPrefix + "Status"
	deleted := status
	if k.ReturnDeleted {
		deleted = body
	}
	put(all, "get", op{action: "list", answer: list, query: listQuery()})
	put(all, "post", op{action: "create", answer: body, body: body, query: writeQuery()})
	put(all, "delete", op{action: "deletecollection", answer: status, body: metaPrefix + "DeleteOptions", query: append(selectQuery(), deleteQuery()...)})
	put(single, "get", op{action: "get", answer: body})
	put(single, "put", op{action: "update", answer: body, body: body, query: writeQuery()})
	put(single, "patch", op{action: "patch", answer: body, body: metaPrefix + "Patch", query: patchQuery()})
	put(single, "delete", op{action: "delete", answer: deleted, body: metaPrefix + "DeleteOptions", query: deleteQuery()})
	d.paths[collection], d.paths[one] = all, single
	for i := range k.Subresources {
		d.addPart(k, &k.Subresources[i], one, scope, body, shared(named...))
	}
}

func (d *document) base() string {
	if d.gv.Group == "" {
		return "/api/" + d.gv.Version
	}
	return "/apis/" + d.gv.String()
}

// addPart describes a subresource's path.
func (d *document) addPart(k *kinds.Kind, sub *kinds.Subresource, one, scope, body string, parameters []object) {
	if sub.New != nil {
		body = component(value(sub.New()))
		d.is(body, sub.GVK)
	}
	methods := map[string]string{"get": "get", "create": "post", "update": "put", "patch": "patch"}
	path := object{"parameters": parameters}
	for _, verb := range sub.Verbs {
		o := op{k: k, action: verb, scope: scope, part: sub, answer: body}
		switch {
		case sub.Node != nil:
			o.answer = ""
		case verb == "create", verb == "update":
			o.body, o.query = body, writeQuery()
		case verb == "patch":
			o.body, o.query = metaPrefix+"Patch", patchQuery()
		}
		path[methods[verb]] = d.operation(o)
	}
	d.paths[one+"/"+sub.Name] = path
}

// op is what an operation is made from.
type op struct {
	k            *kinds.Kind
	part         *kinds.Subresource
	action       string
	scope        string // Namespaced, ForAllNamespaces or ""
	answer, body string // components; answer "" is plain text, body "" none
	query        []object
}

// word is what upstream calls a verb: in operation ids, from which generated clients name their methods, in x-kubernetes-action, and in the
// descriptions of an operation on a whole object and on a part (%s) of it, which the kind follows.
type word struct{ id, action, whole, part string }

var actions = map[string]word{
	"list":             {"list", "list", "list or watch objects of kind ", ""},
	"create":           {"create", "post", "create a ", "create %s of a "},
	"get":              {"read", "get", "read the specified ", "read %s of the specified "},
	"update":           {"replace", "put", "replace the specified ", "replace %s of the specified "},
	"patch":            {"patch", "patch", "partially update the specified ", "partially update %s of the specified "},
	"delete":           {"delete", "delete", "delete a ", ""},
	"deletecollection": {"delete", "deletecollection", "delete collection of ", ""},
}

// answers are the codes of success that upstream's documents name, besides 200.
var answers = map[string][]string{
	"create": {"201", "202"}, "update": {"201"}, "patch": {"201"}, "delete": {"202"},
}

// text is the sentence that ends in the kind's name.
func text(begin, kind string) string {
	if strings.HasSuffix(begin, " a ") && strings.ContainsRune("AEIOU", rune(kind[0])) {
		begin = strings.TrimSuffix(begin, " ") + "n "
	}
	return begin + kind
}

func (d *document) operation(o op) object {
	words, gvk, subject := actions[o.action], o.k.GVK, o.k.GVK.Kind
	description := text(words.whole, subject)
	tag := d.tag()
	id := words.id + camel(tag) + o.scope + subject
	switch {
	case o.action == "deletecollection":
		id = words.id + camel(tag) + "Collection" + o.scope + subject
	case o.scope == "ForAllNamespaces":
		id = words.id + camel(tag) + subject + o.scope
	}
	if o.part != nil {
		gvk = o.part.GVK
		id += camel(o.part.Name)
		description = text(fmt.Sprintf(words.part, o.part.Name), subject)
	}
	out := object{
		"tags": []string{tag}, "description": description, "operationId": id, "responses": d.responses(o),
		"x-kubernetes-action": words.action, gvkField: gvkOf(gvk),
	}
	if len(o.query) > 0 {
		out["parameters"] = o.query
	}
	if o.body != "" {
		types := bodies
		if o.action == "patch" {
			types = patches
		}
		out["requestBody"] = object{"content": d.content(o.body, types), "required": !strings.HasSuffix(o.body, "DeleteOptions")}
	}
	return out
}

// tag is core_v1, apps_v1 and so on.
func (d *document) tag() string {
	group, _, _ := strings.Cut(d.gv.Group, ".")
	if group == "" {
		group = "core"
	}
	return group + "_" + d.gv.Version
}

func camel(s string) string {
	var out strings.Builder
	for _, word := range strings.Split(s, "_") {
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}

func (d *document) content(name string, types []string) object {
	out := object{}
	for _, t := range types {
		out[t] = object{"schema": d.ref(name)}
	}
	return out
}

func (d *document) responses(o op) object {
	ok := object{"description": "OK"}
	switch {
	case o.answer == "":
		ok["content"] = object{"text/plain": object{"schema": object{"type": "string"}}}
	case o.action == "list":
		ok["content"] = d.content(o.answer, append(slices.Clone(bodies), "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"))
	default:
		ok["content"] = d.content(o.answer, bodies)
	}
	out := object{"200": ok, "401": object{"description": "Unauthorized"}}
	for _, code := range answers[o.action] {
		out[code] = object{"description": map[string]string{"201": "Created", "202": "Accepted"}[code], "content": ok["content"]}
	}
	return out
}

func pathParameter(name, description string) object {
	return object{"name": name, "in": "path", "description": description, "required": true, "schema": object{"type": "string", "uniqueItems": true}}
}

func query(name, kind, description string) object {
	return object{"name": name, "in": "query", "description": description, "schema": object{"type": kind, "uniqueItems": true}}
}

func commonQuery() []object {
	return []object{query("pretty", "string", "If 'true', the output is indented.")}
}

func writeQuery() []object {
	return []object{
		query("dryRun", "string", "With All nothing is stored; the answer is what would have been."),
		query("fieldManager", "string", "The name of the actor that makes the change: at most 128 printable characters."),
		query("fieldValidation", "string", "What unknown and duplicate fields of the body become: nothing (Ignore), warnings (Warn, the default) or an error (Strict)."),
	}
}

func patchQuery() []object {
	return append(writeQuery(), query("force", "boolean", "For apply requests: take fields that others own."))
}

func deleteQuery() []object {
	return []object{
		query("dryRun", "string", "With All nothing is deleted; the answer is what would have been."),
		query("gracePeriodSeconds", "integer", "Seconds until the object is deleted: 0 is at once, the default is the kind's."),
		query("orphanDependents", "boolean", "Deprecated: use propagationPolicy. Whether dependents are left without their owner."),
		query("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground."),
	}
}

func listQuery() []object {
	return append(selectQuery(),
		query("allowWatchBookmarks", "boolean", "Whether the watch may hold events of type BOOKMARK."),
		query("watch", "boolean", "Follow changes instead of listing."),
	)
}

// selectQuery says which objects an operation on many is about.
func selectQuery() []object {
	return []object{
		query("continue", "string", "Continues the list that a former answer began."),
		query("fieldSelector", "string", "Selects objects by their fields."),
		query("labelSelector", "string", "Selects objects by their labels."),
		query("limit", "integer", "The most objects that one answer may hold."),
		query("resourceVersion", "string", "The version from which a watch begins, or that a list must have reached."),
		query("resourceVersionMatch", "string", "How resourceVersion is meant: NotOlderThan or Exact."),
		query("sendInitialEvents", "boolean", "Whether a watch begins with what exists, followed by a bookmark."),
		query("timeoutSeconds", "integer", "Ends the call after so many seconds."),
	}
}
