package queue

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Hold keeps a pod that waits or rests from being tried, whatever happens to it, until Free, Again or Fail: room is being made for it.
// One that is in flight, planned, gated or unknown is left alone.
func (q *Queue) Hold(uid types.UID) {
	it := q.items[uid]
	if it == nil || it.where != Active && it.where != Backoff && it.where != Parked {
		return
	}
	q.leave(it)
	q.to(it, Gated)
	it.held = true
	q.cfg.Entered("gated", "ScheduleAttemptFailure")
}

// Free parks a held pod as it was before: events from now on may wake it.
func (q *Queue) Free(uid types.UID, now time.Time) {
	if it := q.items[uid]; it != nil && it.held {
		q.leave(it)
		q.stay(it, now)
	}
}

// Again lets a pod that is held, waits or rests be tried at once.
func (q *Queue) Again(uid types.UID) {
	it := q.items[uid]
	if it == nil || !it.held && it.where != Backoff && it.where != Parked {
		return
	}
	q.leave(it)
	q.activate(it, "ForceActivate")
}

// Held says whether Hold keeps a pod from being tried.
func (it *Item) Held() bool { return it.held }
