package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/floe-k8s/floe/internal/store"
)

// compactedError: a watch begins at what etcd has compacted.
type compactedError struct {
	from, upTo int64 // upTo: etcd's oldest revision that can be read
}

func (e *compactedError) Error() string {
	return fmt.Sprintf("etcd's revision %d has been compacted, its history begins at %d: %v", e.from, e.upTo, store.ErrExpired)
}

// Unwrap returns ErrExpired.
func (e *compactedError) Unwrap() error { return store.ErrExpired }

// brokenError: a watch has ended for no fault of what it asked for; it may be taken up again.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// watcher is one watch. Each has a stream of its own: etcd's client takes fragments of one watch apart when those of
// another come between them, and a request for progress concerns a whole stream.
type watcher struct {
	keys   keyRange // to "": the one key
	from   int64    // > 0
	opts   []clientv3.OpOption
	ask    func(ctx context.Context, progress func() error) // runs beside the watch until ctx ends, and asks for progress
	handle func(clientv3.WatchResponse) error               // takes events and progress, in order
}

// watch runs w until handle refuses (handle's error), ctx ends, or the watch fails: with a *compactedError or a *brokenError where
// it is one. etcd's client goes on by itself over lost connections, with the event after the last one that it handed over.
func (l *Log) watch(ctx context.Context, w *watcher) error {
	ctx, cancel := context.WithCancel(ctx)
	stream := clientv3.NewWatcher(l.client)
	var asking sync.WaitGroup
	asking.Go(func() { w.ask(ctx, func() error { return stream.RequestProgress(ctx) }) })
	defer func() {
		cancel()
		asking.Wait()
		_ = stream.Close() // it has nothing to say that the watch has not
	}()
	opts := append([]clientv3.OpOption{clientv3.WithRev(w.from), clientv3.WithFragment(), clientv3.WithProgressNotify()}, w.opts...)
	if w.keys.to != "" {
		opts = append(opts, clientv3.WithRange(w.keys.to))
	}
	for resp := range stream.Watch(ctx, w.keys.from, opts...) {
		if err := resp.Err(); err != nil {
			return watchError(ctx, w.from, &resp)
		}
		if resp.Header.ClusterId != 0 && resp.Header.ClusterId != l.cluster {
			return fmt.Errorf("etcd's cluster is now %x, it was %x: another log stands in its place", resp.Header.ClusterId, l.cluster)
		}
		if err := w.handle(resp); err != nil {
			return err
		}
	}
	return ended(ctx, &brokenError{errors.New("the watch was closed")})
}

func watchError(ctx context.Context, from int64, resp *clientv3.WatchResponse) error {
	err := resp.Err()
	switch {
	case resp.CompactRevision != 0:
		return &compactedError{from, resp.CompactRevision}
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%w: %w", store.ErrExpired, err)
	case ctx.Err() != nil:
		return ended(ctx, err)
	}
	switch codeOf(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument, codes.Unimplemented, codes.DataLoss:
		return err
	}
	return &brokenError{err}
}

// errScanned ends a scan's watch.
var errScanned = errors.New("scanned")

// scan hands each revision of etcd in [from, to] that has events in keys to each, in order. The revision to has been written. It returns a
// *compactedError when from is no longer known.
func (l *Log) scan(ctx context.Context, keys keyRange, from, to int64, each func(mod int64, events []*clientv3.Event) error, opts ...clientv3.OpOption) error {
	w := &watcher{keys: keys, from: from, opts: opts, ask: l.askUntilDone}
	w.handle = func(resp clientv3.WatchResponse) error {
		upTo := resp.Header.Revision // of a progress notification
		for mod, events := range revisions(resp.Events) {
			if upTo = mod; mod > to {
				break
			}
			if mod < w.from {
				continue
			}
			w.from = mod + 1
			if err := each(mod, events); err != nil {
				return err
			}
		}
		if upTo >= to {
			return errScanned
		}
		return nil
	}
	for n := 0; w.from <= to; n++ {
		err := l.watch(ctx, w)
		var broken *brokenError
		switch {
		case errors.Is(err, errScanned):
			return nil
		case !errors.As(err, &broken):
			return err
		}
		l.pause(ctx, backoff(n))
	}
	return nil
}

// revisions splits events by their revision. etcd keeps those of one together.
func revisions(events []*clientv3.Event) func(yield func(int64, []*clientv3.Event) bool) {
	return func(yield func(int64, []*clientv3.Event) bool) {
		for len(events) > 0 {
			mod, n := events[0].Kv.ModRevision, 1
			for n < len(events) && events[n].Kv.ModRevision == mod {
				n++
			}
			if !yield(mod, events[:n]) {
				return
			}
			events = events[n:]
		}
	}
}

// compacted returns etcd's oldest revision that can be read, once a read has said that there is one.
func (l *Log) compacted(ctx context.Context) (int64, error) {
	err := l.scan(ctx, keyRange{ownPrefix + "none", ""}, 1, 1, func(int64, []*clientv3.Event) error { return nil })
	var gone *compactedError
	if errors.As(err, &gone) {
		return gone.upTo, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read where etcd's history begins: %w", err)
	}
	return 0, nil
}
