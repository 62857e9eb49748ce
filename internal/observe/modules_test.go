package observe

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"k8s.io/klog/v2"
)

// TestModulesShowMore: the files that a pattern names show more than the rest, klog's users too, and none shows less.
func TestModulesShowMore(t *testing.T) {
	for _, c := range []struct {
		modules   string
		verbosity int
		level     slog.Level
		shown     bool
	}{
		{"modules_test=3", 0, -3, true},
		{"modules_test=3", 0, -4, false},
		{"modules_test=3", 4, -4, true},
		{"mod*=3, other=9", 0, -3, true},
		{"other=9", 0, -1, false},
		{"other=9", 0, 0, true},
		{"modules_test=0,mod*=9", 0, -1, true},
		{"modules_test=1,mod*=9", 0, -2, false},
	} {
		modules, err := ParseModules(c.modules)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		var v Verbosity
		v.Set(c.verbosity)
		log, err := NewLogger(&out, FormatText, &v, modules)
		if err != nil {
			t.Fatal(err)
		}
		log.With("a", 1).WithGroup("g").Log(t.Context(), c.level, "line", "b", 2)
		if got := strings.Contains(out.String(), "msg=line a=1 g.b=2"); got != c.shown {
			t.Errorf("--vmodule %s --v %d: a line at %d is shown: %t, want %t; %s", c.modules, c.verbosity, c.level, got, c.shown, &out)
		}
		if got := klog.V(klog.Level(-c.level)).Enabled(); got != c.shown {
			t.Errorf("--vmodule %s --v %d: klog's line at %d is enabled: %t, want %t", c.modules, c.verbosity, c.level, got, c.shown)
		}
	}
	if _, err := NewLogger(&strings.Builder{}, FormatText, &Verbosity{}, Modules{}); err != nil {
		t.Fatal(err)
	}
	if klog.V(1).Enabled() {
		t.Error("klog keeps the modules of a logger before")
	}
}

func TestModulesAreChecked(t *testing.T) {
	for _, text := range []string{"a", "=1", "a=", "a=-1", "a=x", "[=1", "a=99999999999"} {
		if _, err := ParseModules(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	modules, err := ParseModules("a=1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewLogger(&strings.Builder{}, FormatJSON, &Verbosity{}, modules); err == nil || !strings.Contains(err.Error(), "text") {
		t.Errorf("with JSON: %v", err)
	}
}

// TestLinesOfNowhere: a record without a place in the sources is no file's.
func TestLinesOfNowhere(t *testing.T) {
	modules, err := ParseModules("a*=9")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	log, err := NewLogger(&out, FormatText, &Verbosity{}, modules)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Handler().Handle(context.Background(), slog.NewRecord(time.Time{}, -1, "line", 0)); err != nil || out.Len() > 0 {
		t.Errorf("%v %s", err, &out)
	}
}
