package pebble

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floe-k8s/floe/internal/store"
)

// What is kept for those who follow, or begin to, without a gap. The bytes are of values.
const (
	recentAge   = 2 * time.Minute // longer than the 75 s that rings are refilled with
	recentBytes = 64 << 20
	recentRows  = 100_000

	pruneEvery = 10 * time.Second
	pruneRows  = 1024 // in one batch
)

// kept counts what the rows above recent and above floor keep on disk.
type kept struct {
	rows   int   // above recent
	recent int64 // bytes of values above recent
	// history is bytes of values that were replaced above floor and are there for history only.
	history int64
}

// enter counts a new row.
func (k *kept) enter(r *row) {
	k.rows++
	k.recent += int64(r.size)
	if !r.overMinor {
		k.history += int64(r.replaced)
	}
}

func (k *kept) add(o kept) {
	k.rows += o.rows
	k.recent += o.recent
	k.history += o.history
}

// pruner takes away what history need not keep. Its goroutine alone moves recent and floor.
type pruner struct {
	history     History
	compactions chan compaction
}

// compaction is one call of Compact.
type compaction struct {
	upTo store.Revision
	done chan error // one answer, buffered
}

// Compact drops what was replaced up to a revision; see store.History.
func (l *Log) Compact(ctx context.Context, rev store.Revision) error {
	c := compaction{rev, make(chan error, 1)}
	select {
	case l.pruner.compactions <- c:
	case <-l.stop:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("compact: goes on: %w", ctx.Err())
	}
}

// pruneLoop runs until Close.
func (l *Log) pruneLoop() {
	tick := l.clock.NewTicker(pruneEvery)
	defer tick.Stop()
	err := l.count()
	for {
		if err != nil && !errors.Is(err, store.ErrClosed) {
			l.fail(err)
		}
		select {
		case <-l.stop:
			return
		case <-tick.C():
			l.disk.reserve()
			err = errors.Join(l.prune(0), l.witness())
		case c := <-l.pruner.compactions:
			c.done <- l.compact(c.upTo)
			err = nil
		}
	}
}

