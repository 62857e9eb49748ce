package api

import (
	"context"
	"time"

	"k8s.io/utils/clock"
)

// WithTimeout is context.WithTimeout by clk, but that the context's error is context.Canceled when the time is over. cancel must be called.
func WithTimeout(parent context.Context, clk clock.WithDelayedExecution, d time.Duration) (ctx context.Context, cancel func()) {
	ctx, end := context.WithCancel(parent)
	timer := clk.AfterFunc(d, end)
	return ctx, func() {
		timer.Stop()
		end()
	}
}
