package house

import (
	"os"
	"regexp"
	"testing"
)

// sourcePath matches a Go file named in a document.
var sourcePath = regexp.MustCompile(`\b(?:cmd|internal|pkg|test)/[a-z0-9_/.-]+\.go\b`)

// TestArchitectureNamesFilesThatExist keeps the walk through the code walkable.
func TestArchitectureNamesFilesThatExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	names := sourcePath.FindAllString(string(text), -1)
	if len(names) < 10 {
		t.Fatalf("docs/architecture.md names only %d files; the walk is gone", len(names))
	}
	for _, name := range names {
		if _, err := os.Stat("../../" + name); err != nil {
			t.Errorf("docs/architecture.md names %s: %v", name, err)
		}
	}
}
