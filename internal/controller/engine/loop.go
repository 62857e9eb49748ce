package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/record"
	"github.com/floe-k8s/floe/internal/kinds"
)

// lag is how long a reconcile waits for a view that does not show its own writes yet, and streamRetry how long
// a broken stream rests.
const (
	lag         = 2 * time.Millisecond
	streamRetry = time.Second
)

// loop is one controller at work.
type loop struct {
	engine *Engine
	ctl    Controller
	client client.Client
	queue  *queue
	events *record.Recorder
	log    *slog.Logger

	mu      sync.Mutex
	written map[Key]uint64 // guarded by mu; revision of the last write for a key, deletions included, until a view has shown it
}

func newLoop(e *Engine, c Controller) *loop {
	cl := e.cfg.Clients(c.User)
	return &loop{engine: e, ctl: c, client: cl, queue: newQueue(e.cfg.Clock),
		events: record.New(cl, e.cfg.Clock, e.cfg.Log, c.Component),
		log:    e.cfg.Log.With("controller", c.Name), written: map[Key]uint64{}}
}

// follow turns the changes of one input into keys until ctx ends.
func (l *loop) follow(ctx context.Context, in Input) {
	for ctx.Err() == nil {
		err := l.followOnce(ctx, in)
		if ctx.Err() != nil {
			return
		}
		if client.IsExpired(err) {
			continue // a new view, and all keys again
		}
		l.log.Warn("stream ended", "resource", resourceName(in.Resource), "err", err)
		l.pause(ctx, l.engine.jitter(streamRetry))
	}
}

func (l *loop) followOnce(ctx context.Context, in Input) error {
	view, err := l.client.View(ctx)
	if err != nil {
		return fmt.Errorf("view: %w", err)
	}
	for obj := range view.List(in.Resource, "") {
		l.queue.add(in.Keys(view, client.Change{New: obj, Revision: revisionOf(obj)})...)
	}
	stream, err := l.client.Watch(ctx, in.Resource, view.Revision(), "", "")
	if err != nil {
		return fmt.Errorf("watch %s: %w", resourceName(in.Resource), err)
	}
	for {
		change, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		if view, err = l.client.View(ctx); err != nil {
			return fmt.Errorf("view: %w", err)
		}
		l.queue.add(in.Keys(view, change)...)
	}
}

func (l *loop) pause(ctx context.Context, d time.Duration) {
	t := l.engine.cfg.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C():
	}
}

// work reconciles keys until ctx ends.
func (l *loop) work(ctx context.Context) {
	for {
		key, ok := l.queue.next(ctx)
		if !ok {
			return
		}
		after, err := l.reconcile(ctx, key)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			wait := l.queue.retry(key)
			level := slog.LevelWarn
			if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				level = slog.LevelDebug // someone was quicker, or the namespace goes; the next view shows it
			}
			l.log.Log(ctx, level, "reconcile failed", "key", key.String(), "retry", wait, "err", err)
		default:
			l.queue.forget(key)
			if after > 0 {
				l.queue.addAfter(key, after)
			}
		}
		l.queue.done(key)
	}
}

func (l *loop) reconcile(ctx context.Context, key Key) (time.Duration, error) {
	view, err := l.client.View(ctx)
	if err != nil {
		return 0, fmt.Errorf("view: %w", err)
	}
	if !l.shows(view, key) {
		return lag, nil
	}
	plan, err := l.ctl.Reconcile(view, key, l.engine.cfg.Clock.Now())
	if err != nil {
		return 0, err
	}
	ctx = client.WithCause(ctx, fmt.Sprintf("%s %s@%d", l.ctl.Name, key, view.Revision()))
	rev, err := l.carryOut(ctx, plan.Writes)
	if err != nil && plan.OnFailure != nil {
		more, ferr := l.carryOut(ctx, plan.OnFailure(err))
		rev = max(rev, more)
		if ferr != nil {
			err = fmt.Errorf("%w (and then: %w)", err, ferr)
		}
	}
	l.wrote(key, rev)
	if err != nil {
		return 0, err
	}
	for _, ev := range plan.Events {
		l.events.Record(ctx, ev)
	}
	if plan.Waiting != "" {
		l.log.Debug("waiting", "key", key.String(), "for", plan.Waiting)
	}
	return plan.After, nil
}

// shows says whether view has the last write for key, and forgets that write when it has.
func (l *loop) shows(view client.View, key Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written[key] > view.Revision() {
		return false
	}
	delete(l.written, key)
	return true
}

func (l *loop) wrote(key Key, rev uint64) {
	if rev == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written[key] = rev
}

// revisionOf is the object's revision, or 0 when it has none.
func revisionOf(obj kinds.Object) uint64 {
	rev, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return rev
}
