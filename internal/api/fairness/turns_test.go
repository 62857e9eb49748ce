package fairness

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/observe"
)

// working is a controller with many seats and two processors, at whose one level everybody is a flow of his own.
func working(*testing.T) *Controller { return seating(600) }

// seating is the same with so many seats.
func seating(seats int) *Controller {
	c := New(Config{Clock: clock.RealClock{}, Log: observe.Discard(), Seats: seats, Processors: 2})
	c.Configure([]*flowcontrolv1.FlowSchema{everyone("all", "level", 1)}, []*flowcontrolv1.PriorityLevelConfiguration{limited("level", 30, 64, 50)})
	return c
}

// request is one that works until it is told to do something else.
type request struct {
	ticket Ticket
	let    bool
	steps  chan func()
	ended  chan struct{}
}

// ask begins a request of a user. Its steps are done in its own goroutine, in order.
func ask(ctx context.Context, c *Controller, user string) *request {
	r := &request{steps: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		if r.let = c.Enter(ctx, &r.ticket, get(user), time.Minute); !r.let {
			return
		}
		for step := range r.steps {
			step()
		}
		r.ticket.Leave()
	}()
	return r
}

func (r *request) leave() {
	close(r.steps)
	<-r.ended
}

// works says whether a request is in a step, or waits for one, rather than for its turn.
func (r *request) works() bool {
	synctest.Wait()
	select {
	case r.steps <- func() {}:
		return true
	default:
		return false
	}
}

func wants(t *testing.T, want bool, requests ...*request) {
	t.Helper()
	for i, r := range requests {
		if r.works() != want {
			t.Errorf("request %d works: %v, want %v", i, !want, want)
		}
	}
}

func left(t *testing.T, c *Controller) {
	t.Helper()
	g := c.turns
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.working != 0 || g.waiting != 0 || len(g.workers) != 0 || len(g.lanes) != 0 {
		t.Errorf("in the end %d work (%d), %d wait in %d levels", g.working, len(g.workers), g.waiting, len(g.lanes))
	}
	for _, l := range c.current.Load().levels {
		if len(l.lane.strands) != 0 || l.machine.inUse != 0 || l.machine.parked != 0 {
			t.Errorf("in the end level %s has %d flows, %d seats in use, %d of them parked", l.name, len(l.lane.strands), l.machine.inUse, l.machine.parked)
		}
	}
}

// TestTurnsAreOfFlows: a flow that asks for all works on the processors that there are; others begin at once beside it, until as many more work, and of those who wait the flow
// that has the fewest at work goes first.
func TestTurnsAreOfFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := working(t)
		var flood []*request
		for range 5 {
			flood = append(flood, ask(t.Context(), c, "flood"))
			synctest.Wait()
		}
		wants(t, true, flood[:2]...)
		wants(t, false, flood[2:]...)
		quiet, other := ask(t.Context(), c, "quiet"), ask(t.Context(), c, "other")
		wants(t, true, quiet, other)
		third := ask(t.Context(), c, "third")
		wants(t, false, third)
		flood[0].leave()
		wants(t, true, third) // before those of the flood, who came earlier
		wants(t, false, flood[2:]...)
		for _, r := range []*request{quiet, other, third, flood[1], flood[2], flood[3], flood[4]} {
			wants(t, true, r)
			r.leave()
		}
		left(t, c)
	})
}

// TestAProcessorIsKeptForWhoCame: after a flow came, another fills all processors but one, so that it need not wait when it comes again; later all of them.
func TestAProcessorIsKeptForWhoCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := working(t)
		var flood []*request
		for range 4 {
			flood = append(flood, ask(t.Context(), c, "flood"))
			synctest.Wait()
		}
		quiet := ask(t.Context(), c, "quiet")
		wants(t, true, quiet)
		quiet.leave()
		flood[0].leave()
		wants(t, false, flood[2:]...)
		time.Sleep(kept)
		wants(t, false, flood[2:]...)
		time.Sleep(2 * slow) // when turns are looked through
		wants(t, true, flood[1:3]...)
		wants(t, false, flood[3])
		for _, r := range flood[1:] {
			wants(t, true, r)
			r.leave()
		}
		left(t, c)
	})
}

