package store

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// topic is what a cursor may be narrowed to: one value of an index, or one key, for which index is keyTopic.
type topic struct {
	index, value string
}

// keyTopic cannot be the name of an index, see indexKey.
const keyTopic = "\x00key"

// ringEntry is one event in a ring. It is immutable once published.
type ringEntry struct {
	Event
	time  time.Time // when it entered the log
	bytes int64
}

// entryOverhead is charged for each event beside the bytes of its previous version. The new version is the table's, or the
// next event's previous one, and is charged there.
const entryOverhead = 256

func (e *ringEntry) key() string {
	if e.Item != nil {
		return e.Item.Key
	}
	return e.Previous.Key
}

// each calls f with every topic that the event is for: its key, and the index values before and after it.
func (e *ringEntry) each(f func(topic)) {
	f(topic{keyTopic, e.key()})
	if e.Item != nil {
		for _, place := range e.Item.cell.places {
			f(e.Item.cell.topic(place))
		}
	}
	if e.Previous == nil {
		return
	}
	for _, place := range e.Previous.cell.places {
		// An event's items have the same key, so that equal places are equal topics.
		if e.Item == nil || !slices.Contains(e.Item.cell.places, place) {
			f(e.Previous.cell.topic(place))
		}
	}
}

func (e *ringEntry) isFor(t topic) bool {
	found := false
	e.each(func(x topic) { found = found || x == t })
	return found
}

// ring holds the newest events of one collection, and beside all of them a queue for every topic that a cursor reads.
type ring struct {
	budget *ringBudget

	newest atomic.Uint64 // the revision of the newest event, or where the ring began
	place  int           // among the budget's; -1: it holds nothing. Guarded by Table.editing

	mu     sync.Mutex
	start  Revision // it is complete after this revision
	all    queue
	topics map[topic]*queue
	over   bool // its collection is gone: there will be no more events
}

// queue is a run of events. Places count from any origin: queues are extended at both ends.
type queue struct {
	topic topic
	from  Revision // it is complete after this revision, as far as the ring is
	first int64    // the place of events[0]; what was before it has been evicted
	// evicted is the revision of the newest event that was taken from the front; 0: none.
	evicted Revision
	events  []*ringEntry
	readers int           // cursors
	wake    chan struct{} // nil: nobody waits; closed and forgotten by the next event
}

func (q *queue) end() int64 { return q.first + int64(len(q.events)) }

func (q *queue) push(e *ringEntry) {
	q.events = append(q.events, e)
	q.signal()
}

func (q *queue) shift() {
	q.evicted = q.events[0].Revision
	q.events[0] = nil
	q.events = q.events[1:]
	q.first++
}

func (q *queue) restart(rev Revision) {
	q.first = q.end() + 1 // behind every cursor's next
	q.from, q.evicted, q.events = rev, rev, nil
	q.signal()
}

// signal wakes who waits.
func (q *queue) signal() {
	if q.wake != nil {
		close(q.wake)
		q.wake = nil
	}
}

// signal wakes everyone who waits for an event, though there is none.
func (r *ring) signal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signalLocked()
}

func (r *ring) signalLocked() {
	r.all.signal()
	for _, q := range r.topics {
		q.signal()
	}
}

func newRing(b *ringBudget) *ring { return &ring{budget: b, topics: make(map[topic]*queue), place: -1} }

