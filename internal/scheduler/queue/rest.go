package queue

import "time"

// Backoffs are in steps of this: upstream orders what ends within one step as the active queue does.
const step = time.Second

// leftover is a pod that was parked at a time; it holds while the pod is parked since then.
type leftover struct {
	item *Item
	at   time.Time
}

// ripen makes active what has rested enough, and wakes what was parked too long.
func (q *Queue) ripen(now time.Time) {
	for _, h := range []*itemHeap{&q.backoff, &q.failed} {
		for it := h.peek(); it != nil && !now.Before(it.until); it = h.peek() {
			q.leave(it)
			q.activate(it, "BackoffComplete")
		}
	}
	n := 0
	for ; n < len(q.oldest) && (!q.oldest[n].holds() || !now.Before(q.oldest[n].at.Add(q.cfg.Leftover))); n++ {
		if o := q.oldest[n]; o.holds() {
			q.leave(o.item)
			q.release(o.item, "UnschedulableTimeout", now)
		}
	}
	q.oldest = q.oldest[n:]
}

func (o leftover) holds() bool { return o.item.where == Parked && o.item.leftoverEntered.Equal(o.at) }

// Due is when Pop may have something to give at the latest, if nothing is told until then; false: never. Pop may have something before.
func (q *Queue) Due() (time.Time, bool) {
	var at time.Time
	earlier := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, h := range []*itemHeap{&q.backoff, &q.failed} {
		if it := h.peek(); it != nil {
			earlier(it.until)
		}
	}
	for len(q.oldest) > 0 && !q.oldest[0].holds() {
		q.oldest = q.oldest[1:]
	}
	if len(q.oldest) > 0 {
		earlier(q.oldest[0].at.Add(q.cfg.Leftover))
	}
	return at, !at.IsZero()
}

// stay parks an item that is nowhere.
func (q *Queue) stay(it *Item, now time.Time) {
	it.leftoverEntered = now
	q.to(it, Parked)
	q.cfg.Entered("unschedulable", "ScheduleAttemptFailure")
	q.oldest = append(q.oldest, leftover{it, now})
	if len(q.oldest) > 2*q.counts[Parked]+1024 {
		kept := q.oldest[:0:0]
		for _, o := range q.oldest {
			if o.holds() {
				kept = append(kept, o)
			}
		}
		q.oldest = kept
	}
}

// release lets an item that is nowhere be tried after its backoff.
func (q *Queue) release(it *Item, event string, now time.Time) {
	n := it.refusals
	if it.errors > 0 {
		n = it.errors
	}
	if n == 0 || q.cfg.Most < 0 {
		q.activate(it, event)
		return
	}
	rest := q.cfg.Most
	if n < 32 && q.cfg.First <= q.cfg.Most>>(n-1) {
		rest = q.cfg.First << (n - 1)
	}
	if it.until = it.since.Add(rest).Truncate(step).Add(step); !now.Before(it.until) {
		q.activate(it, event)
		return
	}
	q.to(it, Backoff)
	q.cfg.Entered("backoff", event)
}
