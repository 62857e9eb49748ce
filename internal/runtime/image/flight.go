package image

import (
	"context"
	"sync"
)

// flights share work that several want at the same time: who joins first starts it, who joins later gets the same, and when the last one has
// left, it is cancelled. What is known while it goes on is its state, a T.
type flights[T any] struct {
	mu sync.Mutex // guards what follows and the joined of all
	m  map[string]*flight[T]
}

// flight is one piece of shared work.
type flight[T any] struct {
	state  T
	group  *flights[T]
	key    string
	cancel context.CancelFunc
	done   chan struct{} // closed when err is set
	err    error
	joined int
}

// join takes part in the work of a key and says whether it has started it. Its values come from ctx, its end does not. Each join needs one leave.
func (g *flights[T]) join(ctx context.Context, key string, work func(ctx context.Context, state *T) error) (f *flight[T], led bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f, found := g.m[key]
	if !found {
		f = &flight[T]{group: g, key: key, done: make(chan struct{})}
		ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		if g.m == nil {
			g.m = map[string]*flight[T]{}
		}
		g.m[key] = f
		go f.run(ctx, work) // owned by who joined; the last one who leaves waits for it
	}
	f.joined++
	return f, !found
}

// find joins work that goes on; nil when there is none.
func (g *flights[T]) find(key string) *flight[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.m[key]
	if f != nil {
		f.joined++
	}
	return f
}

func (f *flight[T]) run(ctx context.Context, work func(context.Context, *T) error) {
	f.err = work(ctx, &f.state)
	f.group.mu.Lock()
	f.forgetLocked()
	f.group.mu.Unlock()
	close(f.done)
}

func (f *flight[T]) forgetLocked() {
	if f.group.m[f.key] == f {
		delete(f.group.m, f.key)
	}
}

// wait waits until the work is done, and returns its error, or until ctx ends.
func (f *flight[T]) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave gives the work up. The last one to leave ends it and waits for its end.
func (f *flight[T]) leave() {
	f.group.mu.Lock()
	f.joined--
	last := f.joined == 0
	if last {
		f.forgetLocked()
	}
	f.group.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
	}
}
