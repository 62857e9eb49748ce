package cronjob

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/kinds/batch/cron"
)

const (
	// late is how much later than the next time a look is: clocks that are set again differ by about as much.
	late = 100 * time.Millisecond
	// many is how many missed times are worth a warning.
	many = 100
)

var errTooClose = errors.New("time difference between two schedules is less than 1 second")

// passed is what has been due since a cron job was last heard of.
type passed struct {
	since  time.Time // its last time, or when it was made, or when starting would be too late
	latest time.Time // the last time that was due since; zero: none was
	missed int64     // about how many were, when more than one
}

// passed finds the times after since, until now.
func (r *round) passed(times cron.Schedule, since time.Time) (passed, error) {
	p := passed{since: since}
	first := times.Next(since)
	second := times.Next(first)
	if r.now.Before(first) {
		return p, nil
	}
	if r.now.Before(second) {
		p.latest = first
		return p, nil
	}
	gap := int64(second.Sub(first).Round(time.Second).Seconds())
	if gap < 1 { // a day that never comes: both are the zero time
		return p, errTooClose
	}
	p.missed = int64(r.now.Sub(first).Seconds())/gap + 1
	// As if all gaps were like the first, one before the last; from there on by the schedule itself.
	for at := times.Next(first.Add(time.Duration((p.missed-2)*gap) * time.Second)); !at.IsZero() && !at.After(r.now); at = times.Next(at) {
		p.latest = at
	}
	return p, nil
}

// last is the cron job's last time, or when it was made.
func (r *round) last() time.Time {
	if last := r.cj.Status.LastScheduleTime; last != nil {
		return last.Time
	}
	return r.cj.CreationTimestamp.Time
}

// due is the time for which a job is to be made now; zero: there is none.
func (r *round) due(times cron.Schedule) (time.Time, error) {
	since := r.last()
	if limit := r.cj.Spec.StartingDeadlineSeconds; limit != nil {
		if begin := r.now.Add(-time.Duration(*limit) * time.Second); begin.After(since) {
			since = begin
		}
	}
	p, err := r.passed(times, since)
	if err != nil || p.latest.IsZero() {
		return time.Time{}, err
	}
	if p.missed > many {
		r.tell(corev1.EventTypeWarning, "TooManyMissedTimes", "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
	}
	return p.latest, nil
}

// next is how long it takes to the next time; 0: there is none.
func (r *round) next(times cron.Schedule) time.Duration {
	p, err := r.passed(times, r.last())
	from := p.latest
	switch {
	case err != nil || from.IsZero() && p.missed > 0:
		from = r.now
	case from.IsZero():
		from = p.since
	}
	next := times.Next(from)
	if next.IsZero() {
		return 0
	}
	return max(next.Add(late).Sub(r.now), late)
}
