package scheduler

import (
	"context"
	"sync"
)

// errandsMost is how many errands are under way at once, so that they share syncs.
const errandsMost = 32

// errand writes something beside the loop. What it returns is done by the loop afterwards.
type errand func(ctx context.Context) (after func())

// errands are under way, or wait for others to end: no more than a few for each pod that waits.
type errands struct {
	waiting []func() errand // asked by the loop when its turn has come; nil: nobody wants it any more
	flying  int
	done    chan func() // of errands; room for all that are under way
}

func newErrands() errands { return errands{done: make(chan func(), errandsMost)} }

// add lets an errand wait for its turn.
func (e *errands) add(begin func() errand) { e.waiting = append(e.waiting, begin) }

// ended takes the end of an errand.
func (e *errands) ended(after func()) {
	e.flying--
	after()
}

// dispatch begins errands whose turn has come.
func (s *Scheduler) dispatch(ctx context.Context, beside *sync.WaitGroup) {
	e := &s.errands
	for len(e.waiting) > 0 && e.flying < errandsMost {
		run := e.waiting[0]()
		e.waiting = e.waiting[1:]
		if run == nil {
			continue
		}
		e.flying++
		done := e.done
		beside.Go(func() { done <- run(ctx) }) // there is room for every errand under way
	}
}
