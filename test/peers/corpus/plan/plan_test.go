package plan

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floe-k8s/floe/test/peers/transcript"
)

const recorded = "../../recorded/corpus"

// TestRecorded holds what is recorded against what is planned: who changes an object or a rule records again.
func TestRecorded(t *testing.T) {
	files, err := Files("../objects")
	if err != nil {
		t.Fatal(err)
	}
	total, planned := 0, 0
	check := func(name string, want []transcript.Block, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		planned++
		got, err := transcript.Read(filepath.Join(recorded, name+transcript.Packed))
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i].Answer == "" {
				t.Errorf("%s: %s has no answer", name, got[i].Lead)
			}
			got[i].Answer = ""
		}
		total += len(got)
		if len(got) != len(want) || cmp.Diff(want, got) != "" {
			t.Errorf("%s: the requests are not those that are recorded: record again (hack/compare)", name)
		}
	}
	for _, file := range files {
		spec, err := Read(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := spec.Blocks()
		check(spec.Name(), want, err)
	}
	for _, f := range Families() {
		want, err := f.Blocks()
		check(f.Name, want, err)
	}
	t.Logf("%d requests", total)
	entries, err := os.ReadDir(recorded)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != planned {
		t.Errorf("%d kinds and families are recorded, and %d are planned", len(entries), planned)
	}
}

func TestMutants(t *testing.T) {
	var object map[string]any
	d := json.NewDecoder(strings.NewReader(`{"kind":"K","metadata":{"name":"n"},"spec":{"n":2,"on":true,"list":["a"]}}`))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range mutants(object, mutations, 12, nil) {
		data, err := json.Marshal(m.object["spec"])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.name+" "+string(data))
	}
	want := []string{
		`spec empty {}`, `spec.list first twice {"list":["a","a"],"n":2,"on":true}`, `spec.list[0] bad {"list":["Not_Valid!"],"n":2,"on":true}`,
		`spec.n negative {"list":["a"],"n":-1,"on":true}`, `spec.on flipped {"list":["a"],"n":2,"on":false}`, `spec removed null`,
		`spec.list empty {"list":[],"n":2,"on":true}`, `spec with a bad key {"Not Valid!":"red","list":["a"],"n":2,"on":true}`, `spec.on a string {"list":["a"],"n":2,"on":"yes"}`,
		`spec.n huge {"list":["a"],"n":2147483647,"on":true}`, `spec.list[0] long {"list":["` + strings.Repeat("x", 254) + `"],"n":2,"on":true}`,
		`spec.n beyond 32 bits {"list":["a"],"n":2147483648,"on":true}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mutants (-want +got):\n%s", diff)
	}
	if again, _ := json.Marshal(object); string(again) != `{"kind":"K","metadata":{"name":"n"},"spec":{"list":["a"],"n":2,"on":true}}` {
		t.Errorf("the object that mutants were made of is now %s", again)
	}
}

func TestChosen(t *testing.T) {
	for _, c := range []struct {
		n, limit int
		want     []int
	}{
		{3, 5, []int{0, 1, 2}}, {3, 3, []int{0, 1, 2}}, {10, 4, []int{0, 1, 2, 6}}, {0, 4, nil},
	} {
		if diff := cmp.Diff(c.want, chosen(c.n, c.limit)); diff != "" {
			t.Errorf("chosen(%d, %d) (-want +got):\n%s", c.n, c.limit, diff)
		}
	}
}

func TestMerged(t *testing.T) {
	object := map[string]any{"a": map[string]any{"b": 1, "c": 2}, "d": 3}
	got := merged(object, map[string]any{"a": map[string]any{"b": nil, "e": 5}, "d": []any{}})
	if diff := cmp.Diff(map[string]any{"a": map[string]any{"c": 2, "e": 5}, "d": []any{}}, got); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"a": map[string]any{"b": 1, "c": 2}, "d": 3}, object); diff != "" {
		t.Errorf("merged has changed the object (-want +got):\n%s", diff)
	}
}
