package cron

import "time"

// horizon is how many years ahead Next looks before it says that nothing is due: February 30th never comes.
const horizon = 5

// Next returns the first time after t at which the schedule is due, in t's zone; the zero time when there is none within five years.
//
// Hours follow the wall clock of the schedule's zone, or of t's without one: an hour that the clock repeats is due twice, one that it leaves
// out is not due.
func (s Schedule) Next(t time.Time) time.Time {
	if s.every > 0 {
		return t.Truncate(time.Second).Add(s.every)
	}
	for _, field := range []uint64{s.minute, s.hour, s.month, s.day | s.weekday} {
		if field == 0 {
			return time.Time{} // "," names no time
		}
	}
	at := t
	if s.zone != nil {
		at = t.In(s.zone)
	}
	last := at.Year() + horizon
	at = at.Truncate(time.Minute).Add(time.Minute)
	for at.Year() <= last {
		switch {
		case s.month&(1<<at.Month()) == 0:
			at = midnight(at.Year(), at.Month()+1, 1, at.Location())
		case !s.today(at):
			at = midnight(at.Year(), at.Month(), at.Day()+1, at.Location())
		case s.hour&(1<<at.Hour()) == 0:
			at = at.Add(time.Hour - time.Duration(at.Minute())*time.Minute)
		case s.minute&(1<<at.Minute()) == 0:
			at = at.Add(time.Minute)
		default:
			return at.In(t.Location())
		}
	}
	return time.Time{}
}

// today says whether the day of t is named. When both the day of the month and of the week are restricted, either will do.
func (s Schedule) today(t time.Time) bool {
	day, weekday := s.day&(1<<t.Day()) != 0, s.weekday&(1<<t.Weekday()) != 0
	if (s.day|s.weekday)&anyTime != 0 {
		return day && weekday
	}
	return day || weekday
}

// midnight is the beginning of a day, which some days have only at one o'clock.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	at := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if at.Hour() > 12 {
		at = at.Add(time.Duration(24-at.Hour()) * time.Hour)
	}
	return at
}
