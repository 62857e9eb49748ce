package audit

import (
	"context"
	"errors"
	"sync"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"
)

// sendersAtOnce is how many batches are under way together. Upstream sets no bound; here events wait in the buffer, and are lost when it is full.
const sendersAtOnce = 16

// drainTime is how long batches that are left have to be sent after the end.
const drainTime = 10 * time.Second

// batching lets events wait for others. One goroutine, run, empties the buffer.
type batching struct {
	trail    *Trail
	to       sender
	limit    Batch
	clock    clock.WithTicker
	throttle flowcontrol.RateLimiter // nil: none
	places   chan struct{}           // one for each batch under way; of one place, batches go out in order
	buffer   chan *auditv1.Event

	mu    sync.RWMutex
	ended bool // guarded by mu: nothing is put into buffer any more
}

// sender sends events together, until they are sent or lost, or ctx ends.
type sender func(ctx context.Context, events []*auditv1.Event)

func newBatching(t *Trail, to sender, limit Batch, ticking clock.WithTicker, atOnce int) *batching {
	b := &batching{trail: t, to: to, limit: limit, clock: ticking, places: make(chan struct{}, atOnce), buffer: make(chan *auditv1.Event, limit.BufferSize)}
	if limit.ThrottleEnable {
		b.throttle = flowcontrol.NewTokenBucketRateLimiterWithClock(limit.ThrottleQPS, limit.ThrottleBurst, ticking)
	}
	return b
}

var (
	errFull  = errors.New("audit buffer queue blocked")
	errEnded = errors.New("audit backend shut down")
)

// take implements sink. It never waits.
func (b *batching) take(events ...*auditv1.Event) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for i, e := range events {
		if b.ended {
			b.trail.lost("buffered", errEnded, events[i:]...)
			return true
		}
		select {
		case b.buffer <- e:
		default:
			b.trail.lost("buffered", errFull, events[i:]...)
			return true
		}
	}
	return true
}

// run sends batches until ctx ends, then what is left for a bounded time.
func (b *batching) run(ctx context.Context) error {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var sending sync.WaitGroup
	defer sending.Wait()
	for ctx.Err() == nil {
		b.send(hard, &sending, b.collect(ctx))
	}
	b.mu.Lock()
	b.ended = true
	close(b.buffer)
	b.mu.Unlock()
	limit := b.clock.NewTimer(drainTime)
	defer limit.Stop()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for events := b.collect(hard); len(events) > 0; events = b.collect(hard) {
			b.send(hard, &sending, events)
		}
		sending.Wait()
		for e := range b.buffer { // time was up
			b.trail.lost("buffered", errEnded, e)
		}
	}()
	select {
	case <-drained:
	case <-limit.C():
		cancel()
		<-drained
	}
	return nil
}

// collect waits until a batch is full, or has waited long enough, or ctx or the buffer has ended.
func (b *batching) collect(ctx context.Context) (events []*auditv1.Event) {
	var over <-chan time.Time
	if b.limit.MaxSize > 1 {
		timer := b.clock.NewTimer(b.limit.MaxWait.Duration)
		defer timer.Stop()
		over = timer.C()
	}
	for len(events) < b.limit.MaxSize {
		select {
		case e, ok := <-b.buffer:
			if !ok {
				return events
			}
			events = append(events, e)
		case <-over:
			return events
		case <-ctx.Done():
			return events
		}
	}
	return events
}

func (b *batching) send(ctx context.Context, sending *sync.WaitGroup, events []*auditv1.Event) {
	if len(events) == 0 {
		return
	}
	if b.throttle != nil && b.throttle.Wait(ctx) != nil {
		b.trail.lost("buffered", errEnded, events...)
		return
	}
	select {
	case b.places <- struct{}{}:
	case <-ctx.Done():
		b.trail.lost("buffered", errEnded, events...)
		return
	}
	sending.Go(func() {
		defer func() { <-b.places }()
		b.to(ctx, events)
	})
}
