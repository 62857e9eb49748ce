package fairness

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// script drives one machine by commands, and shows all of it.
type script struct {
	m       machine
	now     time.Time
	tickets map[string]*Ticket
	tally   *tally
}

// TestMachine runs the scripts of testdata/machine: time moves by "after", the rest happens at once.
func TestMachine(t *testing.T) {
	datadriven.Walk(t, "testdata/machine", func(t *testing.T, path string) {
		s := &script{now: time.Unix(1_000_000, 0), tickets: map[string]*Ticket{}, tally: newTally("s")}
		s.m.now, s.m.denominator = s.now, 1
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	var name string
	width := Width{Initial: 1}
	var queues, length, hand, limit int
	var hash uint64
	var wait time.Duration
	for _, arg := range d.CmdArgs {
		text := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "queues":
			fmt.Sscan(text, &queues)
		case "length":
			fmt.Sscan(text, &length)
		case "hand":
			fmt.Sscan(text, &hand)
		case "limit":
			fmt.Sscan(text, &limit)
		case "flow":
			fmt.Sscan(text, &hash)
		case "seats":
			fmt.Sscan(text, &width.Initial)
		case "final":
			fmt.Sscan(text, &width.Final)
		case "lingers":
			width.Lingers, _ = time.ParseDuration(text)
		default:
			if name = arg.Key; d.Cmd == "after" {
				wait, _ = time.ParseDuration(name)
			}
		}
	}
	switch d.Cmd {
	case "configure":
		s.m.configure(s.now, shape{queues: queues, length: length, hand: hand}, limit, limit)
	case "exempt":
		s.m.configure(s.now, shape{exempt: true}, 0, 1)
	case "after":
		s.now = s.now.Add(wait)
		s.m.advance(s.now)
	case "arrive":
		ticket := &Ticket{width: width, tally: s.tally}
		s.tickets[name] = ticket
		if reason := s.m.arrive(s.now, ticket, hash); reason != "" {
			return "refused: " + reason + "\n" + s.show()
		}
		if ticket.state == waits {
			ticket.ready = make(chan struct{})
		}
	case "finish":
		s.m.finish(s.now, s.tickets[name])
	case "abandon":
		if !s.m.abandon(s.now, s.tickets[name]) {
			return name + " runs\n" + s.show()
		}
	default:
		t.Fatalf("no command %q", d.Cmd)
	}
	check(t, &s.m)
	return s.show()
}

// show draws the machine.
func (s *script) show() string {
	var b strings.Builder
	names := map[*Ticket]string{}
	for name, ticket := range s.tickets {
		names[ticket] = name
	}
	of := func(l line) string {
		var list []string
		for t := l.first; t != nil; t = t.after {
			list = append(list, names[t])
		}
		return strings.Join(list, " ")
	}
	fmt.Fprintf(&b, "R %v, %d of %d seats, %d waiting for %d\n", s.m.r, s.m.inUse, s.m.limit, s.m.waiting, s.m.seatsWaiting)
	for i, q := range s.m.queues {
		if q.busy() || q.inUse > 0 {
			fmt.Fprintf(&b, "queue %d: next %v runs [%s] waits [%s]\n", i, q.next, of(q.running), of(q.waiting))
		}
	}
	if s.m.loose.length > 0 {
		fmt.Fprintf(&b, "without a queue: [%s]\n", of(s.m.loose))
	}
	var lingers []string
	for _, l := range s.m.lingering {
		lingers = append(lingers, fmt.Sprintf("%d seats for %v", l.seats, l.until.Sub(s.now)))
	}
	sort.Strings(lingers)
	if len(lingers) > 0 {
		fmt.Fprintf(&b, "lingering: %s\n", strings.Join(lingers, ", "))
	}
	return b.String()
}

// check holds the sums that a machine keeps against what they are of, and its laws.
func check(t testing.TB, m *machine) {
	t.Helper()
	running, waiting, inUse, seatsWaiting, active, queued := m.loose.length, 0, 0, 0, 0, 0
	for l := m.loose.first; l != nil; l = l.after {
		inUse += l.width.most()
	}
	narrowest := 0
	for i, q := range m.queues {
		running, waiting = running+q.running.length, waiting+q.waiting.length
		used, most, work := 0, 0, seatSeconds(0)
		for r := q.running.first; r != nil; r = r.after {
			used += r.width.most()
		}
		for _, l := range m.lingering {
			if l.queue == q {
				used += l.seats
			}
		}
		for w := q.waiting.first; w != nil; w = w.after {
			most, work = most+w.width.most(), work+w.work
			if narrowest == 0 || w.width.most() < narrowest {
				narrowest = w.width.most()
			}
		}
		if used != q.inUse || most != q.most || work != q.work {
			t.Fatalf("queue %d says %d seats, %d wanted, work %v; it has %d, %d, %v", i, q.inUse, q.most, q.work, used, most, work)
		}
		if q.waiting.first != nil && q.next < q.waiting.first.arrivedR {
			t.Fatalf("queue %d begins at %v, before who is first arrived, at %v", i, q.next, q.waiting.first.arrivedR)
		}
		queued, seatsWaiting = queued+used, seatsWaiting+most
		if q.busy() {
			active++
		}
	}
	for _, l := range m.lingering {
		if l.queue == nil {
			inUse += l.seats
		}
	}
	inUse += queued
	if running != m.running || waiting != m.waiting || inUse != m.inUse || seatsWaiting != m.seatsWaiting || active != m.active || queued != m.queuedInUse {
		t.Fatalf("says running %d, waiting %d, in use %d, wanted %d, active %d, queued %d; has %d, %d, %d, %d, %d, %d", m.running, m.waiting, m.inUse, m.seatsWaiting,
			m.active, m.queuedInUse, running, waiting, inUse, seatsWaiting, active, queued)
	}
	// Nobody who fits waits while every request is as wide as the narrowest.
	if narrowest == 1 && m.waiting > 0 && m.seatsWaiting == m.waiting && m.inUse < m.limit {
		t.Fatalf("%d wait for a seat each and only %d of %d are in use", m.waiting, m.inUse, m.limit)
	}
}
