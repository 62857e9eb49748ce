package jsonpatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	library "gopkg.in/evanphx/json-patch.v4"
)

var documents = []string{
	`{"kind":"ConfigMap","metadata":{"name":"a","labels":{"z":"1","a":"2"},"list":[1,2,{"b":1,"a":null}]},"data":{"k":"v<&>","k/l":"~"}}`,
	`{"a":{"b":{"c":[1,[2,{"d":null}],"x"]}},"n":null,"s":"\u00e4\u2028","e":{},"f":[]}`,
	` { "w" : [ 1 , 2 ] , "x":1.0 , "x" : {"y":-0} } `,
	`[1,{"a":2},[3]]`,
}

var merges = []string{
	`{}`, `{"metadata":{"labels":{"z":null,"y":"3"}}}`, `{"metadata":null}`, `{"data":{"k":{"b":null,"a":[{"c":null,"b":1}]}}}`, `{"a":{"b":5},"n":{"x":null}}`,
	`{"a":{"b":{"c":{"e":[null,{"q":null}]}}}}`, `{"list":[{"z":1,"a":null}]}`, `{"metadata":{"list":[{"z":1,"a":null}]}}`, `{"s":"\u0041<"}`, `[1]`, `null`, `"x"`,
	`{"\u0061":{"b":null}}`, `{`, ``, `{"x":1} {}`,
}

var patches = []string{
	`[{"op":"add","path":"/data/k","value":{"z":1,"a":[ ]}}]`, `[{"op":"remove","path":"/metadata/labels"}]`, `[{"op":"replace","path":"/nothing","value":1}]`,
	`[{"op":"add","path":"/metadata/list/1","value":null},{"op":"move","from":"/metadata/list/0","path":"/metadata/list/-"}]`,
	`[{"op":"copy","from":"/a/b","path":"/a/b/c/1"},{"op":"test","path":"/a/b/c/0","value":1}]`, `[{"op":"test","path":"/n"}]`, `[{"op":"test","path":"/n","value":null}]`,
	`[{"op":"test","path":"/metadata/labels","value":{"a":"2","z":"1"}},{"op":"remove","path":"/metadata/list/-1"}]`, `[{"op":"add","path":"/metadata/list/-5","value":1}]`,
	`[{"op":"replace","path":"","value":{"b":1,"a":2}}]`, `[{"op":"replace","path":"","value":5}]`, `[{"op":"add","path":"","value":{}}]`, `[{"op":"remove","path":"x/data"}]`,
	`[{"op":"copy","from":"/nothing","path":"/data/n"}]`, `[{"op":"add","path":"/data/k~1l","value":1},{"op":"remove","path":"/data/k~1l"}]`, `[{"op":"test","path":"/x/y","value":-0}]`,
	`[{"op":"fly","path":"/a"}]`, `[{}]`, `[null]`, `[{"op":"add"}]`, `[{"op":"move","from":"/a","path":"/a/b"}]`, `{}`, `[{"op":"add","path":"/0/x","value":"<"}]`, `[]`,
	`[{"op":"add","path":"/a/b/c/x","value":1}]`, `[{"op":"remove","path":"/a/b/c/9"}]`, `[{"op":"remove","path":"/a/b/c/-9"}]`, `[{"op":"remove","path":"/a/b/c/x"}]`,
	`[{"op":"replace","path":"/a/b/c/9","value":1}]`, `[{"op":"replace","path":"/none/b","value":1}]`, `[{"op":"add","path":"/none/b","value":1}]`, `[{"op":"add","path":"a"}]`,
	`[{"op":"test","path":"/a/b/c/9","value":1}]`, `[{"op":"test","path":"/none/b","value":1}]`, `[{"op":"test","path":"/a","value":1}]`, `[{"op":"test","path":3}]`,
	`[{"op":"copy","from":"/a/b/c/9","path":"/x"}]`, `[{"op":"copy","from":"/none/b","path":"/x"}]`, `[{"op":"copy","from":"/a","path":"/none/x"}]`, `[{"op":"copy","from":"/a"}]`,
	`[{"op":"copy","path":"/a"}]`, `[{"op":"copy","from":"/a","path":"/a/b/c/x"}]`, `[{"op":"copy","from":1}]`, `[{"op":"move","from":"/a/b/c/9","path":"/x"}]`, `[{"op":"move","path":"/x"}]`,
	`[{"op":"move","from":"/none","path":"/x"}]`, `[{"op":"move","from":"/a~1b/c","path":"/x"}]`, `[{"op":"move","from":"/a/b","path":"/x/y"}]`, `[{"op":"move","from":"/a"}]`,
	`[{"op":"move","from":"/e","path":"/a/b/c/x"}]`, `[{"op":"remove"}]`, `[{"op":"remove","path":"/a/q"}]`, `[{"op":"replace"}]`, `[{"op":"replace","path":"","value":null}]`, `[{"op":7}]`,
	`[{"op":"test","path":"","value":[1,{"a":2},[3]]}]`, `[{"op":"replace","path":"/w/2","value":1}]`, `[{"op":"add","path":"/w/+1","value":1}]`, `[{"op":"add","path":"/w/x","value":1}]`,
}

