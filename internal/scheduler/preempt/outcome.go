package preempt

import (
	"cmp"
	"math"
	"slices"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// state is what came of trying a row.
type state uint8

const (
	hopeless state = iota // it is nobody's, or victims cannot help: it refuses the pod for another reason
	lonely                // it has no pods of lower priority
	stuck                 // it refuses the pod even without them
	fits                  // it takes the pod with all of them
	mends                 // it takes the pod without some of them
)

// outcome is what came of trying a row.
type outcome struct {
	state  state
	status *place.Status // of stuck: why
	rank
}

// rank is how good a candidate is: the smaller, the better, field by field.
type rank struct {
	violations int32
	highest    int32 // priority of the most important victim
	victims    int32
	sum        int64 // of priorities, each counted from the lowest that there is
	early      int64 // start of the most important victims, the earliest, counted backwards from the end of time
}

func (r *rank) compare(o *rank) int {
	return cmp.Or(cmp.Compare(r.violations, o.violations), cmp.Compare(r.highest, o.highest), cmp.Compare(r.sum, o.sum),
		cmp.Compare(r.victims, o.victims), cmp.Compare(r.early, o.early))
}

// started is when a pod started; one that has not counts as the last.
func started(r place.Resident) int64 {
	if r.Start == 0 {
		return math.MaxInt64
	}
	return r.Start
}

// important orders pods: those of higher priority and, among equals, those that have run longer come first.
func important(a, b place.Resident) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(started(a), started(b)))
}

// attempt tries rows for one preemptor.
type attempt struct {
	table    *place.Table
	trial    *place.Trial
	budgets  *Budgets
	priority int32

	below, violating, free, victims []place.Resident // scratch
}

// try finds out what victims on a row would come to; alone as place.Trial.At has it. The victims are in a.victims, the most
// important first, until the next try.
func (a *attempt) try(row place.Row, alone bool) outcome {
	a.victims = a.victims[:0]
	if a.below = a.table.Below(row, a.priority, a.below[:0]); len(a.below) == 0 {
		return outcome{state: lonely}
	}
	a.trial.At(row, alone)
	for _, r := range a.below {
		a.trial.Drop(r.Number)
	}
	if s := a.trial.Status(); s != nil {
		return outcome{state: stuck, status: s}
	}
	slices.SortStableFunc(a.below, important)
	a.violating, a.free = a.budgets.part(a.table, a.below, a.violating[:0], a.free[:0])
	violations := a.reprieve(a.violating)
	a.reprieve(a.free)
	if len(a.victims) == 0 {
		return outcome{state: fits}
	}
	if len(a.violating) > 0 && len(a.free) > 0 {
		slices.SortStableFunc(a.victims, important)
	}
	return outcome{state: mends, rank: a.rank(violations)}
}

// reprieve thinks pods back, as many as the preemptor leaves room for, and says how many must go.
func (a *attempt) reprieve(pods []place.Resident) (gone int32) {
	for _, r := range pods {
		a.trial.Keep(r.Number)
		if a.trial.Status() != nil {
			a.trial.Drop(r.Number)
			a.victims = append(a.victims, r)
			gone++
		}
	}
	return gone
}

func (a *attempt) rank(violations int32) rank {
	r := rank{violations: violations, highest: a.victims[0].Priority, victims: int32(len(a.victims)), early: math.MaxInt64 - started(a.victims[0])}
	for _, v := range a.victims {
		r.sum += int64(v.Priority) - math.MinInt32
	}
	return r
}
