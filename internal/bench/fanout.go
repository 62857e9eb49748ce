package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// watch opens a watch on a kind from now on: what is made after the return is in it.
func (w *workspace) watch(ctx context.Context, kind resourceKind, s *session) (*eventStream, error) {
	raw, err := s.do(ctx, request{method: "GET", path: w.collection(kind) + "?limit=1", accept: mediaJSON})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kind.name, err)
	}
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("list %s: %w: %w", kind.name, errGarbage, err)
	}
	query := "?watch=true&resourceVersion=" + url.QueryEscape(list.Metadata.ResourceVersion)
	stream, err := s.stream(ctx, request{method: "GET", path: w.collection(kind) + query, accept: w.media})
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", kind.name, err)
	}
	return stream, nil
}

// fanout counts what many watchers receive of objects that one worker makes. An object's latency begins before its request is sent, so
// it holds the write as well.
type fanout struct {
	prefix  string
	clock   clock.Clock
	stop    context.CancelFunc
	readers sync.WaitGroup

	mu struct {
		sync.Mutex
		sent      map[int]time.Time // by number; never shrinks within a run
		latency   Histogram
		bytes     int64
		errors    errorCounts
		delivered int
		changed   chan struct{} // closed by the delivery that is the target-th
		target    int           // deliveries that finish waits for; 0: nobody waits
	}
}

// openFanout opens one watch for each session.
func (w *workspace) openFanout(ctx context.Context, kind resourceKind, sessions []*session) (*fanout, error) {
	ctx, stop := context.WithCancel(ctx)
	f := &fanout{prefix: w.prefix(), clock: w.Clock, stop: stop}
	f.mu.sent, f.mu.errors, f.mu.changed = map[int]time.Time{}, errorCounts{}, make(chan struct{})
	for _, s := range sessions {
		stream, err := w.watch(ctx, kind, s)
		if err != nil {
			f.close()
			return nil, err
		}
		f.readers.Go(func() { f.read(ctx, stream) })
	}
	return f, nil
}

func (f *fanout) read(ctx context.Context, stream *eventStream) {
	defer stream.Close()
	frames := newFrameReader(stream, stream.media)
	for {
		frame, err := frames.next()
		if err != nil {
			if ctx.Err() == nil {
				f.fail(errors.Join(errWatchEnded, err))
			}
			return
		}
		if i, ours := numberIn(frame, f.prefix); ours {
			f.deliver(i, len(frame))
		}
	}
}

func (f *fanout) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.errors.add(err)
}

func (f *fanout) send(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.sent[i] = f.clock.Now()
}

func (f *fanout) deliver(i, size int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if began, ours := f.mu.sent[i]; ours {
		f.mu.latency.Record(f.clock.Since(began))
		f.mu.bytes += int64(size)
		f.mu.delivered++
		if f.mu.delivered == f.mu.target {
			close(f.mu.changed)
		}
	}
}

// finish waits until want deliveries have arrived, at most for the timeout, and puts them into the outcome in place of the writes.
func (f *fanout) finish(ctx context.Context, out *outcome, want int) {
	f.mu.Lock()
	f.mu.target = want
	complete := f.mu.delivered >= want
	f.mu.Unlock()
	if !complete {
		select {
		case <-f.mu.changed: // the channel is made once; only what it says is guarded
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for missing := want - f.mu.delivered; missing > 0; missing-- {
		f.mu.errors.add(fmt.Errorf("%w: %d of %d events", errUndelivered, missing, want))
	}
	out.latency = f.mu.latency
	out.bytes = f.mu.bytes
	out.errors.merge(f.mu.errors)
}

// close ends all watches and waits for their readers.
func (f *fanout) close() {
	f.stop()
	f.readers.Wait()
}
