package openapi

import (
	"cmp"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
)

// This file describes kinds that are added while floe runs (kinds.Dynamic). Their routes are those of a kind that floe is built with, Deployment, by other
// names: all are served alike. Documents are made when they are asked for.

// The kind whose routes are copied, and its document.
const (
	modelGroup, modelKind, modelPlural = "apps", "Deployment", "deployments"
	modelRoot                          = "/apis/apps/v1"
	modelRef                           = "io.k8s.api.apps.v1.Deployment"
	metaRef                            = "io.k8s.apimachinery.pkg.apis.meta.v1."
)

// Added are the kinds without a Go type among list, by the path of their document of version 3.
func Added(list []*kinds.Kind) map[string][]*kinds.Kind {
	out := map[string][]*kinds.Kind{}
	for _, k := range list {
		if k.Dynamic != nil {
			path := "apis/" + k.GVK.GroupVersion().String()
			out[path] = append(out[path], k)
		}
	}
	return out
}

// AddedHash names what a document about kinds says, without making it.
func AddedHash(list []*kinds.Kind) string {
	sum := sha512.New()
	for _, k := range list {
		fmt.Fprintln(sum, k.Dynamic.Identity)
	}
	return strings.ToUpper(hex.EncodeToString(sum.Sum(nil)))
}

// Added3 is the document of version 3 of one group and version, in JSON; list are its kinds.
func Added3(list []*kinds.Kind) ([]byte, error) {
	base, ok := Version3(strings.TrimPrefix(modelRoot, "/"), JSON)
	if !ok {
		return nil, fmt.Errorf("there is no document of %s", modelRoot)
	}
	var doc map[string]any
	if err := json.Unmarshal(base.Read(), &doc); err != nil {
		return nil, err
	}
	components := doc["components"].(map[string]any)
	known := components["schemas"].(map[string]any)
	w := writer{refs: "#/components/schemas/", paths: doc["paths"].(map[string]any)}
	paths, schemas := map[string]any{}, map[string]any{}
	for _, k := range list {
		if err := w.add(k, k.Dynamic.Model().V3, paths, schemas); err != nil {
			return nil, err
		}
	}
	gather(paths, known, schemas, w.refs)
	gather(maps.Clone(schemas), known, schemas, w.refs)
	for _, name := range [...]string{metaRef + "DeleteOptions", metaRef + "WatchEvent"} {
		if common, ok := schemas[name].(map[string]any); ok {
			types, err := commonTypes(name)
			if err != nil {
				return nil, err
			}
			common[gvkExtension] = types
		}
	}
	doc["paths"], components["schemas"] = paths, schemas
	headed(doc)
	return json.Marshal(doc)
}

// Added2 is the document of version 2 with the added kinds, in JSON.
func Added2(list []*kinds.Kind, serves func(path string) bool) ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(Version2(JSON).Read(), &doc); err != nil {
		return nil, err
	}
	paths := doc["paths"].(map[string]any)
	w := writer{refs: "#/definitions/", paths: maps.Clone(paths)} // the model's among them, served or not
	if serves != nil {
		clear(doc)
		if err := json.Unmarshal(Version2Of(JSON, serves).data, &doc); err != nil {
			return nil, err
		}
		paths = doc["paths"].(map[string]any)
	}
	for _, k := range list {
		if err := w.add(k, k.Dynamic.Model().V2, paths, doc["definitions"].(map[string]any)); err != nil {
			return nil, err
		}
	}
	return json.Marshal(doc)
}

// gather adds the schemas that something refers to, and those that they refer to.
func gather(from any, known, into map[string]any, refs string) {
	switch v := from.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, refs)
			if s, ok := known[name]; ok && into[name] == nil {
				into[name] = s
				gather(s, known, into, refs)
			}
		}
		for _, x := range v {
			gather(x, known, into, refs)
		}
	case []any:
		for _, x := range v {
			gather(x, known, into, refs)
		}
	}
}

// writer adds kinds to a document whose paths have the model's.
type writer struct {
	refs  string
	paths map[string]any
}

// add adds a kind's routes and schemas. text is the schema of its objects.
func (w writer) add(k *kinds.Kind, text []byte, paths, schemas map[string]any) error {
	name := k.Dynamic.Model().Name
	var own any
	if err := json.Unmarshal(text, &own); err != nil {
		return fmt.Errorf("the schema of %s: %w", k.GVK, err)
	}
	list := strings.TrimSuffix(name, k.GVK.Kind) + k.Dynamic.ListKind
	schemas[name], schemas[list] = own, w.listOf(k, name)
	r := renamer{kind: k, refs: map[string]string{w.refs + modelRef: w.refs + name, w.refs + modelRef + "List": w.refs + list}, id: operationPrefix(k.GVK.GroupVersion())}
	if fields := own.(map[string]any)[selectableExtension]; fields != nil {
		schemas[list].(map[string]any)[selectableExtension] = fields
	}
	gvk := map[string]any{"group": k.GVK.Group, "version": k.GVK.Version, "kind": k.GVK.Kind}
	params := w.paths[modelRoot+"/namespaces/{namespace}/"+modelPlural].(map[string]any)["get"].(map[string]any)["parameters"].([]any)
	for path, item := range w.paths {
		below, ok := strings.CutPrefix(path, modelRoot+"/")
		if !ok || strings.HasPrefix(below, "watch/") || !r.has(below) {
			continue
		}
		if !k.Namespaced {
			below = strings.TrimPrefix(below, "namespaces/{namespace}/")
		}
		below = strings.Replace(below, modelPlural, k.Resource, 1)
		routes := r.rename(item).(map[string]any)
		redefine(routes, strings.HasSuffix(below, "/"+k.Resource) || below == k.Resource, gvk, params)
		paths["/apis/"+k.GVK.GroupVersion().String()+"/"+below] = routes
	}
	return nil
}

