package fairness

import (
	"container/heap"
	"fmt"
	"time"
)

// shape is how the requests of a level wait.
type shape struct {
	exempt bool // all run at once
	queues int  // 0: nobody waits
	length int  // of a queue, while no seat is free
	hand   int
}

// Why requests are refused, as metrics say it.
const (
	queueFull        = "queue-full"
	concurrencyLimit = "concurrency-limit"
	timedOut         = "time-out"
)

// machine is the state of one level. Each method is told the time, which must not go back.
//
//	              ┌────────► refused
//	arrive ──► waiting ──► running ──► lingering ──► gone
//	              └─ abandon ─► gone      (only when it is wide for longer than it runs)
type machine struct {
	shape
	limit       int // seats, at least 0
	denominator int // of ratios to seats, above 0

	now    time.Time // to which R and what is measured have been brought
	r      seatSeconds
	epochs int
	queues []*queue // more than shape.queues while those at the end still run
	robin  int      // the queue that was dispatched from last
	dealt  int      // requests that were dealt a hand
	latest *queue   // the queue that a request joined last

	loose        line // running without a queue
	waiting      int
	running      int
	inUse        int // seats of running and lingering
	parked       int // of inUse, those of requests that wait for a processor's turn
	seatsWaiting int
	active       int // queues that are busy
	queuedInUse  int // of inUse, those of queues
	lingering    lingerers
	totals       totals
	last         dispatched
	demand       integral // of inUse + seatsWaiting
	measured     measured
}

// totals count requests since the level began.
type totals struct {
	dispatched, rejected, timedOut, cancelled int
}

// dispatched is what metrics say of the last dispatch from a queue.
type dispatched struct {
	any                          bool
	r, start                     seatSeconds
	low, high, lowLess, highLess seatSeconds // over queues that waited: next starts, and those less the work in progress
}

// lingerer is what a request keeps after it was answered.
type lingerer struct {
	until time.Time
	seats int
	queue *queue
	tally *tally
}

type lingerers []lingerer

func (l lingerers) Len() int           { return len(l) }
func (l lingerers) Less(i, j int) bool { return l[i].until.Before(l[j].until) }
func (l lingerers) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lingerers) Push(x any)        { *l = append(*l, x.(lingerer)) }
func (l *lingerers) Pop() any {
	end := len(*l) - 1
	x := (*l)[end]
	(*l)[end] = lingerer{}
	*l = (*l)[:end]
	return x
}

// configure changes how requests wait and how many run. Those that run go on; those that wait stay in their queues.
func (m *machine) configure(now time.Time, s shape, limit, denominator int) {
	m.advance(now)
	if s.queues < 1 {
		s.length, s.hand = m.length, m.hand
	}
	m.shape, m.limit, m.denominator = s, limit, max(1, denominator)
	for len(m.queues) < s.queues {
		m.queues = append(m.queues, &queue{})
	}
	m.trim()
	m.dispatch()
}

// trim drops the queues at the end that nobody is dealt any more.
func (m *machine) trim() {
	for n := len(m.queues); n > max(m.shape.queues, 0); n-- {
		if q := m.queues[n-1]; q.busy() || q.inUse > 0 {
			return
		}
		m.queues[n-1] = nil
		m.queues = m.queues[:n-1]
	}
	if len(m.queues) > 0 {
		m.robin %= len(m.queues)
	}
}

// idle: nobody waits or runs.
func (m *machine) idle() bool { return m.waiting == 0 && m.running == 0 }

// advance brings the state to now: what has lingered until then leaves its seats at its time.
func (m *machine) advance(now time.Time) {
	for len(m.lingering) > 0 && !m.lingering[0].until.After(now) {
		l := heap.Pop(&m.lingering).(lingerer)
		m.elapse(l.until)
		m.release(l.seats, l.queue, l.tally)
		m.dispatch()
	}
	m.elapse(now)
}

