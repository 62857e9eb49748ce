package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// until says whether an event ends a wait; an error ends it too.
type until func(podEvent) (bool, error)

func untilBound(e podEvent) (bool, error) { return e.node != "", ended(e) }

func untilRunning(e podEvent) (bool, error) { return e.phase == corev1.PodRunning, ended(e) }

func untilGone(e podEvent) (bool, error) { return e.kind == "DELETED", nil }

func ended(e podEvent) error {
	if e.kind == "DELETED" || e.phase == corev1.PodFailed || e.phase == corev1.PodSucceeded {
		return fmt.Errorf("%w: pod %s: %s, phase %s", errPodEnded, e.name, e.kind, e.phase)
	}
	return nil
}

// tracker follows the run's pods by one watch and wakes who waits for one of them.
type tracker struct {
	prefix string
	media  string // of the watch
	stop   context.CancelFunc
	done   chan struct{} // closed by follow when it ends

	mu struct {
		sync.Mutex
		waiting map[int]*wait // by the pod's number
		err     error         // why the watch ended; no wait can succeed after it
	}
}

type wait struct {
	until until
	done  chan error // holds one, so that follow never blocks
}

// track opens the watch and starts following it; close ends it.
func (w *workspace) track(ctx context.Context, kind resourceKind) (*tracker, error) {
	ctx, stop := context.WithCancel(ctx)
	stream, err := w.watch(ctx, kind, w.sessions[0])
	if err != nil {
		stop()
		return nil, err
	}
	t := &tracker{prefix: w.prefix(), media: stream.media, stop: stop, done: make(chan struct{})}
	t.mu.waiting = map[int]*wait{}
	go t.follow(stream)
	return t, nil
}

// expect registers a wait for pod i. It is called before the request that causes the event, so that none is missed.
func (t *tracker) expect(i int, until until) *wait {
	w := &wait{until: until, done: make(chan error, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.err != nil {
		w.done <- t.mu.err
		return w
	}
	t.mu.waiting[i] = w
	return w
}

// forget takes a wait back.
func (t *tracker) forget(i int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.waiting, i)
}

func (w *wait) wait(ctx context.Context) error {
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *tracker) follow(stream *eventStream) {
	defer close(t.done)
	defer stream.Close()
	frames := newFrameReader(stream, t.media)
	for {
		frame, err := frames.next()
		if err == nil {
			err = t.take(frame)
		}
		if err != nil {
			t.end(err)
			return
		}
	}
}

func (t *tracker) take(frame []byte) error {
	event, err := readPodEvent(frame, t.media)
	if err != nil {
		return err
	}
	i, ours := numberIn([]byte(event.name), t.prefix)
	if !ours {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.mu.waiting[i]
	if w == nil {
		return nil
	}
	if done, err := w.until(event); done || err != nil {
		w.done <- err
		delete(t.mu.waiting, i)
	}
	return nil
}

// end fails all waits, those to come too.
func (t *tracker) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.err = errors.Join(errWatchEnded, err)
	for i, w := range t.mu.waiting {
		w.done <- t.mu.err
		delete(t.mu.waiting, i)
	}
}

// close ends the watch and waits for its goroutine.
func (t *tracker) close() {
	t.stop()
	<-t.done
}
