package job

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// span is the indexes from first to last, both included.
type span struct{ first, last int }

// indexes is a set of completion indexes: spans that rise, with a gap between each two.
type indexes []span

// parseIndexes reads what String writes. Indexes from below on are left out, and what cannot be read too.
func parseIndexes(text string, below int) indexes {
	var list indexes
	for _, part := range strings.Split(text, ",") {
		low, high, ranged := strings.Cut(part, "-")
		first, err := strconv.Atoi(low)
		if err != nil || first >= below {
			continue
		}
		last := first
		if ranged {
			if last, err = strconv.Atoi(high); err != nil {
				continue
			}
		}
		list = append(list, span{first, min(last, below-1)})
	}
	return list.union(nil)
}

// union is what is in either.
func (s indexes) union(o indexes) (all indexes) {
	sorted := slices.Concat(s, o)
	slices.SortFunc(sorted, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	for _, next := range sorted {
		if n := len(all); n > 0 && next.first <= all[n-1].last+1 {
			all[n-1].last = max(all[n-1].last, next.last)
			continue
		}
		all = append(all, next)
	}
	return all
}

// with adds single indexes, in any order.
func (s indexes) with(list ...int) indexes {
	more := make(indexes, len(list))
	for i, n := range list {
		more[i] = span{n, n}
	}
	return s.union(more)
}

func (s indexes) count() (n int) {
	for _, part := range s {
		n += part.last - part.first + 1
	}
	return n
}

// common counts what is in both.
func (s indexes) common(o indexes) int { return s.count() + o.count() - s.union(o).count() }

func (s indexes) has(n int) bool {
	i, _ := slices.BinarySearchFunc(s, n, func(part span, n int) int { return cmp.Compare(part.last, n) })
	return i < len(s) && s[i].first <= n
}

// missing are the first so many indexes below a number that are not in the set.
func (s indexes) missing(most, below int) (list []int) {
	next := 0
	for _, part := range append(slices.Clone(s), span{below, below}) {
		for ; next < min(part.first, below) && len(list) < most; next++ {
			list = append(list, next)
		}
		next = max(next, part.last+1)
	}
	return list
}

// String is such as "0,2,3,5-9": spans of two are two numbers.
func (s indexes) String() string {
	var parts []string
	for _, part := range s {
		first, last := strconv.Itoa(part.first), strconv.Itoa(part.last)
		switch part.last - part.first {
		case 0:
			parts = append(parts, first)
		case 1:
			parts = append(parts, first, last)
		default:
			parts = append(parts, first+"-"+last)
		}
	}
	return strings.Join(parts, ",")
}
