package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMemoryStepsSumsProcesses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const rest = `{"step":"created","residentBytes":9},{"step":"listed","residentBytes":9}`
	write(`[{"steps":[{"step":"before","residentBytes":1,"anonymousBytes":2,"peakBytes":3},{"step":"before","residentBytes":10,"anonymousBytes":20,"peakBytes":30},` +
		rest + `,{"step":"rested","residentBytes":9}]}]`)
	steps, err := memorySteps(file)
	if want := (step{"before", 11, 22, 33}); err != nil || steps["before"] != want {
		t.Errorf("got %+v, %v; want %+v", steps["before"], err, want)
	}
	for text, want := range map[string]string{
		`[]`:             "want one scenario",
		`[{"failed":1}]`: "nothing failed",
		`[{"steps":[{"step":"before","residentBytes":1},` + rest + `]}]`: "step rested is not recorded",
	} {
		write(text)
		if _, err := memorySteps(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", text, err, want)
		}
	}
}
