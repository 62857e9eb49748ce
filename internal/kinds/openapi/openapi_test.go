package openapi_test

import (
	"encoding/json"
	"os"
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
		data, hash, ok := openapi.Document(path)
		if !ok || len(hash) != 128 || hash != openapi.Hash(path) {
			t.Fatalf("%s: no document or no hash (%q)", path, hash)
		}
		// Path items hold a list of parameters beside the operations.
		var raw struct {
			Paths map[string]map[string]json.RawMessage `json:"paths"`
		}
		var doc document
		if err := json.Unmarshal(data, &raw); err != nil {
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
		found := false
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
	for _, path := range openapi.Paths() {
		data, _, _ := openapi.Document(path)
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

// TestShapesAreUpstreams holds a few places of the documents against what upstream's have there.
func TestShapesAreUpstreams(t *testing.T) {
	const (
		schemas = "components/schemas/io.k8s."
		pods    = "paths//api/v1/namespaces/{namespace}/pods"
	)
	for _, c := range []struct{ document, at, want string }{
		{"version", "paths//version//get/operationId", `"getCodeVersion"`},
		{"api/v1", pods + "/post/operationId", `"createCoreV1NamespacedPod"`},
		{"api/v1", pods + "/delete/operationId", `"deleteCoreV1CollectionNamespacedPod"`},
		{"api/v1", pods + "/delete/x-kubernetes-action", `"deletecollection"`},
		{"api/v1", pods + "/{name}/binding/post/description", `"create binding of a Pod"`},
		{"api/v1", pods + "/{name}/log/get/operationId", `"readCoreV1NamespacedPodLog"`},
		{"api/v1", pods + "/{name}/delete/responses/202/content/application/json/schema/$ref", `"#/components/schemas/io.k8s.api.core.v1.Pod"`},
		{"api/v1", "paths//api/v1/pods/get/operationId", `"listCoreV1PodForAllNamespaces"`},
		{"api/v1", "paths//api/v1/namespaces/{namespace}/events/post/description", `"create an Event"`},
		{"api/v1", schemas + "api.core.v1.PodSpec/properties/containers/x-kubernetes-patch-merge-key", `"name"`},
		{"api/v1", schemas + "api.core.v1.PodSpec/properties/containers/x-kubernetes-list-map-keys", `["name"]`},
		{"api/v1", schemas + "api.core.v1.Container/properties/ports/x-kubernetes-list-map-keys", `["containerPort","protocol"]`},
		{"api/v1", schemas + "api.core.v1.ContainerPort/properties/protocol/default", `"TCP"`},
		{"api/v1", schemas + "api.core.v1.ConfigMap/x-kubernetes-group-version-kind", `[{"group":"","kind":"ConfigMap","version":"v1"}]`},
		{"api/v1", schemas + "apimachinery.pkg.api.resource.Quantity/oneOf", `[{"type":"string"},{"type":"number"}]`},
		{"apis/apps/v1", schemas + "apimachinery.pkg.apis.meta.v1.DeleteOptions/x-kubernetes-group-version-kind",
			`[{"group":"","kind":"DeleteOptions","version":"v1"},{"group":"apps","kind":"DeleteOptions","version":"v1"}]`},
		{"apis/apps/v1", schemas + "api.autoscaling.v1.Scale/x-kubernetes-group-version-kind", `[{"group":"autoscaling","kind":"Scale","version":"v1"}]`},
		{"apis/apps/v1", schemas + "api.apps.v1.DeploymentSpec/required", `["selector","template"]`},
		{"apis/coordination.k8s.io/v1", schemas + "apimachinery.pkg.apis.meta.v1.MicroTime/format", `"date-time"`},
	} {
		data, _, _ := openapi.Document(c.document)
		var doc any
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatalf("%s: %v", c.document, err)
		}
		got, err := json.Marshal(find(doc, c.at))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.want {
			t.Errorf("%s, %s: got %s, want %s", c.document, c.at, got, c.want)
		}
	}
}

// find follows the keys of at, which slashes part; keys that are paths have slashes too, so the longest that fits is taken. nil: there is none.
func find(v any, at string) any {
	if at == "" {
		return v
	}
	m, _ := v.(map[string]any)
	var best string
	for k := range m {
		if (at == k || strings.HasPrefix(at, k+"/")) && len(k) > len(best) {
			best = k
		}
	}
	if best == "" {
		return nil
	}
	return find(m[best], strings.TrimPrefix(at[len(best):], "/"))
}