// elapse lets time pass in which nothing changes.
func (m *machine) elapse(now time.Time) {
	passed := now.Sub(m.now)
	if passed <= 0 {
		return
	}
	m.now = now
	m.measure(passed)
	if m.active == 0 {
		return
	}
	rate := float64(min(m.queuedInUse+m.seatsWaiting, m.limit)) / float64(m.active)
	m.r += seatTime(rate, passed)
	if m.r >= 2*epochLength {
		m.newEpoch()
	}
}

// newEpoch sets R back, and all that was read from it, so that it never overflows.
func (m *machine) newEpoch() {
	m.r -= epochLength
	m.epochs++
	for _, q := range m.queues {
		if !q.busy() {
			q.next = 0 // the next request sets it
			continue
		}
		q.next -= epochLength
		for t := q.waiting.first; t != nil; t = t.after {
			t.arrivedR -= epochLength
		}
	}
}

// arrive lets a ticket run or wait, by the hash of its flow, or says why it is refused.
func (m *machine) arrive(now time.Time, t *Ticket, hash uint64) (reason string) {
	m.advance(now)
	t.arrived, t.arrivedR = now, m.r
	t.lingers = seatTime(float64(t.width.Final), t.width.Lingers)
	t.work = seatTime(float64(t.width.Initial), assumed) + t.lingers
	if m.shape.queues < 1 {
		if !m.fits(t.width.most()) {
			return m.refuse(t, concurrencyLimit)
		}
		m.loose.push(t)
		m.begin(t)
		m.demand.peak(m.inUse + m.seatsWaiting)
		return ""
	}
	q := m.choose(hash)
	if m.inUse >= m.limit && q.waiting.length >= m.length {
		return m.refuse(t, queueFull)
	}
	if !q.busy() {
		q.next = m.r
		m.active++
	}
	t.queue, t.state, m.latest = q, waits, q
	q.push(t)
	q.bound()
	m.waiting++
	m.seatsWaiting += t.width.most()
	t.tally.waiting++
	t.tally.seatsWaiting += t.width.most()
	t.tally.lengths.observe(float64(q.waiting.length))
	m.demand.peak(m.inUse + m.seatsWaiting)
	m.dispatch()
	if t.state == waits && m.guest(t) {
		m.let(t.queue)
	}
	return ""
}

// guest says whether a request that has just come begins although all seats are taken: nobody of its queue runs, and as many seats as it needs are taken by
// requests that do nothing yet. Who has seats and waits for a processor would else keep those from them whose turn is next. No more than twice the seats are given so.
func (m *machine) guest(t *Ticket) bool {
	seats := t.width.most()
	return m.parked > 0 && t.queue.running.length == 0 && t.queue.waiting.first == t && m.inUse-m.parked+seats <= m.limit && m.inUse+seats <= 2*m.limit
}

func (m *machine) refuse(t *Ticket, reason string) string {
	m.totals.rejected++
	t.tally.refuse(reason)
	t.state = over
	return reason
}

// choose returns the queue with the least work of a flow's hand. Flows whose hands overlap would crowd onto the first card of both: the look begins at
// another card each time.
func (m *machine) choose(hash uint64) *queue {
	var cards [maxHand]int
	hand := deal(hash, m.shape.queues, m.hand, &cards)
	from := m.dealt % len(hand)
	m.dealt++
	var best *queue
	for i := range hand {
		if q := m.queues[hand[(from+i)%len(hand)]]; best == nil || q.work < best.work {
			best = q
		}
	}
	return best
}

// fits says whether a request of so many seats may begin.
func (m *machine) fits(seats int) bool {
	switch {
	case m.exempt:
		return true
	case seats > m.limit: // it will never fit: it runs alone
		return m.running == 0
	}
	return m.inUse+seats <= m.limit
}

// dispatch begins all that may begin.
func (m *machine) dispatch() {
	for m.waiting > 0 && m.inUse < m.limit {
		q, at := m.soonest()
		t := q.waiting.first
		if !m.fits(t.width.most()) {
			t.tally.unfit++
			return
		}
		m.robin = at
		m.let(q)
	}
}

