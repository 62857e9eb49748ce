package fairness

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/observe/aside"
)

// This file is who works. Seats bound what is begun at a time; they are hundreds, since what is begun mostly waits: for the disk, for webhooks, for clients.
// What works at a time beyond what there are processors for gains nothing, and costs everybody: the operating system and Go's scheduler know no flows, and
// serve who has most. So who has seats also needs a turn for as long as it works, and turns are given to flows, not to requests.

const (
	// slow is how long a client may take nothing of one piece of an answer before the request's turn is lent. While somebody waits, turns are looked through so often.
	slow = 10 * time.Millisecond
	// stalled is how long, in such looks, nobody may give a turn back before one more is given than there are: who has them waits for something that it did not say.
	stalled = 25
	// kept is how long a processor is kept for who came, and may come again.
	kept = 100 * time.Millisecond
)

// turns are given to those who have seats. It is safe for concurrent use; its mutex is a leaf.
//
// While fewer work than there are processors, whoever comes works at once. Up to as many more work whose flow had nobody working: a flow that asks for
// one thing at a time is not kept by one that asks for all. After it came, others fill all processors but one for a while: an idle processor is what takes its next request
// from the network at once, where busy ones of Go's scheduler look every 10 ms. Of those who wait, the level goes first that has the fewest at work for its seats; of its flows the one that has
// the fewest at work; of equal ones the one whose turn was longer ago.
type turns struct {
	processors int // above 0
	clock      clock.WithDelayedExecution

	mu      sync.Mutex
	working int
	waiting int
	lanes   []*lane // where somebody waits
	spare   []*strand
	workers []*Ticket // who has a turn
	now     uint64    // rises with each turn that is given, and with each strand that begins
	idle    int       // looks since a turn was given back
	alarm   clock.Timer
	alarmed bool
	guests  [2]guest // the two flows that came last, the last first
}

// lane is a level, as turns know it. The mutex of turns guards it.
type lane struct {
	seats   int // above 0
	working int
	last    uint64 // when it had a turn
	strands map[uint64]*strand
	waiting int
}

// strand is a flow that somebody of works or waits.
type strand struct {
	lane    *lane
	hash    uint64
	working int
	last    uint64    // when it had a turn, or began
	waiting []*Ticket // those who work again stand before those who begin
	again   int       // of waiting, those who work again
}

func newTurns(processors int, clk clock.WithDelayedExecution) *turns {
	return &turns{processors: processors, clock: clk}
}

// weigh says how many seats a level has, for its part of the turns.
func (g *turns) weigh(l *lane, seats int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l.seats = max(1, seats)
}

// take gives a ticket a turn, or a channel that is closed when it has one. again: it has had one before.
func (g *turns) take(t *Ticket, again bool) (ready chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := &t.level.lane
	s := g.strand(l, t.flowHash)
	if g.mayBegin(s) {
		g.begin(s, t)
		return nil
	}
	t.turn.ready = make(chan struct{})
	t.turn.strand = s
	if l.waiting == 0 {
		g.lanes = append(g.lanes, l)
	}
	g.waiting++
	l.waiting++
	if again {
		s.waiting = slices.Insert(s.waiting, s.again, t)
		s.again++
	} else {
		s.waiting = append(s.waiting, t)
	}
	g.watch()
	return t.turn.ready
}

// strand is that of a flow.
func (g *turns) strand(l *lane, hash uint64) *strand {
	if s := l.strands[hash]; s != nil {
		return s
	}
	var s *strand
	if n := len(g.spare); n > 0 {
		s, g.spare = g.spare[n-1], g.spare[:n-1]
	} else {
		s = &strand{}
	}
	g.now++
	s.lane, s.hash, s.last = l, hash, g.now
	g.come(hash)
	if l.strands == nil {
		l.strands = map[uint64]*strand{}
	}
	l.strands[hash] = s
	return s
}

func (g *turns) mayBegin(s *strand) bool {
	return g.working < g.open(s) || s.working == 0 && g.working < 2*g.processors
}

// open is how many processors are filled for a strand: all, or all but one when another flow came lately.
func (g *turns) open(s *strand) int {
	if g.working < g.processors-1 || g.processors == 1 {
		return g.processors // whichever it is, no more is asked
	}
	other := g.guests[0]
	if other.hash == s.hash {
		other = g.guests[1]
	}
	if other.at.IsZero() || g.clock.Since(other.at) > kept {
		return g.processors
	}
	return g.processors - 1
}

// guest is a flow that had nobody at work, nor waiting, and came.
type guest struct {
	hash uint64
	at   time.Time // zero: there is none
}

// come notes that a flow came.
func (g *turns) come(hash uint64) {
	if g.guests[0].hash != hash {
		g.guests[1] = g.guests[0]
	}
	g.guests[0] = guest{hash, g.clock.Now()}
}

func (g *turns) begin(s *strand, t *Ticket) {
	t.turn.strand, t.turn.seen = s, 0
	g.workers = append(g.workers, t)
	g.now++
	s.last, s.lane.last = g.now, g.now
	s.working++
	s.lane.working++
	g.working++
}

// give ends a ticket's turn, unless it was lent already.
func (g *turns) give(t *Ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.turn.lent.Store(false)
	if i := slices.Index(g.workers, t); i >= 0 {
		g.idle = 0
		g.end(i)
		g.dispatch()
	}
}

