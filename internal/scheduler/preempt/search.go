package preempt

import (
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// search is one look at all rows for a preemptor.
type search struct {
	*attempt
	memory  *memory
	aimed   []place.Row // the only rows; nil: all
	domains bool        // rules about domains have a say
	special []place.Row // rows to be tried for this decision, rising, whatever is remembered
	tried   map[place.Row]outcome
}

func (p *Preemptor) search(pod *corev1.Pod, a *attempt) *search {
	s := &search{attempt: a, tried: map[place.Row]outcome{}}
	rows, aimed := a.trial.Aimed()
	switch {
	case aimed:
		s.aimed = rows
	case a.trial.Everywhere():
		s.aimed = make([]place.Row, p.table.Rows())
		for i := range s.aimed {
			s.aimed[i] = place.Row(i)
		}
	default:
		s.memory = p.recall(a)
		s.domains = a.trial.Domains()
		s.special = p.table.Promised()
	}
	return s
}

// rows ranges over the rows that come into question.
func (s *search) rows() func(func(place.Row) bool) {
	return func(yield func(place.Row) bool) {
		if s.memory == nil {
			for _, row := range s.aimed {
				if !yield(row) {
					return
				}
			}
			return
		}
		for row := range s.memory.rows {
			if !yield(place.Row(row)) {
				return
			}
		}
	}
}

// outcome is what came of a row, or comes of it now.
func (s *search) outcome(row place.Row) outcome {
	if s.memory == nil || s.isSpecial(row) {
		return s.fresh(row)
	}
	o := s.memory.rows[row]
	if !s.domains {
		if o.state == fits || o.state != hopeless && s.trial.RowRefusal(row) == nil {
			return outcome{} // then it does not refuse the pod
		}
		return o
	}
	if o.state == hopeless {
		return o
	}
	refusal := s.trial.Refusal(row)
	domain := s.trial.Domain(row)
	if refusal == nil || refusal.Code == place.Unresolvable {
		return outcome{}
	}
	switch {
	case o.state == lonely || domain == nil:
		return o
	case o.state == stuck && s.trial.Before(o.status, domain):
		return o
	}
	return outcome{state: stuck, status: domain}
}

func (s *search) isSpecial(row place.Row) bool {
	if len(s.special) > 0 {
		if _, found := slices.BinarySearch(s.special, row); found {
			return true
		}
	}
	return s.domains && s.trial.Entangled(row)
}

// fresh tries a row with all that may matter, once.
func (s *search) fresh(row place.Row) outcome {
	o, ok := s.tried[row]
	if !ok {
		if r := s.trial.Refusal(row); r.Failed() && r.Code == place.Unschedulable {
			o = s.try(row, false)
		}
		s.tried[row] = o
	}
	return o
}

// best is the row of the best candidate, -1 when there is none. What is remembered of a row is looked at first.
func (s *search) best() place.Row {
	best, top := place.Row(-1), rank{violations: math.MaxInt32}
	for row := range s.rows() {
		if s.memory != nil && s.beaten(row, &top) {
			continue
		}
		if o := s.outcome(row); o.state == mends && (best < 0 || o.compare(&top) < 0) {
			best, top = row, o.rank
		}
	}
	return best
}

// beaten says whether a row cannot be better than the best so far. Its rank is what is remembered, if it is a candidate at
// all; a special row's may be another, but never better in the first respect that counts: what refuses the pod there by
// itself refuses it with all else too, so its first victim is the remembered one or comes before that.
func (s *search) beaten(row place.Row, top *rank) bool {
	o := &s.memory.rows[row]
	switch {
	case o.state == lonely || o.state == stuck:
		return true
	case !s.isSpecial(row):
		return o.state != mends || o.compare(top) >= 0
	case o.state != mends || top.violations > 0:
		return false
	}
	return o.violations > 0 || o.highest > top.highest
}

// candidate tells the victims of a row that is one.
func (s *search) candidate(row place.Row) Candidate {
	o := s.try(row, s.memory != nil && !s.isSpecial(row))
	c := Candidate{Node: s.table.NodeAt(row), Violations: int(o.violations)}
	for _, v := range s.victims {
		c.Victims = append(c.Victims, s.table.Resident(v.Number))
	}
	return c
}
