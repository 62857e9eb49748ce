package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocumentIsWhatWasRecorded holds the document to the answers beside it: what is not at its end, which people write, is not changed by hand.
func TestDocumentIsWhatWasRecorded(t *testing.T) {
	want, err := document("../recorded")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want+byHand("../../../docs/benchmarks.md"), string(got)); diff != "" {
		t.Errorf("docs/benchmarks.md is not what `go run ./test/peers/table test/peers/recorded docs/benchmarks.md` writes (-want +got):\n%s", diff)
	}
}

func TestLogSectionRefuses(t *testing.T) {
	for name, c := range map[string]struct{ etcd, floe, want string }{
		"a scenario is missing": {`[]`, `[]`, "scenario put-one or put-one is not recorded"},
		"some failed":           {`[{"scenario":"get","operations":1,"failed":1}]`, `[]`, "get has no operations, or some failed"},
		"no JSON":               {`[`, `[]`, "etcd.json: unexpected end"},
	} {
		dir := t.TempDir()
		for file, text := range map[string]string{"machine": "{}", "etcd": c.etcd, "floe": c.floe} {
			if err := os.WriteFile(filepath.Join(dir, file+".json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := logSection(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %q", name, err, c.want)
		}
	}
}