// end takes the turn of the i-th who works.
func (g *turns) end(i int) {
	s := g.workers[i].turn.strand
	g.workers[i].turn.strand = nil
	g.workers = slices.Delete(g.workers, i, i+1)
	g.working--
	s.lane.working--
	s.working--
	g.drop(s)
}

// dispatch gives all turns that there are.
func (g *turns) dispatch() {
	for g.waiting > 0 {
		next := g.next()
		if next == nil {
			return
		}
		g.call(next)
	}
}

// drop keeps a strand for another flow when nobody is left.
func (g *turns) drop(s *strand) {
	if s.working == 0 && len(s.waiting) == 0 {
		delete(s.lane.strands, s.hash)
		s.lane = nil
		g.spare = append(g.spare, s)
	}
}

// call lets the first of a strand begin.
func (g *turns) call(s *strand) {
	t := s.waiting[0]
	g.remove(s, 0)
	g.begin(s, t)
	close(t.turn.ready)
}

func (g *turns) remove(s *strand, i int) {
	s.waiting = slices.Delete(s.waiting, i, i+1)
	if i < s.again {
		s.again--
	}
	g.waiting--
	if s.lane.waiting--; s.lane.waiting == 0 {
		g.lanes = slices.DeleteFunc(g.lanes, func(l *lane) bool { return l == s.lane })
	}
}

// next is the strand whose turn it is, if there is a turn for one; nil otherwise.
func (g *turns) next() (best *strand) {
	for _, l := range g.lanes {
		s := l.first()
		if !g.mayBegin(s) {
			continue
		}
		if best == nil || l.before(best.lane) {
			best = s
		}
	}
	return best
}

// before says whether a lane goes before another.
func (l *lane) before(o *lane) bool {
	if a, b := l.working*o.seats, o.working*l.seats; a != b {
		return a < b
	}
	return l.last < o.last
}

// first is the strand of a lane that goes first. Somebody waits there.
func (l *lane) first() (best *strand) {
	for _, s := range l.strands {
		if len(s.waiting) == 0 {
			continue
		}
		if best == nil || s.working < best.working || s.working == best.working && s.last < best.last {
			best = s
		}
	}
	return best
}

// abandon takes out one who waits no longer; false: it has its turn.
func (g *turns) abandon(t *Ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := t.turn.strand
	i := slices.Index(s.waiting, t)
	if i < 0 {
		return false
	}
	t.turn.strand = nil
	g.remove(s, i)
	g.drop(s)
	return true
}

// watch sets the alarm while somebody waits.
func (g *turns) watch() {
	if g.alarmed || g.waiting == 0 {
		return
	}
	g.alarmed = true
	if g.alarm == nil {
		g.alarm = g.clock.AfterFunc(slow, g.look)
	} else {
		g.alarm.Reset(slow)
	}
}

// look lends the turns of those whose clients take nothing, and lets one more work when no turn has come back for long.
func (g *turns) look() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alarmed = false
	for i := len(g.workers) - 1; i >= 0; i-- {
		t := g.workers[i]
		if sends := t.turn.sends.Load(); sends%2 == 1 && sends == t.turn.seen {
			t.turn.lent.Store(true)
			g.end(i)
		} else {
			t.turn.seen = sends
		}
	}
	g.dispatch()
	if g.idle++; g.waiting > 0 && g.idle >= stalled {
		g.idle = 0
		best := g.lanes[0]
		for _, l := range g.lanes {
			if l.before(best) {
				best = l
			}
		}
		g.call(best.first())
	}
	g.watch()
}

// turn is a ticket's part in turns.
type turn struct {
	needed bool          // it takes turns; its own goroutine's, as paused
	paused bool          // it waits for something else, and has none
	sends  atomic.Uint32 // odd while a piece of the answer is handed to the client
	lent   atomic.Bool   // the turn was taken away while that lasted

	// The mutex of turns guards what follows.
	strand *strand // that it works or waits in; nil: neither
	ready  chan struct{}
	seen   uint32 // sends, at the last look
}

var _ aside.Worker = (*Ticket)(nil)

// takeTurn waits for the ticket's turn; false: ctx ended before. Levels without limits need none.
func (t *Ticket) takeTurn(ctx context.Context, again bool) bool {
	g := t.controller.turns
	if g == nil || t.level.unbounded() {
		return true
	}
	t.turn.needed = true
	ready := g.take(t, again)
	if ready == nil {
		return true
	}
	t.level.park(t, true)
	defer t.level.park(t, false)
	select {
	case <-ready:
		return true
	case <-ctx.Done():
		return !g.abandon(t)
	}
}

// Pause implements aside.Worker: the request waits for something other than a processor. It does nothing for one that takes no turns.
func (t *Ticket) Pause() {
	if t.turn.needed && !t.turn.paused {
		t.turn.paused = true
		t.controller.turns.give(t)
	}
}

// Resume implements aside.Worker: the request that was paused waits until it may work again. It does nothing for one that was not.
func (t *Ticket) Resume() {
	if t.turn.paused {
		t.turn.paused = false
		t.takeTurn(context.Background(), true)
	}
}

// Send hands a piece of the answer to the client. Encrypting and sending it is a processor's work, so that the request keeps its turn meanwhile; but from a
// client who is slow to take it nobody else suffers: then it is lent, and the request waits for another.
func (t *Ticket) Send(piece func() error) error {
	if !t.turn.needed || t.turn.paused {
		return piece()
	}
	t.turn.sends.Add(1)
	err := piece()
	t.turn.sends.Add(1)
	if t.turn.lent.Swap(false) {
		t.takeTurn(context.Background(), true)
	}
	return err
}