// TestSeatsOfWhoOnlyWaits: a flow that comes is not kept from its seats by those who have some and wait for a processor; another request of a flow that has
// somebody there is.
func TestSeatsOfWhoOnlyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := seating(4)
		var flood []*request
		for range 5 {
			flood = append(flood, ask(t.Context(), c, "flood"))
			synctest.Wait()
		}
		wants(t, true, flood[:2]...)
		quiet := ask(t.Context(), c, "quiet")
		wants(t, true, quiet)
		l := &c.current.Load().flows[0].level.machine
		if l.inUse != 5 || l.parked != 2 || l.waiting != 1 {
			t.Errorf("%d seats in use, %d of them by who waits for a processor, %d wait for seats; want 5, 2, 1", l.inUse, l.parked, l.waiting)
		}
		quiet.leave()
		for _, r := range flood {
			time.Sleep(kept + slow)
			wants(t, true, r)
			r.leave()
		}
		left(t, c)
	})
}

// TestWhoWaitsForSomethingElseGivesHisTurn: a request that is paused lets the next one work, and goes before those that have not begun when it works again.
func TestWhoWaitsForSomethingElseGivesHisTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := working(t)
		var all []*request
		for range 4 {
			all = append(all, ask(t.Context(), c, "one"))
			synctest.Wait()
		}
		disk := make(chan struct{})
		all[0].steps <- func() { all[0].ticket.Pause(); <-disk; all[0].ticket.Resume() }
		wants(t, true, all[2])
		close(disk)
		wants(t, false, all[0], all[3])
		all[1].leave()
		wants(t, true, all[0])
		wants(t, false, all[3])
		all[0].leave()
		wants(t, true, all[3])
		all[2].leave()
		all[3].leave()
		left(t, c)
	})
}

// TestSlowClientsKeepNobody: the turn of a request whose client takes nothing is lent; the request waits for another when the client has taken it.
func TestSlowClientsKeepNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := working(t)
		var all []*request
		for range 3 {
			all = append(all, ask(t.Context(), c, "one"))
			synctest.Wait()
		}
		taken := make(chan struct{})
		all[0].steps <- func() { _ = all[0].ticket.Send(func() error { <-taken; return nil }) }
		wants(t, false, all[2])
		time.Sleep(3 * slow)
		wants(t, true, all[2])
		close(taken)
		wants(t, false, all[0])
		all[1].leave()
		wants(t, true, all[0])
		all[0].leave()
		all[2].leave()
		left(t, c)
	})
}

// TestStalledTurns: those who have the turns wait for something and did not say so, perhaps for a request that waits for a turn: one more works after a while.
func TestStalledTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := working(t)
		var all []*request
		for range 4 {
			all = append(all, ask(t.Context(), c, "one"))
			synctest.Wait()
		}
		time.Sleep(stalled*slow - time.Millisecond)
		wants(t, false, all[2], all[3])
		time.Sleep(2 * slow)
		wants(t, true, all[2])
		wants(t, false, all[3])
		time.Sleep((stalled + 1) * slow)
		for _, r := range all {
			wants(t, true, r)
			r.leave()
		}
		left(t, c)
	})
}

// TestWhoGivesUpHisTurn: a request whose client goes while it waits for a turn is refused, and keeps neither seat nor turn.
func TestWhoGivesUpHisTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := working(t)
		one, two := ask(t.Context(), c, "one"), ask(t.Context(), c, "one")
		wants(t, true, one, two)
		ctx, cancel := context.WithCancel(t.Context())
		three := ask(ctx, c, "one")
		wants(t, false, three)
		cancel()
		<-three.ended
		if three.let {
			t.Error("it was let in")
		}
		one.leave()
		two.leave()
		left(t, c)
	})
}

// TestTurnsCostLittle: a request that finds a place and a processor allocates nothing.
func TestTurnsCostLittle(t *testing.T) {
	c := working(t)
	call := get("one")
	if n := testing.AllocsPerRun(500, func() {
		var ticket Ticket
		if !c.Enter(t.Context(), &ticket, call, time.Minute) {
			t.Fatal("refused")
		}
		ticket.Leave()
	}); n > 1 { // the ticket, which is part of what a request has anyway
		t.Errorf("%v allocations", n)
	}
}
