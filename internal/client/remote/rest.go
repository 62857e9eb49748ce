package remote

import (
	"context"
	"math/rand"
	"time"

	"k8s.io/utils/clock"
)

const (
	firstRest = 50 * time.Millisecond
	lastRest  = 10 * time.Second
)

// rests spaces attempts: each is up to twice as long as the one before, and no two clients keep step. One goroutine uses it.
type rests struct {
	clock clock.Clock
	rand  *rand.Rand
	next  time.Duration // the longest that the next may be; 0: the first
}

// reset says that an attempt went well.
func (r *rests) reset() { r.next = 0 }

// rest waits before the next attempt, or returns ctx's error.
func (r *rests) rest(ctx context.Context) error {
	r.next = min(max(2*r.next, firstRest), lastRest)
	timer := r.clock.NewTimer(r.next/2 + time.Duration(r.rand.Int63n(int64(r.next/2))))
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
