package batch

import (
	"fmt"
	"strconv"
	"strings"
)

// Sets of indexes are written as "1,3-5,7": numbers and intervals, rising, below the number of completions.

// interval is the indexes from first to last, both included.
type interval struct{ first, last int32 }

// parseIndexes returns how many indexes a text names.
func parseIndexes(text string, completions int32) (total int32, err error) {
	if text == "" {
		return 0, nil
	}
	var before *interval
	for _, part := range strings.Split(text, ",") {
		i, err := parseInterval(part, completions)
		if err != nil {
			return 0, err
		}
		if before != nil && before.last >= i.first {
			return 0, notRising(before.last, i.first)
		}
		total += i.last - i.first + 1
		before = &i
	}
	return total, nil
}

func parseInterval(text string, completions int32) (interval, error) {
	ends := strings.Split(text, "-")
	if len(ends) > 2 {
		return interval{}, fmt.Errorf("the fragment %q violates the requirement that an index interval can have at most two parts separated by '-'", text)
	}
	first, err := parseIndex(ends[0], completions)
	if err != nil || len(ends) == 1 {
		return interval{first, first}, err
	}
	last, err := parseIndex(ends[1], completions)
	if err != nil {
		return interval{}, err
	}
	if first >= last {
		return interval{}, notRising(first, last)
	}
	return interval{first, last}, nil
}

func notRising(before, now int32) error {
	return fmt.Errorf("non-increasing order, previous: %d, current: %d", before, now)
}

func parseIndex(text string, completions int32) (int32, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("cannot convert string to integer for index: %q", text)
	}
	if n >= int(completions) {
		return 0, fmt.Errorf("too large index: %q", text)
	}
	return int32(n), nil
}

// overlap says where two texts name the same index. Parts that cannot be read are passed over: they are reported where each text is checked.
func overlap(completed, failed string, completions int32) error {
	if completed == "" || failed == "" {
		return nil
	}
	c, f := readable(completed, completions), readable(failed, completions)
	for len(c) > 0 && len(f) > 0 {
		if c[0].first <= f[0].last && f[0].first <= c[0].last {
			return fmt.Errorf("failedIndexes and completedIndexes overlap at index: %d", max(c[0].first, f[0].first))
		}
		if c[0].first <= f[0].first {
			c = c[1:]
		} else {
			f = f[1:]
		}
	}
	return nil
}

func readable(text string, completions int32) (list []interval) {
	for _, part := range strings.Split(text, ",") {
		if i, err := parseInterval(part, completions); err == nil {
			list = append(list, i)
		}
	}
	return list
}
