package etcd

import (
	"context"
	"sync"

	"github.com/floe-k8s/floe/internal/store"
)

// turns lets many callers share a piece of work that must begin after they asked for it: while one turn runs, all who come wait
// together for the next. So one turn is under way at most, however many ask.
type turns[T any] struct {
	spawn func(func()) bool            // false: the log is closed
	work  func(since int64) (T, error) // since is the least that a caller named

	mu      sync.Mutex
	running bool
	waiting *turn[T]
}

type turn[T any] struct {
	since  int64
	done   chan struct{} // closed when result and err are set
	result T
	err    error
}

// do waits for a whole turn that began after the call. Errors: ctx's, ErrClosed, and the work's. The turn outlives a caller that leaves.
func (t *turns[T]) do(ctx context.Context, since int64) (T, error) {
	mine, err := t.join(since)
	if err == nil {
		select {
		case <-mine.done:
			return mine.result, mine.err
		case <-ctx.Done():
			err = ended(ctx, nil)
		}
	}
	var none T
	return none, err
}

func (t *turns[T]) join(since int64) (*turn[T], error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting == nil {
		t.waiting = &turn[T]{since: since, done: make(chan struct{})}
	}
	mine := t.waiting
	mine.since = min(mine.since, since)
	if !t.running {
		if !t.spawn(t.run) {
			t.waiting = nil
			return nil, store.ErrClosed
		}
		t.running = true
	}
	return mine, nil
}

// run takes turn after turn until nobody waits.
func (t *turns[T]) run() {
	for {
		t.mu.Lock()
		now := t.waiting
		t.waiting = nil
		t.running = now != nil
		t.mu.Unlock()
		if now == nil {
			return
		}
		now.result, now.err = t.work(now.since)
		close(now.done)
	}
}