// restart empties the ring: it is complete after rev then. Cursors from before it expire. The caller holds Table.editing.
func (r *ring) restart(rev Revision) {
	r.budget.leave(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.all.events {
		r.budget.used.Add(-e.bytes)
	}
	r.start = rev
	r.newest.Store(uint64(rev))
	r.all.restart(rev)
	for _, q := range r.topics {
		q.restart(rev)
	}
}

// end says that there are no more events: cursors take those that there are, and then ErrEnded. The caller holds Table.editing.
func (r *ring) end() {
	r.budget.leave(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.all.events {
		r.budget.used.Add(-e.bytes)
	}
	r.over = true
	r.signalLocked()
}

// publish appends an event and wakes who waits for it. The caller holds Table.editing.
func (r *ring) publish(e *ringEntry) {
	e.bytes = entryOverhead
	if e.Previous != nil {
		e.bytes += int64(e.Previous.Held())
	}
	r.budget.enter(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest.Store(uint64(e.Revision))
	r.all.push(e)
	if len(r.topics) > 0 {
		e.each(func(t topic) {
			if q := r.topics[t]; q != nil {
				q.push(e)
			}
		})
	}
	r.budget.used.Add(e.bytes)
}

// oldest returns the first event; nil: none. The caller holds Table.editing, and it takes no other lock, since
// nobody else changes all.events.
func (r *ring) oldest() *ringEntry {
	if len(r.all.events) == 0 {
		return nil
	}
	return r.all.events[0]
}

// evict drops the oldest event, for slow cursors too.
func (r *ring) evict() {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.all.events[0]
	r.all.shift()
	r.start = e.Revision
	e.each(func(t topic) {
		if q := r.topics[t]; q != nil && len(q.events) > 0 && q.events[0] == e {
			q.shift()
		}
	})
	r.budget.used.Add(-e.bytes)
}

// ringBudget is the bound that all rings share. It is used under Table.editing.
type ringBudget struct {
	limit  int64        // bytes
	used   atomic.Int64 // bytes; others only read it
	filled []*ring      // those that hold events: there may be thousands that hold none
}

// enter counts a ring that is about to hold events.
func (b *ringBudget) enter(r *ring) {
	if r.place < 0 {
		r.place = len(b.filled)
		b.filled = append(b.filled, r)
	}
}

// leave forgets a ring that holds no events, or soon none.
func (b *ringBudget) leave(r *ring) {
	if r.place < 0 {
		return
	}
	last := len(b.filled) - 1
	b.filled[r.place] = b.filled[last]
	b.filled[r.place].place = r.place
	b.filled[last] = nil
	b.filled, r.place = b.filled[:last], -1
}

// keptAnyway is the part of the limit that may be filled with events of any age; beyond it those older than ringAge go.
const keptAnyway = 8

// enforce drops the oldest events of all rings until they are within the limit.
func (b *ringBudget) enforce(now time.Time) {
	for b.used.Load() > b.limit/keptAnyway {
		var victim *ring
		var first *ringEntry
		for _, r := range b.filled {
			if e := r.oldest(); e != nil && (first == nil || e.Revision < first.Revision) {
				victim, first = r, e
			}
		}
		if victim == nil || b.used.Load() <= b.limit && now.Sub(first.time) <= ringAge {
			return
		}
		victim.evict()
		if victim.oldest() == nil {
			b.leave(victim)
		}
	}
}

// join returns the queue of a topic that is complete after a revision, and counts a reader. ok is false when the ring
// has lost events after that revision.
func (r *ring) join(t topic, after Revision) (q *queue, next int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if after < r.start {
		return nil, 0, false
	}
	q = &r.all
	if t != (topic{}) {
		if q = r.topics[t]; q == nil {
			q = &queue{topic: t, from: r.newestLocked()}
			r.topics[t] = q
		}
		r.extendLocked(q, after)
	}
	q.readers++
	i, _ := slices.BinarySearchFunc(q.events, after+1, func(e *ringEntry, rev Revision) int {
		if e.Revision < rev {
			return -1
		}
		return 1
	})
	return q, q.first + int64(i), true
}

func (r *ring) newestLocked() Revision {
	if n := len(r.all.events); n > 0 {
		return r.all.events[n-1].Revision
	}
	return r.start
}

// extendLocked lets q reach back to a revision that the ring still has.
func (r *ring) extendLocked(q *queue, after Revision) {
	if q.from <= after {
		return
	}
	var found []*ringEntry
	for i := len(r.all.events) - 1; i >= 0 && r.all.events[i].Revision > after; i-- {
		if e := r.all.events[i]; e.Revision <= q.from && e.isFor(q.topic) {
			found = append(found, e)
		}
	}
	slices.Reverse(found)
	q.events = slices.Concat(found, q.events)
	q.first -= int64(len(found))
	q.from = after
}

// leave ends one reader of q.
func (r *ring) leave(q *queue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q.readers--
	if q.readers == 0 && q != &r.all && r.topics[q.topic] == q {
		delete(r.topics, q.topic)
	}
}
