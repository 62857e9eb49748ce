package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store/pebble"
)

// TestScenarios runs everything that needs no etcd, small: objects are put, found and counted.
func TestScenarios(t *testing.T) {
	results, err := measureLog(t.Context(), clock.RealClock{}, filepath.Join(t.TempDir(), "log"), size{lonePuts: 5, puts: keySpace, gets: 2000, ranges: 2})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range results {
		got = append(got, fmt.Sprint(r.Scenario, " ", r.Operations))
		if r.Rate <= 0 || r.Latency.P50 <= 0 || r.Latency.P99 < r.Latency.P50 || r.Latency.Max < r.Latency.P99 || r.Processes[0].Resident <= 0 {
			t.Errorf("%s: %+v makes no sense", r.Scenario, r)
		}
	}
	want := []string{"put-one 5", fmt.Sprint("put-many ", keySpace), "get-one 200", "get 2000", "range 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scenarios (-want +got):\n%s", diff)
	}
}

// TestRangeRefusesWhatIsMissing holds the readers to what they read: a fast answer with nothing in it is no answer.
func TestRangeRefusesWhatIsMissing(t *testing.T) {
	_, err := measureLog(t.Context(), clock.RealClock{}, filepath.Join(t.TempDir(), "log"), size{lonePuts: 1, puts: 10, gets: 2000, ranges: 1})
	if err == nil || !strings.Contains(err.Error(), "get-one: /registry/bench/") {
		t.Errorf("error is %v, want that of the first object that is missing", err)
	}
}

func TestLoadCallsEachOnce(t *testing.T) {
	var mu sync.Mutex
	seen := map[int]int{}
	_, err := load{name: "each", clients: 3, total: 40, run: 4, do: func(_ context.Context, i int) error {
		mu.Lock()
		defer mu.Unlock()
		seen[i]++
		return nil
	}}.measure(t.Context(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if seen[i] != 1 {
			t.Errorf("call %d was made %d times", i, seen[i])
		}
	}
	if len(seen) != 40 {
		t.Errorf("%d different calls, want 40", len(seen))
	}
}

func TestLoadEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	_, err := load{name: "each", clients: 2, total: 1000, run: 1, do: func(_ context.Context, i int) error {
		if i == 7 {
			return broken
		}
		return nil
	}}.measure(t.Context(), clock.RealClock{})
	if !errors.Is(err, broken) {
		t.Errorf("error is %v, want %v", err, broken)
	}
}

// TestMillion fills a small log and opens it.
func TestMillion(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := fill(t.Context(), dir, 1000); err != nil {
		t.Fatal(err)
	}
	if size, err := forget(dir); err != nil || size < 1000*valueBytes {
		t.Errorf("the log has %d bytes on disk (%v), want at least its values'", size, err)
	}
	o, err := measureOpen(t.Context(), clock.RealClock{}, dir, collection(2), t.TempDir(), 300)
	if err != nil {
		t.Fatal(err)
	}
	if o.Objects != 1000 || o.Encoded != 1000*valueBytes || o.Writes != 300 {
		t.Errorf("opened %d objects of %d bytes and wrote %d, want 1000 of %d and 300", o.Objects, o.Encoded, o.Writes, 1000*valueBytes)
	}
	if o.Live < o.Encoded || o.Resident < o.Live || o.GCPercent <= 0 {
		t.Errorf("%+v makes no sense", o)
	}
}

func TestFillRefuses(t *testing.T) {
	for _, objects := range []string{"0", "-100", "150", "many"} {
		if err := fillFrom(t.Context(), []string{t.TempDir(), objects}); err == nil || !strings.Contains(err.Error(), "want a multiple of 100") {
			t.Errorf("fill %s: %v", objects, err)
		}
	}
	dir := t.TempDir()
	log, err := pebble.Open(pebble.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := fill(t.Context(), dir, 100); !errors.Is(err, pebble.ErrInUse) {
		t.Errorf("fill of a log in use: %v", err)
	}
}

const report = `bench with linearizable range

Summary:
  Total:	0.5 secs.
  Slowest:	0.031 secs.
  Fastest:	0.0004 secs.
  Requests/sec:	19230.769

Response time histogram:
  0.0004 [1]	|

Latency distribution:
  10% in 0.001 secs.
  50% in 0.0125 secs.
  99% in 1e-3 secs.
  99.9% in 0.03 secs.
`

func TestReadReport(t *testing.T) {
	got, err := readReport(report)
	if err != nil {
		t.Fatal(err)
	}
	want := result{Seconds: 0.5, Rate: 19230.769, Latency: latency{P50: 12.5, P99: 1, Max: 31}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestReadReportRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "no Total:",
		strings.Replace(report, "  99% in 1e-3 secs.\n", "", 1):                  "no 99% in",
		strings.Replace(report, "19230.769", "many", 1):                          "Requests/sec:",
		report + "\nError distribution:\n  [3]\tetcdserver: request timed out\n": "requests failed: [3]\tetcdserver: request timed out",
	} {
		if _, err := readReport(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("readReport(%q) says %v, want %q", text, err, want)
		}
	}
}

func TestMachine(t *testing.T) {
	dir := t.TempDir()
	if kind, err := filesystem(dir); err != nil || kind == "" {
		t.Errorf("filesystem of %s is %q: %v", dir, kind, err)
	}
	if _, err := filesystem(filepath.Join(dir, "absent")); err == nil {
		t.Error("a directory that is not there has a filesystem")
	}
	if l, err := measureSyncs(t.Context(), clock.RealClock{}, dir); err != nil || l.P50 <= 0 || l.Max < l.P99 {
		t.Errorf("syncs take %+v: %v", l, err)
	}
}
