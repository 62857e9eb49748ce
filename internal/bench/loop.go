package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// operation is one measured call or chain of calls; i counts from 0 over all workers and never repeats.
type operation func(ctx context.Context, s *session, i int) error

// load is how an operation is run: until count operations were begun or duration has passed; one of them may be 0, which means no limit.
type load struct {
	clock    clock.Clock
	sessions []*session // one worker each
	count    int
	duration time.Duration
}

// outcome is what a run of the loop saw.
type outcome struct {
	latency Histogram // of operations that succeeded
	errors  errorCounts
	bytes   int64
	elapsed time.Duration
	begun   int     // operations that were begun: their numbers are below it
	started *Memory // of a server that the operation started; nil otherwise
}

// run runs the operation to its limits and waits for all workers. The error is nil, ErrServerGone, or ctx's; the outcome is good in any case.
func (l load) run(ctx context.Context, do operation) (*outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := work{load: l, do: do, start: l.clock.Now(), stop: cancel, patience: int64(2*len(l.sessions) + 8)}
	parts := make([]outcome, len(l.sessions))
	var workers sync.WaitGroup
	for i, s := range l.sessions {
		workers.Go(func() { w.worker(ctx, s, &parts[i]) })
	}
	workers.Wait()
	all := &outcome{errors: errorCounts{}, elapsed: l.clock.Since(w.start)}
	for i := range parts {
		all.latency.Merge(&parts[i].latency)
		all.errors.merge(parts[i].errors)
		all.bytes += parts[i].bytes
	}
	all.begun = min(int(w.next.Load()), maxObjects+1)
	if l.count > 0 {
		all.begun = min(all.begun, l.count)
	}
	return all, context.Cause(ctx)
}

// work is what the workers of one run share.
type work struct {
	load
	do       operation
	start    time.Time
	next     atomic.Int64
	lost     atomic.Int64 // connection errors since the last answer
	patience int64        // how many of these say that the server is gone
	stop     context.CancelCauseFunc
}

func (w *work) worker(ctx context.Context, s *session, out *outcome) {
	out.errors = errorCounts{}
	before := s.bytes
	defer func() { out.bytes = s.bytes - before }()
	for ctx.Err() == nil {
		if w.duration > 0 && w.clock.Since(w.start) >= w.duration {
			return
		}
		i := int(w.next.Add(1) - 1)
		if i > maxObjects || w.count > 0 && i >= w.count {
			return
		}
		began := w.clock.Now()
		err := w.do(ctx, s, i)
		switch {
		case err == nil:
			out.latency.Record(w.clock.Since(began))
			w.lost.Store(0)
		case ctx.Err() != nil:
			return // cut off by the end of the run, not by the server
		default:
			out.errors.add(err)
			w.judge(err)
		}
	}
}

// judge ends the run when err says that nobody answers any more: nobody listens, or no connection has worked for a while.
func (w *work) judge(err error) {
	switch classify(err) {
	case classRefused:
		w.stop(fmt.Errorf("%w: %w", ErrServerGone, err))
	case classConnection:
		if w.lost.Add(1) >= w.patience {
			w.stop(fmt.Errorf("%w: %d errors of the connection in a row, the last: %w", ErrServerGone, w.patience, err))
		}
	default:
		w.lost.Store(0)
	}
}

// failFirst turns an outcome of preparing into an error: there nothing may go wrong.
func failFirst(what string, out *outcome, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var all error
	for _, n := range out.errors {
		all = errors.Join(all, fmt.Errorf("%s: %d times: %s", what, n.Count, n.Example))
	}
	return all
}
