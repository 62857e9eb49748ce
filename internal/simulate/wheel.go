package simulate

import (
	"container/heap"
	"context"
	"time"
)

// task is something that takes turns: a pod, a node's care, a node's heartbeat. It belongs to the loop.
//
//	idle ──wake──► due ──turn──► idle, or busy while a writer does its job ──finish──► due again if it was woken meanwhile
type task struct {
	turn func(now time.Time) *job // what is to be done now; nil: nothing that takes a writer
	beat bool                     // its jobs go to the writers of heartbeats

	at    time.Time // of its next turn, while it waits in the wheel
	place int       // in the wheel; -1: not there
	busy  bool
	woken bool // while busy
}

// job is what a writer does for a task, and what the loop makes of it.
type job struct {
	task *task
	what string // for metrics
	do   func(ctx context.Context) error
	err  error       // what do returned
	done func(error) // in the loop
}

// wheel holds the tasks that wait for a time, all nodes' and pods' together.
type wheel []*task

// Len implements heap.Interface, as the following methods do.
func (w wheel) Len() int           { return len(w) }
func (w wheel) Less(i, j int) bool { return w[i].at.Before(w[j].at) }
func (w wheel) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

// Push implements heap.Interface.
func (w *wheel) Push(x any) {
	t := x.(*task)
	t.place = len(*w)
	*w = append(*w, t)
}

// Pop implements heap.Interface.
func (w *wheel) Pop() any {
	last := len(*w) - 1
	t := (*w)[last]
	(*w)[last] = nil
	*w, t.place = (*w)[:last], -1
	return t
}

// wait gives a task its next turn at a time. A zero time takes it out.
func (w *wheel) wait(t *task, at time.Time) {
	switch {
	case at.IsZero():
		if t.place >= 0 {
			heap.Remove(w, t.place)
		}
	case t.place >= 0:
		t.at = at
		heap.Fix(w, t.place)
	default:
		t.at = at
		heap.Push(w, t)
	}
}

// sooner gives a task its next turn at a time, or when it has one before that, then.
func (w *wheel) sooner(t *task, at time.Time) {
	if t.place < 0 || at.Before(t.at) {
		w.wait(t, at)
	}
}

// due takes out a task whose time has come; nil: there is none.
func (w *wheel) due(now time.Time) *task {
	if len(*w) == 0 || (*w)[0].at.After(now) {
		return nil
	}
	return heap.Pop(w).(*task)
}
