package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBoundSection(t *testing.T) {
	dir := t.TempDir()
	if text, err := boundSection(dir); text != "" || err != nil {
		t.Fatalf("nothing recorded: %q, %v, want nothing", text, err)
	}
	for side, text := range map[string]string{
		"upstream": `[{"name":"basic","nodes":5000,"placed":5000,"pods":500,"perSecond":126,"cpu":14.7,"p50":400,"p99":900},
			{"name":"devices","nodes":5000,"pods":500,"perSecond":50,"cpu":40,"p50":1000,"p99":2000}]`,
		"floe": `[{"name":"basic","nodes":5000,"placed":5000,"pods":2000,"perSecond":2000,"cpu":0.5,"p50":30,"p99":60},
			{"name":"devices","nodes":5000,"pods":7,"missing":"not bound"}]`,
	} {
		if err := os.MkdirAll(filepath.Join(dir, side), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, side, "scheduling.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := boundSection(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"5000 nodes", "At most 2000 pods", "| basic | 5000 | 500 | 2000 | 14.7 | 0.500 | 29.4 | 126 | 2000 | 400 | 30.0 | 900 | 60.0 |",
		"| devices | 0 | 500 |  | 40.0 |  |  | 50.0 |  | 1000 |  | 2000 |  |", "devices  " + strings.Repeat("▒", 31) + " 40.0\n         -",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the section lacks %q:\n%s", want, text)
		}
	}
}
