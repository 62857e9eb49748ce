package engine

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// First and last wait after a failure.
const (
	backoffFirst = 5 * time.Millisecond
	backoffLast  = 1000 * time.Second
)

// queue holds keys to reconcile, each at most once, in order of arrival.
//
//	absent → waiting (delayed) → ready → busy → absent
//	                               ↑       └ added meanwhile: ready again when done
type queue struct {
	clock clock.WithTicker
	wake  chan struct{} // capacity 1: a token says "look again"; whoever takes it passes it on while keys are ready

	mu       sync.Mutex // guards all below
	ready    []Key
	dirty    map[Key]bool // in ready, or to be put there when done
	busy     map[Key]bool
	failures map[Key]int
	delayed  delays
}

func newQueue(c clock.WithTicker) *queue {
	return &queue{clock: c, wake: make(chan struct{}, 1), dirty: map[Key]bool{}, busy: map[Key]bool{}, failures: map[Key]int{}}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) add(keys ...Key) {
	q.mu.Lock()
	for _, k := range keys {
		q.addLocked(k)
	}
	q.mu.Unlock()
	q.signal()
}

func (q *queue) addLocked(k Key) {
	if q.dirty[k] {
		return
	}
	q.dirty[k] = true
	if !q.busy[k] {
		q.ready = append(q.ready, k)
	}
}

func (q *queue) addAfter(k Key, d time.Duration) {
	q.mu.Lock()
	heap.Push(&q.delayed, delay{q.clock.Now().Add(d), k})
	q.mu.Unlock()
	q.signal()
}

// retry adds k after its back-off, which it returns.
func (q *queue) retry(k Key) time.Duration {
	q.mu.Lock()
	n := q.failures[k]
	q.failures[k] = n + 1
	q.mu.Unlock()
	wait := backoffLast
	if n < 18 { // 5 ms << 18 is above 1000 s
		wait = min(backoffFirst<<n, backoffLast)
	}
	q.addAfter(k, wait)
	return wait
}

func (q *queue) forget(k Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.failures, k)
}

// next takes a key, waiting for one; done must follow. false when ctx ended.
func (q *queue) next(ctx context.Context) (Key, bool) {
	for ctx.Err() == nil {
		k, wait, ok := q.take()
		if ok {
			return k, true
		}
		var due <-chan time.Time
		stop := func() {}
		if wait > 0 {
			t := q.clock.NewTimer(wait)
			due, stop = t.C(), func() { t.Stop() }
		}
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-due:
		}
		stop()
	}
	return Key{}, false
}

// take returns a ready key, or how long until the first delayed one is due (0: there is none).
func (q *queue) take() (Key, time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	for len(q.delayed) > 0 && !q.delayed[0].at.After(now) {
		q.addLocked(heap.Pop(&q.delayed).(delay).key)
	}
	if len(q.ready) == 0 {
		if len(q.delayed) == 0 {
			return Key{}, 0, false
		}
		return Key{}, q.delayed[0].at.Sub(now), false
	}
	k := q.ready[0]
	q.ready = q.ready[1:]
	delete(q.dirty, k)
	q.busy[k] = true
	if len(q.ready) > 0 || len(q.delayed) > 0 {
		q.signal()
	}
	return k, 0, true
}

func (q *queue) done(k Key) {
	q.mu.Lock()
	delete(q.busy, k)
	if q.dirty[k] {
		q.ready = append(q.ready, k)
	}
	q.mu.Unlock()
	q.signal()
}

type delay struct {
	at  time.Time
	key Key
}

// delays is a heap, soonest first.
type delays []delay

func (d delays) Len() int           { return len(d) }
func (d delays) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d delays) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push appends x, a delay; for container/heap.
func (d *delays) Push(x any) { *d = append(*d, x.(delay)) }

// Pop removes the last; for container/heap.
func (d *delays) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}
