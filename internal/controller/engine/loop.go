package engine

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
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

// minWritten is how many writes are remembered at least before the first sweep.
const minWritten = 1024

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
	// writtenMost, guarded by mu, is how long written may be before what views have shown is swept out: keys that nothing wakes again.
	writtenMost int
	waiting     map[Key]bool // guarded by mu; keys whose last plan waits for something
}

func newLoop(e *Engine, c Controller) *loop {
	cl := e.cfg.Clients(c.User)
	q := newQueue(e.cfg.Clock, c.RetryMost, e.cfg.Metrics.meter(c.Queue))
	e.cfg.Metrics.show(c.Queue, q)
	return &loop{engine: e, ctl: c, client: cl, queue: q,
		events: record.New(cl, e.cfg.Clock, e.cfg.Log, c.Component),
		log:    e.cfg.Log.With("controller", c.Name), written: map[Key]uint64{}, waiting: map[Key]bool{}}
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
	waiting := false
	view, err := l.view(ctx)
	if err != nil {
		return 0, err
	}
	if !l.shows(view, key) {
		return lag, nil
	}
	defer func() { l.waits(key, waiting) }()
	plan, err := l.ctl.Reconcile(view, key, l.engine.cfg.Clock.Now())
	if err != nil {
		return 0, err
	}
	waiting = plan.Waiting != ""
	ctx = client.WithCause(ctx, fmt.Sprintf("%s %s@%d", l.ctl.Name, key, view.Revision()))
	rev, err := l.carryOut(ctx, plan.Writes)
	if err != nil && plan.OnFailure != nil {
		more, ferr := l.carryOut(ctx, plan.OnFailure(err))
		rev = max(rev, more)
		if ferr != nil {
			err = fmt.Errorf("%w (and then: %w)", err, ferr)
		}
	}
	l.wrote(key, rev, view.Revision())
	events := plan.Events
	if err != nil {
		if events = nil; plan.FailureEvents != nil {
			events = plan.FailureEvents(err)
		}
	}
	for _, ev := range events {
		l.events.Record(ctx, ev)
	}
	if err != nil {
		return 0, err
	}
	if plan.Waiting != "" {
		l.log.Debug("waiting", "key", key.String(), "for", plan.Waiting)
	}
	return plan.After, plan.Failed
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

// waits remembers whether the last plan for key waits for something, where kinds come and go.
func (l *loop) waits(key Key, waiting bool) {
	if l.ctl.Every == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if waiting {
		l.waiting[key] = true
	} else {
		delete(l.waiting, key)
	}
}

func (l *loop) wrote(key Key, rev, seen uint64) {
	if rev == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writtenMost == 0 || len(l.written) >= l.writtenMost {
		maps.DeleteFunc(l.written, func(_ Key, rev uint64) bool { return rev <= seen })
		l.writtenMost = max(minWritten, 2*len(l.written)) // so that a sweep costs no more than the entries since the last
	}
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