// sameMerge fails when the library answers otherwise.
func sameMerge(t *testing.T, doc, patch string) {
	t.Helper()
	if !strings.HasPrefix(doc, "{") || !json.Valid([]byte(doc)) {
		return // documents are objects
	}
	got, err := Merge([]byte(doc), []byte(patch))
	if !strings.HasPrefix(strings.TrimSpace(patch), "{") && json.Valid([]byte(patch)) { // the library knows lists, too; who decodes patches does not
		if !errors.Is(err, ErrBadPatch) {
			t.Errorf("merge %s: %v", patch, err)
		}
		return
	}
	want, wantErr := library.MergePatch([]byte(doc), []byte(patch))
	if string(got) != string(want) || (err == nil) != (wantErr == nil) {
		t.Errorf("%s\nmerge %s\n got %s, %v\nwant %s, %v", doc, patch, got, err, want, wantErr)
	}
}

func sameApply(t *testing.T, doc, patch string) {
	t.Helper()
	var ops Patch
	theirs, wantErr := library.DecodePatch([]byte(patch))
	if err := json.Unmarshal([]byte(patch), &ops); err != nil || wantErr != nil {
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("decode %s: %v, want %v", patch, err, wantErr)
		}
		return
	}
	if doc == "" || doc[0] != '{' && doc[0] != '[' || !json.Valid([]byte(doc)) {
		return
	}
	got, err := ops.Apply([]byte(doc))
	want, wantErr, broke := libraryApply(theirs, doc)
	if broke || errors.Is(err, errCopied) || errors.Is(err, errGrown) {
		return
	}
	if string(got) != string(want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Errorf("%s\napply %s\n got %s, %v\nwant %s, %v", doc, patch, got, err, want, wantErr)
	}
}

// libraryApply says broke when the library falls over.
func libraryApply(p library.Patch, doc string) (out []byte, err error, broke bool) {
	defer func() { broke = recover() != nil }()
	out, err = p.Apply([]byte(doc))
	return out, err, false
}

func TestAsTheLibrary(t *testing.T) {
	for _, doc := range documents {
		for _, patch := range merges {
			sameMerge(t, doc, patch)
		}
		for _, patch := range patches {
			sameApply(t, doc, patch)
		}
	}
}

// FuzzMerge holds merge patches against the library.
func FuzzMerge(f *testing.F) {
	for i, patch := range merges {
		f.Add(documents[i%len(documents)], patch)
	}
	f.Fuzz(sameMerge)
}

// FuzzApply holds JSON patches against the library.
func FuzzApply(f *testing.F) {
	for i, patch := range patches {
		f.Add(documents[i%len(documents)], patch)
	}
	f.Fuzz(sameApply)
}

func nested(depth int, inner string) string {
	return strings.Repeat(`{"a":`, depth) + inner + strings.Repeat("}", depth)
}

func TestMemoryIsInProportion(t *testing.T) {
	const depth, size = 9_000, 1 << 20
	text := `"` + strings.Repeat("x", size) + `"`
	into := `[{"op":"add","path":"/x","value":` + nested(depth, text) + `},{"op":"test","path":"/x` + strings.Repeat("/a", depth-1) + `/a","value":` + text + "}]"
	double := ""
	for i := range 40 {
		double += fmt.Sprintf(`,{"op":"copy","from":"/x","path":"/x/c%d"}`, i)
	}
	turns := strings.Repeat(`,{"op":"add","path":"/y","value":{}},{"op":"move","from":"/x","path":"/y/x"},{"op":"move","from":"/y","path":"/x"}`, 5_000)
	for _, c := range []struct {
		name, patch string
		apply       func(string) ([]byte, error)
		err         error
		most        uint64 // times what comes in
	}{
		{"a deep merge", `{"x":` + nested(depth, text) + "}", merged, nil, 16},
		{"a deep merge into as much", `{"deep":` + nested(depth, text) + "}", merged, nil, 16},
		{"a deep value, looked into", into, applied, nil, 16},
		{"copies of copies", `[{"op":"add","path":"/x","value":{"k":"` + strings.Repeat("x", 1000) + `"}}` + double + "]", applied, errGrown, 8000},
		{"copies in place of copies", `[{"op":"add","path":"/x","value":` + text + `}` + strings.Repeat(`,{"op":"copy","from":"/x","path":"/y"}`, 20) + "]", applied, nil, 100},
		{"more copies in place of copies", `[{"op":"add","path":"/x","value":` + text + `}` + strings.Repeat(`,{"op":"copy","from":"/x","path":"/y"}`, 70) + "]", applied, errCopied, 400},
		{"objects around objects", `[{"op":"add","path":"/x","value":1}` + strings.TrimSuffix(turns, "]") + "]", applied, nil, 200},
		{"more objects around objects", `[{"op":"add","path":"/x","value":1}` + turns + turns + turns + "]", applied, errDepth, 200},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := c.apply(c.patch)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > c.most*uint64(len(c.patch)) {
			t.Errorf("%s: %d KiB were allocated for %d KiB, want at most %d times as much", c.name, took>>10, len(c.patch)>>10, c.most)
		}
	}
}

func merged(patch string) ([]byte, error) {
	return Merge([]byte(`{"deep":`+nested(8_000, "1")+"}"), []byte(patch))
}

func applied(patch string) ([]byte, error) {
	var ops Patch
	if err := json.Unmarshal([]byte(patch), &ops); err != nil {
		return nil, err
	}
	return ops.Apply([]byte("{}"))
}
