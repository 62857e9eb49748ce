package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMemoryReportsEveryStep(t *testing.T) {
	_, _, target := newFake(t)
	s, _ := ScenarioNamed("memory")
	o := testOptions(target)
	o.Processes = []Process{{Name: "self", PID: os.Getpid()}}
	report, err := Measure(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, step := range report.Steps {
		names = append(names, step.Name)
		if step.Process != "self" || step.Anonymous <= 0 || step.Resident < step.Anonymous || step.Peak <= 0 {
			t.Errorf("step %+v", step)
		}
	}
	if got := strings.Join(names, " "); got != "before created listed rested" {
		t.Errorf("steps are %s", got)
	}
	var text bytes.Buffer
	if err := WriteTable(&text, []*Report{report}); err != nil || !strings.Contains(text.String(), "\nrested   self ") {
		t.Errorf("the table lacks a step: %v\n%s", err, text.String())
	}
}

func TestPeakOf(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "7"), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int64{"VmPeak:\t 9 kB\nVmHWM:\t   12 kB\n": 12 << 10, "VmPeak:\t 9 kB\n": 0, "VmHWM:\tx kB\n": 0} {
		if err := os.WriteFile(filepath.Join(root, "7", "status"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := peakOf(root, 7); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
}
