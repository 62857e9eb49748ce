// Command generate makes the list of what the published schemas say of lists, maps and structs, which package managed embeds. It reads the schemas of
// the API's types from standard input, as one JSON object by component name, and writes the file that its argument names.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// schema is the part of an OpenAPI schema that matters here.
type schema struct {
	Ref        string            `json:"$ref"`
	AllOf      []schema          `json:"allOf"`
	Type       string            `json:"type"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Default    json.RawMessage   `json:"default"`
	ListType   string            `json:"x-kubernetes-list-type"`
	ListKeys   []string          `json:"x-kubernetes-list-map-keys"`
	MapType    string            `json:"x-kubernetes-map-type"`
	Strategy   string            `json:"x-kubernetes-patch-strategy"`
	MergeKey   string            `json:"x-kubernetes-patch-merge-key"`
}

func run(file string) error {
	var schemas map[string]schema
	if err := json.NewDecoder(os.Stdin).Decode(&schemas); err != nil {
		return fmt.Errorf("reading schemas: %w", err)
	}
	var out bytes.Buffer
	out.WriteString("# What the published schemas say of lists, maps and structs. Made by `make generate`; internal/api/managed/schema.go says how it is read.\n")
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		s := schemas[name]
		if s.MapType == "atomic" {
			fmt.Fprintln(&out, name, "atomic")
		}
		for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
			if said := relationship(schemas, s.Properties[field]); said != "" {
				fmt.Fprintln(&out, name, field, said)
			}
		}
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// relationship is what is said of a field; "" when it is what its Go type is anyway: a list atomic, a map or struct granular.
func relationship(schemas map[string]schema, s schema) string {
	switch {
	case s.Type != "array":
		return s.MapType
	case s.ListType == "set":
		return "set"
	case s.ListType == "map":
		return "map " + keys(schemas, s)
	case s.ListType == "" && strings.HasPrefix(s.Strategy, "merge"):
		if s.MergeKey == "" {
			return "set"
		}
		s.ListKeys = []string{s.MergeKey}
		return "map " + keys(schemas, s)
	}
	return ""
}

// keys names the keys of a list, in their order in field sets, each with the value that it has when it is absent.
func keys(schemas map[string]schema, list schema) string {
	element := *list.Items
	if len(element.AllOf) == 1 {
		element = element.AllOf[0]
	}
	if i := strings.LastIndexByte(element.Ref, '/'); i >= 0 {
		element = schemas[element.Ref[i+1:]]
	}
	var out []string
	for _, key := range slices.Sorted(slices.Values(list.ListKeys)) {
		if def := element.Properties[key].Default; def != nil {
			key += "=" + string(def)
		}
		out = append(out, key)
	}
	return strings.Join(out, " ")
}
