package fairness

// line is a list of tickets in the order in which they came. A ticket is in one line at most.
type line struct {
	first, last *Ticket
	length      int
}

func (l *line) push(t *Ticket) {
	t.before, t.after = l.last, nil
	if l.last == nil {
		l.first = t
	} else {
		l.last.after = t
	}
	l.last = t
	l.length++
}

func (l *line) remove(t *Ticket) {
	if t.before == nil {
		l.first = t.after
	} else {
		t.before.after = t.after
	}
	if t.after == nil {
		l.last = t.before
	} else {
		t.after.before = t.before
	}
	t.before, t.after = nil, nil
	l.length--
}

// queue is one of a level's.
type queue struct {
	waiting, running line
	next             seatSeconds // start of the first in waiting, by R; never before its arrival
	inUse            int         // seats of running, and of what lingers
	// Sums over waiting.
	initial, most int
	work          seatSeconds
}

func (q *queue) busy() bool { return q.waiting.length > 0 || q.running.length > 0 }

func (q *queue) push(t *Ticket) {
	q.waiting.push(t)
	q.sum(t, 1)
}

func (q *queue) take(t *Ticket) {
	q.waiting.remove(t)
	q.sum(t, -1)
}

func (q *queue) sum(t *Ticket, sign int) {
	q.initial += sign * t.width.Initial
	q.most += sign * t.width.most()
	q.work += seatSeconds(sign) * t.work
}

// bound keeps the next start from lying before the arrival of whom it is about.
func (q *queue) bound() {
	if q.waiting.first != nil {
		q.next = max(q.next, q.waiting.first.arrivedR)
	}
}
