package openapi

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
)

func read(t *testing.T, p Part) []byte {
	t.Helper()
	data, err := io.ReadAll(p.Content())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestPartOfEverything: a document of which nothing is left out is the document.
func TestPartOfEverything(t *testing.T) {
	for _, form := range []Form{JSON, Protobuf} {
		whole, part := Version2(form), Version2Of(form, func(string) bool { return true })
		if part.Hash != whole.Hash || !bytes.Equal(read(t, part), whole.Read()) {
			t.Errorf("%s: a part that is all differs from the document", form)
		}
	}
}

// TestPart: what is left out takes its definitions along, all that is referred to stays, and both forms have the same.
func TestPart(t *testing.T) {
	serves := func(path string) bool { return !strings.HasPrefix(path, "/apis/batch/") }
	part := Version2Of(JSON, serves)
	var doc struct {
		Paths, Definitions, Parameters map[string]json.RawMessage
	}
	text := read(t, part)
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if part.Hash == Version2(JSON).Hash {
		t.Error("the part has the whole document's hash")
	}
	if bytes.Contains(text, []byte("io.k8s.api.batch")) || doc.Paths["/apis/apps/v1/deployments"] == nil || doc.Definitions["io.k8s.api.core.v1.PodTemplateSpec"] == nil {
		t.Error("the part has definitions of what is not served, or lacks those of what is")
	}
	for path := range doc.Paths {
		if !serves(path) {
			t.Errorf("the part has %s", path)
		}
	}
	for _, m := range reference.FindAllSubmatch(text, -1) {
		in := map[string]map[string]json.RawMessage{definitions: doc.Definitions, parameters: doc.Parameters}[string(m[1])]
		if in[string(m[2])] == nil {
			t.Errorf("the part refers to %s, which it lacks", m[2])
		}
	}
	packed := Version2Of(Protobuf, serves)
	if packed.Hash != part.Hash {
		t.Error("the two forms have two hashes")
	}
	var message openapi_v2.Document
	if err := proto.Unmarshal(read(t, packed), &message); err != nil {
		t.Fatal(err)
	}
	var names [3][]string
	for _, p := range message.Paths.Path {
		names[0] = append(names[0], p.Name)
	}
	for _, s := range message.Definitions.AdditionalProperties {
		names[1] = append(names[1], s.Name)
	}
	for _, p := range message.Parameters.AdditionalProperties {
		names[2] = append(names[2], p.Name)
	}
	for i, want := range []map[string]json.RawMessage{doc.Paths, doc.Definitions, doc.Parameters} {
		slices.Sort(names[i])
		if !slices.Equal(names[i], slices.Sorted(maps.Keys(want))) {
			t.Errorf("the two forms have %d and %d names", len(names[i]), len(want))
		}
	}
}
