package openapi_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

// TestDocumentsAreUpToDate fails when what they are made from changed and `make generate` was not run.
func TestDocumentsAreUpToDate(t *testing.T) {
	want, err := openapi.FingerprintOf(all.Kinds(), os.DirFS("../../.."))
	if err != nil {
		t.Fatal(err)
	}
	if openapi.Fingerprint() != want {
		t.Error("the OpenAPI documents were made from something else: run `make generate`")
	}
}

type document struct {
	Paths map[string]map[string]struct {
		Parameters []struct {
			Name string `json:"name"`
			In   string `json:"in"`
		} `json:"parameters"`
		Kind struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

// TestKubectlFindsWhatItLooksFor: before it sends anything kubectl looks for the patch of a kind, and whether that takes fieldValidation.
func TestKubectlFindsWhatItLooksFor(t *testing.T) {
	for _, k := range all.Kinds() {
		path := "apis/" + k.GVK.GroupVersion().String()
		if k.GVK.Group == "" {
			path = "api/" + k.GVK.Version
		}
		described, ok := openapi.Version3(path, openapi.JSON)
		if !ok || len(described.Hash) != 128 || described.Hash != openapi.Index()[path] {
			t.Fatalf("%s: no document or no hash (%q)", path, described.Hash)
		}
		// Path items hold a list of parameters beside the operations.
		var raw struct {
			Paths map[string]map[string]json.RawMessage `json:"paths"`
		}
		var doc document
		if err := json.Unmarshal(described.Read(), &raw); err != nil {
			t.Fatal(err)
		}
		for _, item := range raw.Paths {
			delete(item, "parameters")
		}
		plain, err := json.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(plain, &doc); err != nil {
			t.Fatal(err)
		}
		found := k.Verbs != nil && !slices.Contains(k.Verbs, "patch")
		for path, item := range doc.Paths {
			op, ok := item["patch"]
			if !ok || !strings.HasSuffix(path, "/"+k.Resource+"/{name}") {
				continue
			}
			for _, p := range op.Parameters {
				found = found || p.Name == "fieldValidation" && p.In == "query" && op.Kind.Kind == k.GVK.Kind && op.Kind.Group == k.GVK.Group
			}
		}
		if !found {
			t.Errorf("%s: no patch with fieldValidation", k.GVK)
		}
	}
}

// TestReferencesLead checks that no schema refers to one that is not there.
func TestReferencesLead(t *testing.T) {
	for path := range openapi.Index() {
		described, _ := openapi.Version3(path, openapi.JSON)
		data := described.Read()
		var doc struct {
			Components struct {
				Schemas map[string]json.RawMessage `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(data), `"#/components/schemas/`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			if doc.Components.Schemas[name] == nil {
				t.Errorf("%s refers to %s, which it does not have", path, name)
			}
		}
	}
}
