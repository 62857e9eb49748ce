// Package cron reads the schedules of CronJobs: five fields (minute, hour, day of month, month, day of week), a name such as @daily, or
// "@every" with a duration.
//
// It accepts exactly what upstream's parser (robfig/cron v3, ParseStandard) accepts, oddities among them, and refuses the rest with that
// parser's words, since clients see them. Parse is pure but for a TZ= or CRON_TZ= in front, which looks the zone up; a zone of a CronJob's own
// is the caller's matter.
package cron

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Schedule says when something is due. The zero Schedule never is.
type Schedule struct {
	every time.Duration // above 0: the fields below are not used
	// Bits of the times that each field names; anyTime is set too when it names all of them.
	minute, hour, day, month, weekday uint64
	zone                              *time.Location // nil: that of the time asked about
}

const anyTime = 1 << 63

// bounds are the values that a field may have. Names are those of its values from low up, in lower case.
type bounds struct {
	low, high uint
	names     []string
}

// spans are the smallest and the largest value of each field, in order.
func spans() [5]bounds {
	return [5]bounds{
		{0, 59, nil}, {0, 23, nil}, {1, 31, nil},
		{1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
		{0, 6, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
	}
}

// Parse reads a schedule.
func Parse(text string) (Schedule, error) {
	if text == "" {
		return Schedule{}, errors.New("empty spec string")
	}
	var s Schedule
	if strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=") {
		zone, rest, ok := strings.Cut(text[strings.Index(text, "=")+1:], " ")
		if !ok { // upstream's parser panics here, and this is what its caller makes of that
			return Schedule{}, errors.New("invalid schedule format: runtime error: slice bounds out of range [:-1]")
		}
		location, err := time.LoadLocation(zone)
		if err != nil {
			return Schedule{}, fmt.Errorf("provided bad location %s: %v", zone, err)
		}
		s.zone, text = location, strings.TrimSpace(rest)
	}
	if strings.HasPrefix(text, "@") {
		return s.named(text)
	}
	return s.fields(text)
}

func (s Schedule) named(text string) (Schedule, error) {
	fields := ""
	switch text {
	case "@yearly", "@annually":
		fields = "0 0 1 1 *"
	case "@monthly":
		fields = "0 0 1 * *"
	case "@weekly":
		fields = "0 0 * * 0"
	case "@daily", "@midnight":
		fields = "0 0 * * *"
	case "@hourly":
		fields = "0 * * * *"
	}
	if fields != "" {
		return s.fields(fields)
	}
	length, ok := strings.CutPrefix(text, "@every ")
	if !ok {
		return Schedule{}, fmt.Errorf("unrecognized descriptor: %s", text)
	}
	every, err := time.ParseDuration(length)
	if err != nil {
		return Schedule{}, fmt.Errorf("failed to parse duration %s: %s", text, err)
	}
	return Schedule{every: max(every.Truncate(time.Second), time.Second)}, nil
}

func (s Schedule) fields(text string) (Schedule, error) {
	list := strings.Fields(text)
	if len(list) != 5 {
		return Schedule{}, fmt.Errorf("expected exactly 5 fields, found %d: %s", len(list), list)
	}
	into := [5]*uint64{&s.minute, &s.hour, &s.day, &s.month, &s.weekday}
	for i, b := range spans() {
		for _, part := range strings.FieldsFunc(list[i], func(r rune) bool { return r == ',' }) {
			bits, err := b.parse(part)
			if err != nil {
				return Schedule{}, err
			}
			*into[i] |= bits
		}
	}
	return s, nil
}

// parse reads one of a field's parts: "*", "3", "1-5", each with a step: "*/2". A number with a step goes on to the field's end.
func (b bounds) parse(part string) (uint64, error) {
	halves := strings.Split(part, "/")
	ends := strings.Split(halves[0], "-")
	low, high, step, star, err := b.low, b.high, uint(1), uint64(0), error(nil)
	if ends[0] == "*" || ends[0] == "?" {
		star = anyTime
	} else if low, high, err = b.ends(part, ends); err != nil {
		return 0, err
	}
	if len(halves) > 2 {
		return 0, fmt.Errorf("too many slashes: %s", part)
	}
	if len(halves) == 2 {
		if step, err = number(halves[1]); err != nil {
			return 0, err
		}
		if len(ends) == 1 {
			high = b.high
		}
		if step > 1 {
			star = 0
		}
	}
	switch {
	case low < b.low:
		return 0, fmt.Errorf("beginning of range (%d) below minimum (%d): %s", low, b.low, part)
	case high > b.high:
		return 0, fmt.Errorf("end of range (%d) above maximum (%d): %s", high, b.high, part)
	case low > high:
		return 0, fmt.Errorf("beginning of range (%d) beyond end of range (%d): %s", low, high, part)
	case step == 0:
		return 0, fmt.Errorf("step of range should be a positive number: %s", part)
	}
	bits := star
	for n := low; n <= high; n += step {
		bits |= 1 << n
	}
	return bits, nil
}

func (b bounds) ends(part string, ends []string) (low, high uint, err error) {
	if low, err = b.value(ends[0]); err != nil {
		return 0, 0, err
	}
	switch len(ends) {
	case 1:
		return low, low, nil
	case 2:
		high, err = b.value(ends[1])
		return low, high, err
	}
	return 0, 0, fmt.Errorf("too many hyphens: %s", part)
}

// value reads a number, or one of the field's names.
func (b bounds) value(text string) (uint, error) {
	for i, name := range b.names {
		if strings.ToLower(text) == name {
			return b.low + uint(i), nil
		}
	}
	return number(text)
}

func number(text string) (uint, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("failed to parse int from %s: %s", text, err)
	}
	if n < 0 {
		return 0, fmt.Errorf("negative number (%d) not allowed: %s", n, text)
	}
	return uint(n), nil
}
