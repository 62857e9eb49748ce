package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDecisionsSection(t *testing.T) {
	dir := t.TempDir()
	write := func(who, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, who), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, who, "decisions.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("floe", `[{"name":"basic","cpu":2,"p50":1,"p99":4}]`)
	write("upstream", `[]`)
	if _, err := decisionsSection(dir); err == nil {
		t.Error("nothing is recorded, and there is a section")
	}
	write("upstream", `[{"name":"basic","nodes":7,"decisions":5,"placed":3,"cpu":100,"p50":90,"p99":200},{"name":"other","placed":3,"cpu":8,"p50":9,"p99":10}]`)
	text, err := decisionsSection(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"7 nodes, 5 decisions", "\n| basic | 3 | 100 | 2.0 | 50 | 90 | 1.0 | 200 | 4.0 |\n", "\n| other | 3 | 8 |  |  | 9 |  | 10 |  |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
