// Package aside lets whoever works for a request say that it waits for something outside of this process, so that the processor's turn that the request
// has goes to another meanwhile. Who gives turns is not its concern
// (internal/api/fairness does), so that every package may import it.
package aside

import "context"

// Worker is who has a turn. Its methods are called in pairs, in the goroutine of the request or one that it waits for, and never by two at a time.
type Worker interface {
	Pause()  // it works no more
	Resume() // it works again; it may wait for a turn before it returns
}

type key struct{}

// With returns a context whose Step is the worker's.
func With(ctx context.Context, w Worker) context.Context { return context.WithValue(ctx, key{}, w) }

// Step pauses the worker of a context, if it has one, and returns what makes it resume. Neither is nil.
func Step(ctx context.Context) (back func()) {
	w, _ := ctx.Value(key{}).(Worker)
	if w == nil {
		return nothing
	}
	w.Pause()
	return w.Resume
}

func nothing() {}
