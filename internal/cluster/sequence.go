package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/utils/clock"
)

// stopLimit bounds how long one part may take to stop before it is named in the log.
const stopLimit = 20 * time.Second

// part is one running piece of a server: it runs until its context ends.
type part struct {
	name string
	run  func(ctx context.Context) error
}

// runSequence starts parts in order and, when ctx ends or a part fails, stops them in the reverse order, each after the one
// started later has returned. It returns the errors of the parts, ctx's own excepted.
func runSequence(ctx context.Context, clk clock.Clock, log *slog.Logger, parts []part) error {
	type running struct {
		part
		stop context.CancelFunc
		done chan struct{}
		err  error
	}
	failed := make(chan struct{}, len(parts)) // one send for each part at most
	var all []*running
	for _, p := range parts {
		// Each part outlives ctx until its turn to stop has come.
		partCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		r := &running{part: p, stop: stop, done: make(chan struct{})}
		all = append(all, r)
		go func() {
			defer close(r.done)
			if err := p.run(partCtx); err != nil && !errors.Is(err, context.Canceled) {
				r.err = fmt.Errorf("%s: %w", p.name, err)
			} else if partCtx.Err() == nil {
				r.err = fmt.Errorf("%s ended by itself", p.name)
			}
			failed <- struct{}{}
		}()
	}
	select {
	case <-ctx.Done():
	case <-failed:
	}
	var errs []error
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i]
		r.stop()
		limit := clk.NewTimer(stopLimit)
		select {
		case <-r.done:
			errs = append(errs, r.err)
		case <-limit.C():
			log.Error("a part does not stop in time", "part", r.name, "limit", stopLimit)
			errs = append(errs, fmt.Errorf("%s did not stop within %s", r.name, stopLimit))
		}
		limit.Stop()
	}
	return errors.Join(errs...)
}
