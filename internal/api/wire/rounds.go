package wire

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// A piece of a watch costs its server the same for one event as for ten: a handler wakes, HTTP/2 makes a frame, TLS a record, the kernel a segment,
// and the client wakes. Where many watch the same, all of them being told of each change at once is what a server would do all day. So a watcher
// in a crowd that has just been sent something rests until the next round, and is then sent all that has happened. Who was quiet waits for nothing.
const (
	crowd     = 32                      // watchers of the same events, from which on they rest; fewer of them are told of each change at once
	beat      = 2500 * time.Microsecond // without anyone joining begins a round
	mostBeats = 4                       // to wait for others
)

// rounds wakes all who rest together: their pieces are written one after the other, and the machine has time for others in between. The first who
// rests leads: it waits for the rest to join, and then for a beat in which nobody has. The zero value is ready.
type rounds struct {
	mu     sync.Mutex
	next   chan struct{} // closed by the leader; nil: nobody rests
	joined int           // who rests
}

// rest returns with the next round, or when ctx ends.
func (r *rounds) rest(ctx context.Context, clk clock.WithDelayedExecution) {
	next, first := r.join()
	if !first {
		select {
		case <-next:
		case <-ctx.Done():
		}
		return
	}
	defer r.begin() // also without a leader
	timer := clk.NewTimer(beat)
	defer timer.Stop()
	for joined, beats := 1, 1; ; beats++ {
		select {
		case <-timer.C():
		case <-ctx.Done():
			return
		}
		before := joined
		if joined = r.count(); joined == before || beats == mostBeats {
			return
		}
		timer.Reset(beat)
	}
}

func (r *rounds) join() (next chan struct{}, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next, r.joined, first = make(chan struct{}), 0, true
	}
	r.joined++
	return r.next, first
}

func (r *rounds) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.joined
}

func (r *rounds) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.next)
	r.next = nil
}

// alarm is a timer that is made when it is first needed. The zero value is off.
type alarm struct {
	timer clock.Timer
	on    bool
}

// set lets the alarm go off after d, unless it is on already.
func (a *alarm) set(clk clock.Clock, d time.Duration) {
	switch {
	case a.on:
		return
	case a.timer == nil:
		a.timer = clk.NewTimer(d)
	default:
		a.timer.Reset(d)
	}
	a.on = true
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}
