package engine

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/invariants"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Catalog says which kinds are served now. changed is closed when that is no longer so; nil: it stays so. The list is shared
// and not to be changed. It must be safe for concurrent use.
type Catalog func() (served []*kinds.Kind, changed <-chan struct{})

// Input is a resource to follow. Keys must be pure; view is at or after the change. At start, and after a
// stream expired, every object is given as a change with Old nil. Keys nil: the resource is only looked at when something
// else wakes the controller.
type Input struct {
	Resource client.Resource
	Keys     func(view client.View, change client.Change) []Key
}

// follow turns the changes of all inputs into keys until ctx ends. When a stream expires, or ends otherwise, all inputs begin anew on one view: a deletion that
// nobody saw is found by looking at everything that may have waited for it.
func (l *loop) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.followOnce(ctx)
		if ctx.Err() != nil || client.IsExpired(err) {
			continue // a new view, and all keys again
		}
		l.log.Warn("stream ended", "err", err)
		l.pause(ctx, l.engine.jitter(streamRetry))
	}
}

// followOnce follows all inputs from one view on. Were each to begin with a view of its own, a key could be reconciled on a view that shows an object
// whose end is before the view of the input that should tell of it.
func (l *loop) followOnce(ctx context.Context) error {
	view, err := l.view(ctx)
	if err != nil {
		return err
	}
	own, cancel := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel(nil)
	for _, in := range l.ctl.Inputs {
		if in.Keys != nil {
			all.Go(func() { cancel(l.followInput(own, in, view)) })
		}
	}
	if l.ctl.Every != nil {
		all.Go(func() { l.followEvery(own, cancel, view) })
	}
	<-own.Done()
	return context.Cause(own)
}

// followInput follows one input from view on, and returns why it ended. While it waits for a change it holds no view: that would keep alive, for as long as
// the resource rests, every version of every object that has been replaced since.
func (l *loop) followInput(ctx context.Context, in Input, view client.View) error {
	revision := view.Revision()
	if err := l.offerAll(ctx, in, view); err != nil {
		return err
	}
	stream, err := l.client.Watch(ctx, in.Resource, revision, "", "")
	if err != nil {
		return fmt.Errorf("watch %s: %w", resourceName(in.Resource), err)
	}
	for {
		if err := l.offerNext(ctx, in, stream); err != nil {
			return err
		}
	}
}

// offerAll gives the queue the keys of all objects of one input.
func (l *loop) offerAll(ctx context.Context, in Input, view client.View) error {
	for obj := range view.List(in.Resource, "") {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.queue.offer(ctx, in.Keys(view, client.Change{New: obj, Revision: revisionOf(obj)})...)
	}
	return nil
}

// offerNext waits for the next change of one input, and gives the queue its keys.
func (l *loop) offerNext(ctx context.Context, in Input, stream client.Stream) error {
	change, err := stream.Next(ctx)
	if err != nil {
		return fmt.Errorf("follow %s: %w", resourceName(in.Resource), err)
	}
	view, err := l.view(ctx)
	if err != nil {
		return err
	}
	l.queue.offer(ctx, in.Keys(view, change)...)
	return nil
}

// follower is what follows one kind; end stops it and waits for it.
type follower struct {
	kind *kinds.Kind
	end  func()
}

// followEvery follows the kinds that the catalog names, as they come and go, until ctx ends. The first begin with view; those that come later with one of
// their own, and what waits for something looks again then, since it may wait for what that view no longer shows.
func (l *loop) followEvery(ctx context.Context, fail context.CancelCauseFunc, view client.View) {
	running := map[client.Resource]follower{}
	defer func() {
		for _, f := range running {
			f.end()
		}
	}()
	for {
		served, changed := l.engine.cfg.Catalog()
		l.adjust(ctx, fail, running, served, view)
		view = nil // not held while nothing changes; see followInput
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		var err error
		if view, err = l.view(ctx); err != nil {
			fail(err)
			return
		}
		l.queue.offer(ctx, l.waitingKeys()...)
	}
}

// adjust ends the followers of kinds that are no longer served or stand elsewhere, and begins those of kinds that have none. A kind of which only the schema
// has changed is followed on.
func (l *loop) adjust(ctx context.Context, fail context.CancelCauseFunc, running map[client.Resource]follower, served []*kinds.Kind, view client.View) {
	now := make(map[client.Resource]*kinds.Kind, len(served))
	for _, k := range served {
		now[k.GVR()] = k
	}
	for res, f := range running {
		if k := now[res]; k == nil || k.Prefix() != f.kind.Prefix() || k.Namespaced != f.kind.Namespaced {
			f.end()
			delete(running, res)
		}
	}
	for res, k := range now {
		if _, there := running[res]; there || !k.Keeps() {
			continue
		}
		if keys := l.ctl.Every(k); keys != nil {
			running[res] = l.begin(ctx, fail, k, Input{Resource: res, Keys: keys}, view)
		}
	}
}

// begin follows a kind. That it is no longer served is no failure: the catalog says so too.
func (l *loop) begin(ctx context.Context, fail context.CancelCauseFunc, k *kinds.Kind, in Input, view client.View) follower {
	own, cancel := context.WithCancel(ctx)
	var one sync.WaitGroup
	one.Go(func() {
		if err := l.followInput(own, in, view); own.Err() == nil && !apierrors.IsNotFound(err) {
			fail(err)
		}
	})
	return follower{k, func() { cancel(); one.Wait() }}
}

// waitingKeys are those whose last plan waits for something, and those that are being reconciled, whose plan may.
func (l *loop) waitingKeys() []Key {
	l.mu.Lock()
	keys := slices.Collect(maps.Keys(l.waiting))
	l.mu.Unlock()
	return append(keys, l.queue.working()...)
}

// view is the client's, which with invariants holds the controller to what it says that it reads.
func (l *loop) view(ctx context.Context) (client.View, error) {
	v, err := l.client.View(ctx)
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	if invariants.Enabled {
		return declared{v, l.ctl}, nil
	}
	return v, nil
}

// declared is a view of the resources that a controller declares.
type declared struct {
	client.View
	ctl Controller
}

func (d declared) check(res client.Resource) {
	if !d.ctl.reads(res) {
		panic(fmt.Sprintf("controller %s reads %s, which is none of its inputs or outputs", d.ctl.Name, resourceName(res)))
	}
}

// Get implements client.View.
func (d declared) Get(res client.Resource, namespace, name string) kinds.Object {
	d.check(res)
	return d.View.Get(res, namespace, name)
}

// List implements client.View.
func (d declared) List(res client.Resource, namespace string) iter.Seq[kinds.Object] {
	d.check(res)
	return d.View.List(res, namespace)
}

// Lookup implements client.View.
func (d declared) Lookup(res client.Resource, index, value string) iter.Seq[kinds.Object] {
	d.check(res)
	return d.View.Lookup(res, index, value)
}