// let begins the first who waits in a queue.
func (m *machine) let(q *queue) {
	t := q.waiting.first
	m.leave(t)
	if t.width.Final > m.limit { // the same work on fewer seats
		t.width.Final, t.width.Lingers = m.limit, t.lingers.perSeat(float64(m.limit))
	}
	m.last.any, m.last.r, m.last.start = true, m.r, q.next
	q.running.push(t)
	q.inUse += t.width.most()
	m.queuedInUse += t.width.most()
	m.begin(t)
	q.next += t.work
	q.bound()
}

// soonest returns the queue whose first request would end first by R, and its place. Of equal ones it is the next after the one that was dispatched from
// last. Somebody waits.
func (m *machine) soonest() (best *queue, at int) {
	if m.waiting == 1 && m.latest.waiting.length == 1 { // the common case: the request that has just come, alone
		m.last.low, m.last.high = m.latest.next, m.latest.next
		m.last.lowLess = m.latest.next - seatTime(float64(m.latest.inUse), assumed)
		m.last.highLess = m.last.lowLess
		return m.latest, m.robin
	}
	var ends seatSeconds
	for i := range m.queues {
		place := (m.robin + 1 + i) % len(m.queues)
		q := m.queues[place]
		if q.waiting.first == nil {
			continue
		}
		less := q.next - seatTime(float64(q.inUse), assumed)
		if best == nil {
			m.last.low, m.last.high, m.last.lowLess, m.last.highLess = q.next, q.next, less, less
		}
		m.last.low, m.last.high = min(m.last.low, q.next), max(m.last.high, q.next)
		m.last.lowLess, m.last.highLess = min(m.last.lowLess, less), max(m.last.highLess, less)
		if end := q.next + q.waiting.first.work; best == nil || end < ends {
			best, at, ends = q, place, end
		}
	}
	return best, at
}

// leave takes a ticket out of its queue.
func (m *machine) leave(t *Ticket) {
	t.queue.take(t)
	m.waiting--
	m.seatsWaiting -= t.width.most()
	t.tally.waiting--
	t.tally.seatsWaiting -= t.width.most()
}

// begin lets a ticket run that is in its line already.
func (m *machine) begin(t *Ticket) {
	t.state, t.started = runs, m.now
	m.running++
	m.inUse += t.width.most()
	m.totals.dispatched++
	t.tally.running++
	t.tally.inUse += t.width.most()
	t.tally.dispatched++
	if t.ready != nil {
		close(t.ready)
	}
}

// abandon takes a ticket out that waits no longer, and says whether it did: one that runs stays.
func (m *machine) abandon(now time.Time, t *Ticket) bool {
	m.advance(now)
	if t.state != waits {
		return false
	}
	q := t.queue
	m.leave(t)
	t.state = over
	q.bound()
	if !q.busy() {
		m.active--
	}
	m.totals.rejected++
	m.totals.cancelled++
	t.tally.refuse(timedOut)
	m.trim()
	m.dispatch() // the next in its queue may be narrower
	return true
}

// finish ends a ticket that runs.
func (m *machine) finish(now time.Time, t *Ticket) {
	m.advance(now)
	if t.state != runs {
		panic(fmt.Sprintf("a ticket of %q ends in state %d", t.tally.schema, t.state))
	}
	t.state = over
	m.running--
	t.tally.running--
	if q := t.queue; q == nil {
		m.loose.remove(t)
	} else {
		q.running.remove(t)
		q.next -= seatTime(float64(t.width.Initial), assumed-m.now.Sub(t.started))
		q.bound()
		if !q.busy() {
			m.active--
		}
	}
	if t.width.Lingers > 0 {
		heap.Push(&m.lingering, lingerer{m.now.Add(t.width.Lingers), t.width.most(), t.queue, t.tally})
	} else {
		m.release(t.width.most(), t.queue, t.tally)
	}
	m.dispatch()
}

func (m *machine) release(seats int, q *queue, by *tally) {
	m.inUse -= seats
	by.inUse -= seats
	if q != nil {
		q.inUse -= seats
		m.queuedInUse -= seats
		if len(m.queues) > m.shape.queues {
			m.trim()
		}
	}
}
