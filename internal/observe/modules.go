package observe

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"k8s.io/klog/v2"
)

// module is a verbosity of some files' own: those whose name, without folder and ".go", a pattern matches.
type module struct {
	pattern string
	level   slog.Level
}

// Modules are verbosities of files of the program's sources, as --vmodule has them. Its zero value is none. They only ever show more.
type Modules struct {
	list   []module
	lowest slog.Level
	text   string
}

// ParseModules reads PATTERN=N,...; a pattern is a file's name without folder and ".go", with * and ? as in a shell.
func ParseModules(text string) (Modules, error) {
	m := Modules{text: text}
	for entry := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		pattern, number, ok := strings.Cut(strings.TrimSpace(entry), "=")
		n, err := strconv.ParseUint(number, 10, 31)
		if !ok || pattern == "" || err != nil {
			return Modules{}, fmt.Errorf("%q: must be PATTERN=N,... with N from 0 to %d", entry, 1<<31-1)
		}
		if _, err := filepath.Match(pattern, ""); err != nil {
			return Modules{}, fmt.Errorf("%q: %w", entry, err)
		}
		if n == 0 {
			continue // shows nothing more, and hides no later one, as in klog
		}
		level := slog.Level(-int(n))
		m.list, m.lowest = append(m.list, module{pattern, level}), min(m.lowest, level)
	}
	return m, nil
}

// shows says whether a line at a level of the code at pc is shown. The first pattern that matches decides.
func (m *Modules) shows(level slog.Level, pc uintptr) bool {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	name := strings.TrimSuffix(filepath.Base(frame.File), ".go")
	for _, one := range m.list {
		if ok, err := filepath.Match(one.pattern, name); err == nil && ok {
			return level >= one.level
		}
	}
	return false
}

// tellKlog gives klog the same verbosities for the libraries that log with it.
func (m *Modules) tellKlog() error {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	return flags.Set("vmodule", m.text)
}

// byModule shows what a verbosity shows, and of some files more. Whether a file is one of them is known only when a line is made, so that lines of
// others are made and thrown away: it costs as much as showing them while there are modules, and nothing else.
type byModule struct {
	slog.Handler // takes every level
	verbosity    *Verbosity
	modules      *Modules
}

// Enabled implements slog.Handler.
func (b byModule) Enabled(_ context.Context, level slog.Level) bool {
	return level >= min(b.verbosity.level.Level(), b.modules.lowest)
}

// Handle implements slog.Handler.
func (b byModule) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < b.verbosity.level.Level() && !b.modules.shows(r.Level, r.PC) {
		return nil
	}
	return b.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (b byModule) WithAttrs(attrs []slog.Attr) slog.Handler {
	b.Handler = b.Handler.WithAttrs(attrs)
	return b
}

// WithGroup implements slog.Handler.
func (b byModule) WithGroup(name string) slog.Handler {
	b.Handler = b.Handler.WithGroup(name)
	return b
}
