package scheduler

import (
	"context"
	"sync"

	"github.com/floe-k8s/floe/internal/client"
)

// inboxMost is how many changes may wait for the loop before streams are held up.
const inboxMost = 8192

// inbox gathers changes of all streams for the loop, in the order of each: handing over many at once costs one switch of goroutines
// rather than one each.
type inbox struct {
	filled  chan struct{} // a token when there is something to take
	drained chan struct{} // a token when there is room again

	mu   sync.Mutex // a leaf; guards list
	list []client.Change
}

func newInbox() *inbox {
	return &inbox{filled: make(chan struct{}, 1), drained: make(chan struct{}, 1)} // one token says all
}

// follow puts what a stream delivers into the inbox until either ends.
func (b *inbox) follow(ctx context.Context, stream client.Stream) error {
	for {
		c, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		for !b.put(c) {
			select {
			case <-b.drained:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// put adds a change; false: there is no room.
func (b *inbox) put(c client.Change) bool {
	b.mu.Lock()
	full := len(b.list) >= inboxMost
	if !full {
		b.list = append(b.list, c)
	}
	room := len(b.list) < inboxMost
	b.mu.Unlock()
	if !full {
		token(b.filled)
		if room {
			token(b.drained) // another stream may wait as well, and a token wakes only one
		}
	}
	return !full
}

// take empties the inbox.
func (b *inbox) take() []client.Change {
	b.mu.Lock()
	list := b.list
	b.list = nil
	b.mu.Unlock()
	if list != nil {
		token(b.drained)
	}
	return list
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
