package fairness

import (
	"fmt"
	"math/rand"
	"testing"
	"time"
)

// TestLaws runs machines at random and holds the laws of the package after each step: the sums are right, seats pass the limit only with a request that runs
// alone or when the limit was lowered, and whoever waits runs within a bounded number of requests of others.
func TestLaws(t *testing.T) {
	for seed := int64(1); seed <= 60; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { randomRun(t, rand.New(rand.NewSource(seed))) })
	}
}

func randomRun(t *testing.T, random *rand.Rand) {
	now := time.Unix(1_000_000, 0)
	m := &machine{now: now, denominator: 1, measured: newMeasured()}
	tally := newTally("s")
	limit := 1 + random.Intn(8)
	s := shape{queues: 1 + random.Intn(8), length: 1 + random.Intn(8)}
	s.hand = 1 + random.Intn(s.queues)
	m.configure(now, s, limit, limit)
	all := map[*Ticket]int{} // those who wait, with the number of those who were let in since
	var running []*Ticket
	look := func(added *Ticket) {
		if added != nil && added.state != over {
			all[added] = 0
		}
		for ticket := range all {
			switch {
			case ticket.state == runs:
				running = append(running, ticket)
				delete(all, ticket)
			case ticket.state == over:
				delete(all, ticket)
			}
		}
		check(t, m)
	}
	for range 2000 {
		now = now.Add(time.Duration(random.Intn(5)) * time.Millisecond)
		before := m.inUse
		switch n := random.Intn(10); {
		case n < 5:
			ticket := &Ticket{tally: tally, width: Width{Initial: 1 + random.Intn(random.Intn(12)+1)}}
			if random.Intn(4) == 0 {
				ticket.width.Final, ticket.width.Lingers = 1+random.Intn(4), time.Duration(random.Intn(20))*time.Millisecond
			}
			m.arrive(now, ticket, random.Uint64()%5)
			if ticket.state == waits {
				ticket.ready = make(chan struct{})
			}
			look(ticket)
		case n < 9 && len(running) > 0:
			i := random.Intn(len(running))
			ticket := running[i]
			running = append(running[:i], running[i+1:]...)
			m.finish(now, ticket)
			look(nil)
		case n == 9 && len(all) > 0:
			for ticket := range all {
				m.abandon(now, ticket)
				break
			}
			look(nil)
		}
		if m.inUse > max(limit, before) && m.running > 1 && len(m.lingering) == 0 {
			t.Fatalf("%d seats of %d are in use by %d", m.inUse, limit, m.running)
		}
	}
	for step := 0; len(running) > 0 || len(all) > 0; step++ { // whoever waits runs in the end
		now = now.Add(25 * time.Millisecond)
		m.advance(now)
		look(nil)
		if len(running) > 0 {
			ticket := running[0]
			running = running[1:]
			m.finish(now, ticket)
		}
		look(nil)
		if step > 10_000 {
			t.Fatalf("%d wait for ever", len(all))
		}
	}
	m.advance(now.Add(time.Minute))
	if check(t, m); m.inUse != 0 || !m.idle() {
		t.Fatalf("all have gone, and %d seats are in use", m.inUse)
	}
}

// TestFloodedFlowsStayApart: however much one flow asks for, another that asks for one seat at a time, and has another queue, waits for at most as many
// requests as there are seats.
func TestFloodedFlowsStayApart(t *testing.T) {
	const limit = 4
	now := time.Unix(1_000_000, 0)
	m, tally := &machine{now: now, denominator: 1}, newTally("s")
	m.configure(now, shape{queues: 2, length: 50, hand: 1}, limit, limit)
	var running []*Ticket
	flood := func() {
		ticket := &Ticket{tally: tally, width: Width{Initial: 1}}
		if m.arrive(now, ticket, 0) == "" && ticket.state == waits {
			ticket.ready = make(chan struct{})
		}
	}
	next := func() *Ticket { // the one that has run longest
		running = running[:0]
		for _, q := range m.queues {
			for r := q.running.first; r != nil; r = r.after {
				running = append(running, r)
			}
		}
		oldest := running[0]
		for _, r := range running {
			if r.started.Before(oldest.started) {
				oldest = r
			}
		}
		return oldest
	}
	for range 200 {
		flood()
	}
	for range 100 {
		quiet := &Ticket{tally: tally, width: Width{Initial: 1}}
		if reason := m.arrive(now, quiet, 1); reason != "" {
			t.Fatal("the quiet flow was refused: " + reason)
		}
		ended := 0
		for ; quiet.state == waits; ended++ {
			now = now.Add(time.Millisecond)
			m.finish(now, next())
			flood()
			flood()
		}
		if ended > limit {
			t.Fatalf("it waited for %d requests of the flood", ended)
		}
		for quiet.state == runs {
			now = now.Add(time.Millisecond)
			m.finish(now, next())
		}
		check(t, m)
	}
	if tally.refused[0] == 0 {
		t.Error("nothing of the flood was refused")
	}
}

func TestEpochs(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	m, tally := &machine{now: now, denominator: 1}, newTally("s")
	m.configure(now, shape{queues: 2, length: 5, hand: 1}, 1, 1)
	m.r = 2*epochLength - 1
	var list []*Ticket
	for i := range 4 {
		ticket := &Ticket{tally: tally, width: Width{Initial: 1}}
		m.arrive(now, ticket, uint64(i%2))
		list = append(list, ticket)
	}
	m.advance(now.Add(time.Second))
	check(t, m)
	if m.epochs != 1 || m.r > epochLength+10*perSeatSecond || list[2].arrivedR > m.r {
		t.Fatalf("after %d epochs R is %v, and who arrived before has %v", m.epochs, m.r, list[2].arrivedR)
	}
}
