// Package observe sets up what a process says about itself: logs today, metrics and traces with the parts that need them.
// It is set up once, by the program, and handed down as a *slog.Logger; no other package chooses a destination or a format.
//
// Levels follow --v as Kubernetes' programs have it: errors and warnings always show, information at 0, and each step of
// verbosity shows one level of debug more.
package observe

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"

	"k8s.io/klog/v2"
)

// Formats that NewLogger knows.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// Verbosity is how much a logger shows. Its zero value shows information and above. It may be set while it is used.
type Verbosity struct{ level slog.LevelVar }

// Set shows one level of debug more for every step above 0 (slog level -n), klog's included.
func (v *Verbosity) Set(n int) {
	v.level.Set(slog.Level(-n))
	var level klog.Level
	if err := level.Set(strconv.Itoa(n)); err != nil {
		panic(fmt.Sprintf("klog takes no verbosity %d: %v", n, err)) // it takes every number
	}
}

// NewLogger writes lines to w in the given format, as far as verbosity shows them, and modules, which text has only. It also makes klog, which libraries of
// Kubernetes log with, write there.
func NewLogger(w io.Writer, format string, verbosity *Verbosity, modules Modules) (*slog.Logger, error) {
	if len(modules.list) > 0 && format == FormatJSON {
		return nil, fmt.Errorf("--vmodule: %q: only supported for text log format", modules.text)
	}
	opts := &slog.HandlerOptions{Level: &verbosity.level}
	if len(modules.list) > 0 {
		opts.Level = slog.Level(math.MinInt)
	}
	var handler slog.Handler
	switch format {
	case FormatText, "":
		handler = slog.NewTextHandler(w, opts)
	case FormatJSON:
		handler = slog.NewJSONHandler(w, opts)
	default:
		return nil, fmt.Errorf("--logging-format: unknown format %q, want %q or %q", format, FormatText, FormatJSON)
	}
	if len(modules.list) > 0 {
		handler = byModule{handler, verbosity, &modules}
	}
	if err := modules.tellKlog(); err != nil {
		return nil, fmt.Errorf("--vmodule: %q: %w", modules.text, err)
	}
	log := slog.New(handler)
	klog.SetSlogLogger(log)
	return log, nil
}

// Discard is a logger that keeps nothing, for tests and commands that print results only.
func Discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
