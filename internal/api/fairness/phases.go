package fairness

import (
	"slices"
	"sync"
	"time"
)

// phases measure, over all levels, how many requests wait and run, by whether they change anything: ratios to what there is room for. Reads and
// changes have a mutex each.
type phases struct {
	reads, changes phase
}

// phase is one of the two.
type phase struct {
	mu          sync.Mutex
	at          time.Time // guarded by mu, as all that follows
	count, room [2]int    // of those who wait, and those who run
	observed    [2]histogram
}

var phaseBounds = []float64{0, 0.001, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1}

var readVerbs = []string{"get", "list", "watch"}

func (p *phases) begin(now time.Time) {
	for _, one := range []*phase{&p.reads, &p.changes} {
		one.at, one.room = now, [2]int{1, 1}
		one.observed = [2]histogram{newHistogram(phaseBounds), newHistogram(phaseBounds)}
	}
}

func (p *phases) bound(now time.Time, waiting, running int) {
	for _, one := range []*phase{&p.reads, &p.changes} {
		one.change(now, func() { one.room = [2]int{max(1, waiting), max(1, running)} })
	}
}

// add counts a ticket that begins or ceases, by sign, to wait or to run.
func (p *phases) add(now time.Time, t *Ticket, waits bool, sign int) {
	one, which := &p.changes, 1
	if slices.Contains(readVerbs, t.call.Attributes.Verb) {
		one = &p.reads
	}
	if waits {
		which = 0
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	one.elapse(now)
	one.count[which] += sign
}

func (one *phase) change(now time.Time, f func()) {
	one.mu.Lock()
	defer one.mu.Unlock()
	one.elapse(now)
	f()
}

func (one *phase) elapse(now time.Time) {
	passed := now.Sub(one.at)
	if passed <= 0 {
		return
	}
	one.at = now
	for i := range one.count {
		one.observed[i].many(float64(one.count[i])/float64(one.room[i]), uint64(passed))
	}
}
