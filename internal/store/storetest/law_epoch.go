package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/backup"
)

// epoch is the time from one opening of log and table to the next.
type epoch struct {
	log    store.Log
	faulty *faulty
	table  *store.Store
	cancel context.CancelFunc // of the table's Run
	ended  chan error         // what Run returned
	over   chan struct{}      // closed when another epoch has begun
	closed bool               // by the round
}

// currentEpoch is read by all goroutines.
type currentEpoch struct{ p atomic.Pointer[epoch] }

func (c *currentEpoch) get() *epoch { return c.p.Load() }

// faulty is a log that can make its follower load again, as one does that has dropped what comes next.
type faulty struct {
	store.Log
	// fail is closed when the follower may go on after the failure; nil: none is to come. The next Apply takes it.
	fail atomic.Pointer[chan struct{}]
}

// interrupt lets the next Apply fail, and the follower stand until the function that is returned is called, once.
func (f *faulty) interrupt() (release func()) {
	c := make(chan struct{})
	f.fail.Store(&c)
	return func() { close(c) }
}

// Follow is the log's, until it is interrupted.
func (f *faulty) Follow(ctx context.Context, after store.Revision, to store.Follower) error {
	i := &interrupted{Follower: to, log: f}
	err := f.Log.Follow(ctx, after, i)
	if i.until == nil {
		return err
	}
	select {
	case <-*i.until:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

type interrupted struct {
	store.Follower
	log   *faulty
	until *chan struct{} // nil: not yet
}

// Apply hands over all but the last transaction, when it is to fail.
func (i *interrupted) Apply(txns ...[]store.Record) error {
	if i.until = i.log.fail.Swap(nil); i.until == nil {
		return i.Follower.Apply(txns...)
	}
	if n := len(txns) - 1; n > 0 {
		if err := i.Follower.Apply(txns[:n]...); err != nil {
			return err
		}
	}
	return fmt.Errorf("made up by the test: %w", store.ErrExpired)
}

// open begins an epoch; the one before it is over.
func (r *round) open() error {
	log, err := r.place.Open()
	if err != nil {
		return err
	}
	e := &epoch{log: log, faulty: &faulty{Log: log}, ended: make(chan error, 1), over: make(chan struct{})}
	e.table, err = store.Open(r.ctx, e.faulty, store.Config{Collections: collections, Clock: r.place.Clock, RingBytes: ringBytes})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	var ctx context.Context
	ctx, e.cancel = context.WithCancel(context.Background())
	go func() { e.ended <- e.table.Run(ctx) }()
	if before := r.now.p.Swap(e); before != nil {
		close(before.over)
	}
	return nil
}

// close ends log and table, in either order, unless it has been done.
func (r *round) close(logFirst bool) error {
	e := r.now.get()
	if e.closed {
		return nil
	}
	e.closed = true
	var closing error
	if logFirst {
		closing = e.log.Close()
	}
	e.cancel()
	if err := <-e.ended; !errors.Is(err, context.Canceled) && !(logFirst && errors.Is(err, store.ErrClosed)) {
		closing = errors.Join(closing, fmt.Errorf("table: %w", err))
	}
	if !logFirst {
		closing = errors.Join(closing, e.log.Close())
	}
	return closing
}

func (r *round) reopen(*writer) error {
	r.tally.add("opened again", 1)
	if err := r.close(r.rng.IntN(2) == 0); err != nil {
		return err
	}
	return r.open()
}

// missed is how many transactions a table misses before it loads again.
const missed = 12

// reload lets the table miss transactions. Half of the time history is cut while the table finds its place again.
func (r *round) reload(w *writer) error {
	r.advance()
	r.tally.add("loaded again", 1)
	e := r.now.get()
	release := e.faulty.interrupt()
	var err error
	for n := 0; n < missed && err == nil; n++ {
		_, err = w.append(e, w.txn(e))
	}
	release()
	if err == nil && r.rng.IntN(2) == 0 {
		err = r.cut(r.past.newest())
	}
	return err
}

func (r *round) compact(*writer) error {
	r.advance()
	r.tally.add("compactions", 1)
	return r.cut(r.past.any(r.rng))
}

func (r *round) cut(upTo store.Revision) error {
	err := r.now.get().log.Compact(r.ctx, upTo)
	if errors.Is(err, store.ErrFuture) {
		return nil // acknowledged, and on its way to the follower
	}
	return err
}

// advance lets some time pass, so that events and history become old.
func (r *round) advance() {
	if r.place.Advance != nil {
		r.place.Advance(time.Duration(r.rng.IntN(40)) * time.Second)
	}
}

// saved is a snapshot that was made while writers wrote.
type saved struct {
	summary backup.Summary
	file    []byte
}

func (r *round) save(*writer) error {
	var file bytes.Buffer
	summary, err := backup.Save(r.ctx, r.now.get().log, &file, backup.Options{Version: "test", Time: time.Unix(1_700_000_000, 0)})
	r.saved = &saved{summary, file.Bytes()}
	return err
}

// restore loses the log and makes another one from the snapshot. The watchers do not know of it.
func (r *round) restore() error {
	r.tally.add("restores", 1)
	told, err := r.past.settle()
	if err != nil {
		return err
	}
	if err := r.close(true); err != nil {
		return err
	}
	base := r.saved.summary.Revision + store.RevisionLeap
	r.place = r.place.Restored(r.T, base)
	if err := r.fill(); err != nil {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	now := r.now.get().table.Snapshot()
	r.past = newPast(now)
	if err := r.compareRestored(told, now, base); err != nil {
		return fmt.Errorf("restored from revision %d: %w", r.saved.summary.Revision, err)
	}
	return nil
}

func (r *round) fill() error {
	log, err := r.place.Open()
	if err != nil {
		return err
	}
	_, err = backup.Restore(r.ctx, bytes.NewReader(r.saved.file), log, backup.Sealing{})
	return errors.Join(err, log.Close())
}

// compareRestored holds the new log against what the old one was at the snapshot.
func (r *round) compareRestored(old *chronicle, now *store.Snapshot, base store.Revision) error {
	want := old.state(r.saved.summary.Revision)
	for item := range now.Ascend("", "") {
		if was, ok := want[item.Key]; !ok || !bytes.Equal(was.Value, item.Value()) {
			return fmt.Errorf("%s is %.20q, was %.20q (there: %v)", item.Key, item.Value(), was.Value, ok)
		}
		if item.Revision <= base || item.Revision <= old.end() {
			return fmt.Errorf("%s is at revision %d, not above %d and %d", item.Key, item.Revision, base, old.end())
		}
		delete(want, item.Key)
	}
	for key := range want {
		return fmt.Errorf("%s is missing", key)
	}
	for _, rev := range []store.Revision{0, r.saved.summary.Revision, old.end()} {
		if _, err := r.now.get().watch(scopes[0], rev); !isExpired(err) {
			return fmt.Errorf("a watch after revision %d of the old log: got %v, want %v", rev, err, store.ErrExpired)
		}
		err := r.now.get().log.At(r.ctx, rev, "", "", func(store.Record) error { return nil })
		if !isExpired(err) && rev != 0 {
			return fmt.Errorf("a list at revision %d of the old log: got %v, want %v", rev, err, store.ErrExpired)
		}
	}
	return nil
}

func isExpired(err error) bool { return errors.Is(err, store.ErrExpired) }
