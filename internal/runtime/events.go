package runtime

import (
	"context"
	"errors"
	"sync"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ErrEventsLost says that a subscriber was too slow: it must subscribe again, and list.
var ErrEventsLost = errors.New("runtime events were lost: the subscriber fell behind")

// eventLimit is how many events a subscriber may be behind.
const eventLimit = 1024

// events hands events to subscribers.
type events struct {
	mu   sync.Mutex // guards subs and what is in them
	subs map[*Subscription]struct{}
}

// Subscription is one reader's place in the stream of events. It begins when Subscribe returns: who lists after that misses nothing.
// Events of one container arrive in the order in which they happened.
type Subscription struct {
	owner *events
	queue []*runtimeapi.ContainerEventResponse // guarded by owner.mu; at most eventLimit long
	lost  bool                                 // guarded by owner.mu
	wake  chan struct{}                        // holds a token when queue or lost changed
}

func newEvents() *events { return &events{subs: map[*Subscription]struct{}{}} }

// Subscribe begins a stream of container and sandbox events, as CRI's GetContainerEvents has them. The caller must Close it.
func (r *Runtime) Subscribe() *Subscription {
	s := &Subscription{owner: r.events, wake: make(chan struct{}, 1)}
	r.events.mu.Lock()
	defer r.events.mu.Unlock()
	r.events.subs[s] = struct{}{}
	return s
}

// Events calls do for every event, in order and from this goroutine, until ctx ends (then it returns ctx's error), do fails (its error), or
// do was too slow (ErrEventsLost). It is Subscribe and Next for those who need no list in between.
func (r *Runtime) Events(ctx context.Context, do func(*runtimeapi.ContainerEventResponse) error) error {
	s := r.Subscribe()
	defer s.Close()
	for {
		e, err := s.Next(ctx)
		if err != nil {
			return err
		}
		if err := do(e); err != nil {
			return err
		}
	}
}

// Next waits for the next event. Its error is ctx's, or ErrEventsLost.
func (s *Subscription) Next(ctx context.Context) (*runtimeapi.ContainerEventResponse, error) {
	for {
		if e, err := s.pop(); e != nil || err != nil {
			return e, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.wake:
		}
	}
}

func (s *Subscription) pop() (*runtimeapi.ContainerEventResponse, error) {
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	if s.lost {
		return nil, ErrEventsLost
	}
	if len(s.queue) == 0 {
		return nil, nil
	}
	e := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return e, nil
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	delete(s.owner.subs, s)
}

// publish hands e to all subscribers. It never waits, so it may be called with Runtime.mu held, which keeps events in order.
func (e *events) publish(event *runtimeapi.ContainerEventResponse) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subs {
		if len(s.queue) == eventLimit {
			s.lost, s.queue = true, nil
			delete(e.subs, s)
		} else {
			s.queue = append(s.queue, event)
		}
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// eventLocked publishes what happened to a container, or to a sandbox itself when id is its own.
func (r *Runtime) eventLocked(p *pod, id string, kind runtimeapi.ContainerEventType) {
	event := &runtimeapi.ContainerEventResponse{
		ContainerId: id, ContainerEventType: kind, CreatedAt: r.cfg.Clock.Now().UnixNano(), PodSandboxStatus: p.statusLocked(),
	}
	for _, c := range p.sortedLocked() {
		event.ContainersStatuses = append(event.ContainersStatuses, c.statusLocked())
	}
	r.events.publish(event)
}