// count finds out what an older part of history a log that was opened keeps. The newest part is counted by then.
func (l *Log) count() error {
	l.mu.Lock()
	recent, floor := l.mu.recent, l.mu.floor
	l.mu.Unlock()
	var found kept
	err := l.eachRow(floor, func(r *row) bool {
		if r.revision > recent {
			return false
		}
		if !r.overMinor {
			found.history += int64(r.replaced)
		}
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.kept.add(found)
	return err
}

// eachRow goes through the rows after a revision until f says false or the log is to stop.
func (l *Log) eachRow(after store.Revision, f func(*row) bool) (err error) {
	iter, err := l.db.NewIter(rowsAfter(after))
	if err != nil {
		return err
	}
	defer closeInto(&err, iter)
	for ok := iter.First(); ok; ok = iter.Next() {
		r, err := iterRow(iter)
		if err != nil {
			return err
		}
		select {
		case <-l.stop:
			return store.ErrClosed
		default:
		}
		if !f(&r) {
			break
		}
	}
	return iter.Error()
}

func (l *Log) compact(upTo store.Revision) error {
	l.mu.Lock()
	known := l.knownLocked()
	l.mu.Unlock()
	if upTo > known {
		return fmt.Errorf("compact up to %d: readers are at %d: %w", upTo, known, store.ErrFuture)
	}
	if err := l.prune(upTo); err != nil {
		return fmt.Errorf("compact up to %d: %w", upTo, err)
	}
	return nil
}

// prune takes away all that is over its limits, and what was replaced up to a revision in any case.
func (l *Log) prune(upTo store.Revision) error {
	now := l.clock.Now()
	for more := true; more; {
		var err error
		if more, err = l.forgetMinor(now, upTo); err != nil {
			return err
		}
	}
	for more := true; more; {
		var err error
		if more, err = l.forgetHistory(now, upTo); err != nil {
			return err
		}
	}
	l.mu.Lock()
	floor := min(upTo, l.mu.recent)
	l.mu.Unlock()
	// What upTo names may lie above the last row that was taken: the newest one stays.
	return l.raise("floor", floor)
}

// forgetMinor moves recent by one batch at most, and says whether there is more to do.
func (l *Log) forgetMinor(now time.Time, upTo store.Revision) (more bool, err error) {
	l.mu.Lock()
	left, at, known := l.mu.kept, l.mu.recent, l.knownLocked()
	l.mu.Unlock()
	batch := l.db.NewBatch()
	defer closeInto(&err, batch)
	n, gone := 0, kept{}
	var failed error
	err = l.eachRow(at, func(r *row) bool {
		over := left.rows > recentRows || left.recent > recentBytes || now.Sub(r.time) > recentAge
		if r.revision >= known || n == pruneRows || !over && r.revision > upTo {
			return false
		}
		n++
		at = r.revision
		left.rows--
		left.recent -= int64(r.size)
		gone.rows--
		gone.recent -= int64(r.size)
		if r.overMinor {
			failed = batch.Delete(versionKey(nil, r.key, r.previous), nil)
		}
		// Only what replaced something that is still there, or will be gone itself, has work left for forgetHistory.
		if !r.deleted && (r.overMinor || r.previous == 0) {
			failed = errors.Join(failed, batch.Delete(rowKey(r.revision), nil))
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil || n == 0 {
		return false, err
	}
	taken, err := l.take("recent", at, batch, gone)
	return !taken || n == pruneRows, err
}

// forgetHistory moves floor by one batch at most, and says whether there is more to do.
func (l *Log) forgetHistory(now time.Time, upTo store.Revision) (more bool, err error) {
	l.mu.Lock()
	left, at, recent := l.mu.kept, l.mu.floor, l.mu.recent
	l.mu.Unlock()
	batch := l.db.NewBatch()
	defer closeInto(&err, batch)
	n, gone, from := 0, kept{}, at
	var failed error
	err = l.eachRow(at, func(r *row) bool {
		over := left.history > l.pruner.history.Bytes || now.Sub(r.time) > l.pruner.history.Age
		if r.revision > recent || n == pruneRows || !over && r.revision > upTo {
			return false
		}
		n++
		at = r.revision
		if r.previous != 0 && !r.overMinor {
			left.history -= int64(r.replaced)
			gone.history -= int64(r.replaced)
			failed = batch.Delete(versionKey(nil, r.key, r.previous), nil)
		}
		if r.deleted {
			failed = errors.Join(failed, batch.Delete(versionKey(nil, r.key, r.revision), nil))
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil || n == 0 {
		return false, err
	}
	if err := batch.DeleteRange(rowKey(from+1), rowKey(at+1), nil); err != nil {
		return false, err
	}
	_, err = l.take("floor", at, batch, gone) // at or below recent, which no follower is below
	return n == pruneRows, err
}

// take raises a mark, first for readers and then on disk together with what goes. It returns false, and takes nothing away, when a
// follower that needs some of it has begun since it was looked for.
func (l *Log) take(name string, to store.Revision, batch *pebble.Batch, gone kept) (bool, error) {
	l.mu.Lock()
	if to > l.knownLocked() {
		l.mu.Unlock()
		return false, nil
	}
	switch name {
	case "recent":
		l.mu.recent = max(l.mu.recent, to)
	case "floor":
		l.mu.floor = max(l.mu.floor, to)
	}
	l.mu.kept.add(gone)
	l.mu.Unlock()
	if err := batch.Set(numberKey(name), encodeNumber(to), nil); err != nil {
		return true, err
	}
	// Not synced: it may happen again after a crash.
	return true, batch.Commit(pebble.NoSync)
}

// raise raises a mark when it is below.
func (l *Log) raise(name string, to store.Revision) (err error) {
	l.mu.Lock()
	floor := l.mu.floor
	l.mu.Unlock()
	if to <= floor {
		return nil
	}
	batch := l.db.NewBatch()
	defer closeInto(&err, batch)
	_, err = l.take(name, to, batch, kept{})
	return err
}
