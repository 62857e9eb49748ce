package observe

import (
	"log/slog"
	"strings"
	"testing"
)

func TestVerbosityChoosesLevels(t *testing.T) {
	for _, c := range []struct {
		verbosity int
		level     slog.Level
		shown     bool
	}{
		{0, slog.LevelWarn, true},
		{0, slog.LevelInfo, true},
		{0, slog.Level(-1), false},
		{2, slog.Level(-2), true},
		{2, slog.Level(-3), false},
	} {
		var out strings.Builder
		var v Verbosity
		log, err := NewLogger(&out, FormatText, &v, Modules{})
		if err != nil {
			t.Fatal(err)
		}
		v.Set(c.verbosity) // also while it is used
		log.Log(t.Context(), c.level, "line")
		if got := strings.Contains(out.String(), "line"); got != c.shown {
			t.Errorf("verbosity %d, level %d: shown %t, want %t", c.verbosity, c.level, got, c.shown)
		}
	}
}

func TestUnknownFormatIsNamed(t *testing.T) {
	if _, err := NewLogger(nil, "xml", &Verbosity{}, Modules{}); err == nil || !strings.Contains(err.Error(), `"xml"`) {
		t.Errorf("NewLogger with format xml: got %v, want an error that names it", err)
	}
}
