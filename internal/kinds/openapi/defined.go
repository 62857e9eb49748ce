package openapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// This file is what upstream's documents say otherwise of kinds that are added while it runs: it builds their routes by rules of their own.

// Media types of what is written to added kinds, but for patches.
var definedBodies = [...]string{"application/json", "application/yaml"}

// elsewhere are groups of which upstream's documents of added kinds do not say that their versions have common types too.
var elsewhere = [...]string{"admission.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "imagepolicy.k8s.io"}

// redefine changes the routes of a path in place: those of all objects of a kind, or of one. params are those of the kind's list.
func redefine(routes map[string]any, all bool, own any, params []any) {
	for method, found := range routes {
		route, ok := found.(map[string]any)
		if !ok {
			continue // parameters of all of them
		}
		switch {
		case method == "get" && all:
			route["description"] = strings.Replace(route["description"].(string), "list or watch ", "list ", 1)
		case method == "get":
			route["parameters"] = slices.DeleteFunc(slices.Clone(params), func(p any) bool { return parameterName(p) != "resourceVersion" })
		case method == "delete" && all:
			route["parameters"] = params
			delete(route, "requestBody")
		case method == "patch":
			delete(route["responses"].(map[string]any), "201")
		}
		if route[gvkExtension] != nil {
			route[gvkExtension] = own
		}
		sized(route)
	}
}

// parameterName is the name of a parameter, or of what a reference to one says.
func parameterName(p any) string {
	fields := p.(map[string]any)
	if ref, ok := fields["$ref"].(string); ok {
		name, _, _ := strings.Cut(strings.TrimPrefix(ref, "#/parameters/"), "-")
		return name
	}
	name, _ := fields["name"].(string)
	return name
}

// sized names the media types that a route reads, where a kind that floe is built with reads them all.
func sized(route map[string]any) {
	if body, ok := route["requestBody"].(map[string]any); ok {
		content := body["content"].(map[string]any)
		if body := content["*/*"]; body != nil {
			delete(content, "*/*")
			for _, media := range definedBodies {
				content[media] = body
			}
		}
	}
	if reads, ok := route["consumes"].([]any); ok && slices.Equal(reads, []any{"*/*"}) {
		route["consumes"] = definedBodies[:]
	}
}

// commonTypes are the groups and versions of a common type, as documents of added kinds have them.
func commonTypes(name string) ([]any, error) {
	var doc struct {
		Definitions map[string]struct {
			Types []any `json:"x-kubernetes-group-version-kind"`
		} `json:"definitions"`
	}
	if err := json.Unmarshal(Version2(JSON).Read(), &doc); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(doc.Definitions[name].Types, func(t any) bool {
		group, _ := t.(map[string]any)["group"].(string)
		return slices.Contains(elsewhere[:], group)
	}), nil
}

// headed gives a document of added kinds the head that upstream's have.
func headed(doc map[string]any) {
	doc["info"] = map[string]any{"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
	components := maps.Clone(doc["components"].(map[string]any))
	delete(components, "securitySchemes")
	doc["components"] = components
	delete(doc, "security")
}