// listOf is the schema of a kind's lists.
func (w writer) listOf(k *kinds.Kind, name string) any {
	text := func(about string) map[string]any { return map[string]any{"type": "string", "description": about} }
	const conventions = " More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
	return map[string]any{
		"description": fmt.Sprintf("%s is a list of %s", k.Dynamic.ListKind, k.GVK.Kind), "type": "object", "required": []string{"items"},
		"properties": map[string]any{
			"apiVersion": text("APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values." + conventions + "#resources"),
			"kind":       text("Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase." + conventions + "#types-kinds"),
			"items":      map[string]any{"type": "array", "description": k.Dynamic.Model().ListDocs, "items": map[string]any{"$ref": w.refs + name}},
			"metadata":   map[string]any{"description": "Standard list metadata." + conventions + "#types-kinds", "allOf": []any{map[string]any{"$ref": w.refs + metaRef + "ListMeta"}}},
		},
		gvkExtension: []any{map[string]any{"group": k.GVK.Group, "version": k.GVK.Version, "kind": k.Dynamic.ListKind}},
	}
}

// Extensions of schemas and routes.
const (
	gvkExtension        = "x-kubernetes-group-version-kind"
	selectableExtension = "x-kubernetes-selectable-fields"
)

// operationPrefix is what names of operations have of a group and version: "StableExampleComV1".
func operationPrefix(gv schema.GroupVersion) string {
	var out strings.Builder
	for part := range strings.SplitSeq(strings.TrimSuffix(gv.Group, ".k8s.io")+"."+gv.Version, ".") {
		if part != "" {
			out.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return strings.ReplaceAll(out.String(), "-", "")
}

// renamer gives the model's routes the names of another kind.
type renamer struct {
	kind *kinds.Kind
	refs map[string]string
	id   string
}

// has says whether the kind has a route of the model, by its path below the group and version.
func (r renamer) has(below string) bool {
	rest, namespaced := strings.CutPrefix(below, "namespaces/{namespace}/")
	rest, ok := strings.CutPrefix(rest, modelPlural)
	if !ok || !namespaced && !r.kind.Namespaced {
		return false
	}
	part, isPart := strings.CutPrefix(rest, "/{name}/")
	if !isPart {
		return true
	}
	return slices.ContainsFunc(r.kind.Subresources, func(s kinds.Subresource) bool { return s.Name == part })
}

// rename returns a copy of a value of a route by the kind's names.
func (r renamer) rename(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return r.renameMap(v)
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			if p, ok := x.(map[string]any); ok && p["name"] == "namespace" && p["in"] == "path" && !r.kind.Namespaced {
				continue
			}
			if text, ok := x.(string); ok && foreign(text) {
				continue
			}
			out = append(out, r.rename(x))
		}
		return out
	}
	return v
}

// foreign says of a media type that objects without a Go type are not written in it, or not patched by it.
func foreign(text string) bool {
	for _, part := range [...]string{"protobuf", "stream=watch", "strategic-merge-patch", "cbor"} {
		if strings.Contains(text, part) && strings.HasPrefix(text, "application/") {
			return true
		}
	}
	return false
}

func (r renamer) renameMap(v map[string]any) any {
	if v["kind"] == modelKind && v["group"] == modelGroup {
		return map[string]any{"group": r.kind.GVK.Group, "version": r.kind.GVK.Version, "kind": r.kind.GVK.Kind}
	}
	out := make(map[string]any, len(v))
	for name, x := range v {
		text, isText := x.(string)
		switch {
		case foreign(name):
		case name == "$ref" && isText:
			out[name] = cmp.Or(r.refs[text], text)
		case name == "operationId" && isText:
			out[name] = r.operation(text)
		case name == "description" && isText:
			out[name] = r.describe(text)
		case name == "tags":
			out[name] = []any{strings.ToLower(r.id[:1]) + strings.TrimSuffix(r.id[1:], strings.ToUpper(r.kind.GVK.Version[:1])+r.kind.GVK.Version[1:]) + "_" + r.kind.GVK.Version}
		default:
			out[name] = r.rename(x)
		}
	}
	return out
}

func (r renamer) operation(text string) string {
	text = strings.Replace(strings.Replace(text, "AppsV1", r.id, 1), modelKind, r.kind.GVK.Kind, 1)
	if !r.kind.Namespaced {
		text = strings.Replace(text, "Namespaced", "", 1)
	}
	return text
}

func (r renamer) describe(text string) string {
	if text == "name of the Scale" {
		return "name of the " + r.kind.GVK.Kind
	}
	if strings.ContainsAny(r.kind.GVK.Kind[:1], "AEIOU") {
		text = strings.Replace(text, "a "+modelKind, "an "+modelKind, 1)
	}
	return strings.ReplaceAll(text, modelKind, r.kind.GVK.Kind)
}
