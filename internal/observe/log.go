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

	"k8s.io/klog/v2"
)

// Formats that NewLogger knows.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// NewLogger writes lines to w in the given format. verbosity 0 shows information and above; every step more shows one
// level of debug more (slog level -verbosity). It also makes klog, which libraries of Kubernetes log with, write there.
func NewLogger(w io.Writer, format string, verbosity int) (*slog.Logger, error) {
	opts := &slog.HandlerOptions{Level: slog.Level(-verbosity)}
	var handler slog.Handler
	switch format {
	case FormatText, "":
		handler = slog.NewTextHandler(w, opts)
	case FormatJSON:
		handler = slog.NewJSONHandler(w, opts)
	default:
		return nil, fmt.Errorf("--logging-format: unknown format %q, want %q or %q", format, FormatText, FormatJSON)
	}
	log := slog.New(handler)
	klog.SetSlogLogger(log)
	return log, nil
}

// Discard is a logger that keeps nothing, for tests and commands that print results only.
func Discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
