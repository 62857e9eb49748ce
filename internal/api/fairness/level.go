package fairness

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/utils/clock"
)

// level is a priority level that requests run at.
type level struct {
	name      string
	clock     clock.WithDelayedExecution
	object    atomic.Pointer[flowcontrolv1.PriorityLevelConfiguration]
	mostSeats atomic.Int64 // of one request; 0: as many as there may be

	mu        sync.Mutex
	machine   machine // guarded by mu
	quiescing bool    // guarded by mu: it is stored no more, and ends when it is idle
	gone      bool    // guarded by mu: nobody may arrive any more
	tallies   map[string]*tally
	retries   retries
	alarm     clock.Timer // guarded by mu: wakes the machine when something has lingered; nil before the first
	alarmed   bool        // guarded by mu

	lane lane // the mutex of turns guards it

	// What follows is the Controller's, guarded by its mutex.
	nominal, least, most, current int // seats
	demand                        demand
}

// demand is what a level has wanted of late, in seats.
type demand struct {
	highest                           int
	mean, deviation, smoothed, target float64
}

// smoothing is how much of the last period's demand stays when less is wanted.
const smoothing = 0.977

func (d *demand) note(mean, deviation float64, highest int, ok bool) {
	d.highest = highest
	if !ok {
		return
	}
	d.mean, d.deviation = mean, deviation
	envelope := mean + deviation
	d.smoothed = max(envelope, smoothing*d.smoothed+(1-smoothing)*envelope)
}

func newLevel(clock clock.WithDelayedExecution, object *flowcontrolv1.PriorityLevelConfiguration) *level {
	l := &level{name: object.Name, clock: clock, tallies: map[string]*tally{}}
	l.object.Store(object)
	l.machine.now, l.machine.measured, l.machine.denominator = clock.Now(), newMeasured(), 1
	return l
}

// tallyOf returns what counts a schema's requests here.
func (l *level) tallyOf(schema string) *tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tallies[schema]
	if t == nil {
		t = newTally(schema)
		l.tallies[schema] = t
	}
	return t
}

// verdict is what becomes of a ticket that arrives.
type verdict uint8

const (
	admitted verdict = iota
	refused
	waiting
	moved // the level is gone: another one has the flow now
)

// arrive is the machine's, under the lock.
func (l *level) arrive(t *Ticket, hash uint64) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return moved
	}
	now := l.clock.Now()
	t.tally.widths.observe(float64(t.width.most()))
	if t.changes {
		t.tally.watchers.observe(float64(t.concerns))
	}
	reason := l.machine.arrive(now, t, hash)
	switch {
	case reason != "":
		if !l.machine.exempt {
			t.tally.gaveUp.observe(0)
		}
		return refused
	case t.state == runs:
		if !l.machine.exempt {
			t.tally.waited.observe(0)
		}
		return admitted
	}
	t.ready = make(chan struct{})
	l.setAlarm(now)
	return waiting
}

// wait returns when the ticket runs, or false when its patience, or ctx, has ended before.
func (l *level) wait(ctx context.Context, t *Ticket, patience time.Duration) bool {
	timer := l.clock.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-t.ready:
	case <-timer.C():
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	left := l.machine.abandon(now, t)
	t.tally.waited.observe(now.Sub(t.arrived).Seconds())
	return !left
}

// finish gives a ticket's seats back, at once or when what lingers has.
func (l *level) finish(t *Ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	took := now.Sub(t.started).Seconds()
	if t.call.Attributes.Verb == "watch" {
		t.tally.watched.observe(took)
	} else {
		t.tally.ran.observe(took)
	}
	l.machine.finish(now, t)
	l.setAlarm(now)
}

// park notes that a ticket that has seats waits for a turn to work, or no longer does.
func (l *level) park(t *Ticket, waits bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seats := t.width.most()
	if !waits {
		seats = -seats
	}
	l.machine.parked += seats
}

// withdraw ends a ticket that had seats and whose turn to work did not come in time.
func (l *level) withdraw(t *Ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	l.machine.totals.rejected++
	l.machine.totals.cancelled++
	t.tally.refuse(timedOut)
	t.width.Lingers = 0 // it has done nothing
	l.machine.finish(now, t)
	l.setAlarm(now)
}

// unbounded says whether all requests run at once.
func (l *level) unbounded() bool { return l.object.Load().Spec.Exempt != nil }

// setAlarm sees to it that those who wait for seats of what lingers get them in time. Others need no alarm: the next that comes or goes brings the machine
// up to date.
func (l *level) setAlarm(now time.Time) {
	if l.alarmed || l.machine.waiting == 0 || len(l.machine.lingering) == 0 {
		return
	}
	l.alarmed = true
	after := max(0, l.machine.lingering[0].until.Sub(now))
	if l.alarm == nil {
		l.alarm = l.clock.AfterFunc(after, l.wake)
	} else {
		l.alarm.Reset(after)
	}
}

func (l *level) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alarmed = false
	if l.gone {
		return
	}
	now := l.clock.Now()
	l.machine.advance(now)
	l.setAlarm(now)
}

// refusal counts one and returns after how many seconds its client should come back.
func (l *level) refusal() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.retries.refused(l.clock.Now().Unix())
}

// close takes a level that is idle out of use.
func (l *level) close() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.machine.idle() {
		l.quiescing = true
		return false
	}
	l.gone = true
	if l.alarm != nil {
		l.alarm.Stop()
	}
	return true
}
