package engine

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// First wait after a failure, and the longest unless a controller says otherwise.
const (
	backoffFirst = 5 * time.Millisecond
	backoffLast  = 1000 * time.Second
)

// queueLimit is how many keys are ready at most before the followers of inputs wait. A follower that waits too long for its stream
// starts over with a new view, so nothing is lost.
const queueLimit = 1 << 16

// queue holds keys to reconcile, each at most once in each state, in order of arrival.
//
//	absent → waiting (delayed) → ready → busy → absent
//	                               ↑       └ added meanwhile: ready again when done
//
// The delayed are not counted against the limit: each was ready before, and a key is delayed once at most, until the earliest of the times
// that were asked for.
type queue struct {
	clock clock.WithTicker
	most  time.Duration // longest wait after a failure
	limit int           // of ready; above 0
	meter *meter
	wake  chan struct{} // capacity 1: a token says "look again"; whoever takes it passes it on while keys are ready

	mu       sync.Mutex // guards all below
	ready    []Key
	added    map[Key]time.Time // when; those in ready, and those to be put there when done
	busy     map[Key]time.Time // since when
	failures map[Key]int
	delayed  delays
	due      map[Key]*delay // those in delayed
	room     chan struct{}  // closed when ready has fallen below the limit; nil: nobody waits
}

func newQueue(c clock.WithTicker, most time.Duration, m *meter) *queue {
	return &queue{clock: c, most: most, limit: queueLimit, meter: m, wake: make(chan struct{}, 1), added: map[Key]time.Time{}, busy: map[Key]time.Time{},
		failures: map[Key]int{}, due: map[Key]*delay{}}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// offer adds keys, and waits first while the queue is full. It does nothing when ctx has ended.
func (q *queue) offer(ctx context.Context, keys ...Key) {
	for len(keys) > 0 {
		q.mu.Lock()
		for len(keys) > 0 && len(q.ready) < q.limit {
			q.addLocked(keys[0])
			keys = keys[1:]
		}
		var room chan struct{}
		if len(keys) > 0 {
			if q.room == nil {
				q.room = make(chan struct{})
			}
			room = q.room
		}
		q.mu.Unlock()
		q.signal()
		if room == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-room:
		}
	}
}

func (q *queue) addLocked(k Key) {
	if _, there := q.added[k]; there {
		return
	}
	q.added[k] = q.clock.Now()
	q.meter.add()
	if _, busy := q.busy[k]; !busy {
		q.ready = append(q.ready, k)
	}
}

// addAfter adds k when d has passed, or earlier when that was asked for before.
func (q *queue) addAfter(k Key, d time.Duration) {
	q.meter.retry()
	q.mu.Lock()
	at := q.clock.Now().Add(d)
	switch known := q.due[k]; {
	case known == nil:
		known = &delay{at: at, key: k}
		q.due[k] = known
		heap.Push(&q.delayed, known)
	case at.Before(known.at):
		known.at = at
		heap.Fix(&q.delayed, known.place)
	}
	q.mu.Unlock()
	q.signal()
}

// retry adds k after its back-off, which it returns.
func (q *queue) retry(k Key) time.Duration {
	q.mu.Lock()
	n := q.failures[k]
	q.failures[k] = n + 1
	q.mu.Unlock()
	wait := q.most
	if n < 18 { // 5 ms << 18 is above 1000 s
		wait = min(backoffFirst<<n, q.most)
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
		k := heap.Pop(&q.delayed).(*delay).key
		delete(q.due, k)
		q.addLocked(k)
	}
	if len(q.ready) == 0 {
		if len(q.delayed) == 0 {
			return Key{}, 0, false
		}
		return Key{}, q.delayed[0].at.Sub(now), false
	}
	k := q.ready[0]
	q.ready[0] = Key{} // its texts go with it, not with the array
	q.ready = q.ready[1:]
	q.meter.waited(now.Sub(q.added[k]))
	delete(q.added, k)
	q.busy[k] = now
	if q.room != nil && len(q.ready) < q.limit {
		close(q.room)
		q.room = nil
	}
	if len(q.ready) > 0 || len(q.delayed) > 0 {
		q.signal()
	}
	return k, 0, true
}

func (q *queue) done(k Key) {
	q.mu.Lock()
	q.meter.worked(q.clock.Now().Sub(q.busy[k]))
	delete(q.busy, k)
	if _, again := q.added[k]; again {
		q.ready = append(q.ready, k)
	}
	q.mu.Unlock()
	q.signal()
}

// working are the keys that are being reconciled.
func (q *queue) working() []Key {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Collect(maps.Keys(q.busy))
}

// load is how many keys wait to be reconciled, how long those that are being reconciled have been together, and the longest of them.
func (q *queue) load() (depth int, unfinished, longest time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	for _, since := range q.busy {
		age := now.Sub(since)
		unfinished += age
		longest = max(longest, age)
	}
	return len(q.added), unfinished, longest
}

// delay is a key that is added later.
type delay struct {
	at    time.Time
	key   Key
	place int // in the heap
}

// delays is a heap, soonest first.
type delays []*delay

func (d delays) Len() int           { return len(d) }
func (d delays) Less(i, j int) bool { return d[i].at.Before(d[j].at) }

func (d delays) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push appends x, a *delay; for container/heap.
func (d *delays) Push(x any) {
	last := x.(*delay)
	last.place = len(*d)
	*d = append(*d, last)
}

// Pop removes the last; for container/heap.
func (d *delays) Pop() any {
	last := (*d)[len(*d)-1]
	(*d)[len(*d)-1] = nil
	*d = (*d)[:len(*d)-1]
	return last
}
