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
//
// A round costs some 10 µs for each watcher, so the larger the crowd, the longer it rests: telling a crowd takes a fifth of one processor, however much happens.
const (
	crowd    = 32                    // watchers of the same events, from which on they rest; fewer of them are told of each change at once
	restEach = 50 * time.Microsecond // of rest, for each watcher of a crowd
	mostRest = 12500 * time.Microsecond
)

// rounds wakes all who rest together: their pieces are written one after the other, and the machine has time for others in between. The first who
// rests leads: the round begins when it has rested, also for those who came later. The zero value is ready.
type rounds struct {
	mu   sync.Mutex
	next chan struct{} // closed by the leader; nil: nobody rests
}

// rest returns with the next round, or when ctx ends. readers are the watchers of the crowd.
func (r *rounds) rest(ctx context.Context, clk clock.WithDelayedExecution, readers int) {
	next, first := r.join()
	if !first {
		select {
		case <-next:
		case <-ctx.Done():
		}
		return
	}
	defer r.begin() // also without a leader
	timer := clk.NewTimer(min(time.Duration(readers)*restEach, mostRest))
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
}

func (r *rounds) join() (next chan struct{}, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if first = r.next == nil; first {
		r.next = make(chan struct{})
	}
	return r.next, first
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
