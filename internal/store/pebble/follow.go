package pebble

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floe-k8s/floe/internal/store"
)

// tailBytes bounds what is held in memory for a follower that is behind; beyond it the follower reads from disk.
const tailBytes = 8 << 20

// tail holds the durable transactions after a revision that the follower has not yet taken.
type tail struct {
	after store.Revision
	txns  [][]store.Record
	bytes int
}

func (t *tail) add(txns [][]store.Record, last store.Revision) {
	for _, txn := range txns {
		for i := range txn {
			t.bytes += len(txn[i].Key) + len(txn[i].Value)
		}
	}
	if t.bytes > tailBytes {
		*t = tail{after: last}
		return
	}
	t.txns = append(t.txns, txns...)
}

// Load calls each with every key's newest record; see store.Log. It may run beside writers.
func (l *Log) Load(ctx context.Context, each func(store.Record) error) (store.Revision, error) {
	l.mu.Lock()
	err := l.endedLocked()
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	snap := l.db.NewSnapshot()
	defer snap.Close()
	rev, err := lastRevision(snap)
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	// The snapshot may hold records that are not yet synced. Nothing is visible before it is durable.
	l.mu.Lock()
	durable := l.mu.durable
	l.mu.Unlock()
	if rev > durable {
		if _, err := l.submit(ctx, store.Txn{}); err != nil {
			return 0, fmt.Errorf("load: %w", err)
		}
	}
	return rev, loadObjects(ctx, snap, each)
}

func lastRevision(snap *pebble.Snapshot) (store.Revision, error) {
	iter, err := snap.NewIter(recordRange(0))
	if err != nil {
		return 0, err
	}
	defer iter.Close()
	if !iter.Last() {
		return 0, iter.Error()
	}
	return iterRevision(iter)
}

func loadObjects(ctx context.Context, snap *pebble.Snapshot, each func(store.Record) error) error {
	iter, err := snap.NewIter(&pebble.IterOptions{LowerBound: []byte{objectPrefix}, UpperBound: []byte{objectPrefix + 1}})
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := string(iter.Key()[1:])
		r, err := decodeIter(iter)
		if err == nil && (r.Key != key || r.Value == nil) {
			err = fmt.Errorf("found a record of key %q: %w", r.Key, errCorrupt)
		}
		if err != nil {
			return fmt.Errorf("load %q: %w", key, err)
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return iter.Error()
}

// Follow hands over every durable transaction after a revision; see store.Log.
func (l *Log) Follow(ctx context.Context, after store.Revision, apply func(txn []store.Record) error) error {
	if err := l.beginFollow(after); err != nil {
		return fmt.Errorf("follow after %d: %w", after, err)
	}
	defer l.endFollow()
	for {
		txns, upTo, err := l.nextTxns(ctx, after)
		if err != nil {
			return err
		}
		switch {
		case txns != nil:
			err = applyAll(ctx, txns, after, apply)
		case upTo > after:
			err = l.replay(ctx, after, upTo, apply)
		}
		if err != nil {
			return err
		}
		after = upTo
		l.mu.Lock()
		l.mu.applied = after
		l.forgetLocked()
		l.mu.Unlock()
	}
}

func (l *Log) beginFollow(after store.Revision) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.endedLocked() != nil:
		return l.endedLocked()
	case l.mu.following:
		return errors.New("there is a follower already")
	case after > l.mu.durable:
		return store.ErrFuture
	case after < l.mu.floor:
		return store.ErrExpired
	}
	l.mu.following = true
	l.mu.applied = after
	l.mu.tail = tail{after: l.mu.durable}
	return nil
}

func (l *Log) endFollow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.following = false
	l.mu.tail = tail{}
	l.forgetLocked()
}

// nextTxns waits until there is something after a revision. It returns the transactions up to upTo, or nil when
// they have to be read from disk.
func (l *Log) nextTxns(ctx context.Context, after store.Revision) (txns [][]store.Record, upTo store.Revision, err error) {
	for {
		l.mu.Lock()
		upTo, err = l.mu.durable, l.endedLocked()
		floor := l.mu.floor
		if err == nil && upTo > after && after >= l.mu.tail.after {
			txns = l.mu.tail.txns
			l.mu.tail = tail{after: upTo}
		}
		l.mu.Unlock()
		switch {
		case err != nil:
			return nil, 0, err
		case txns == nil && after < floor:
			return nil, 0, fmt.Errorf("follow after %d: %w", after, store.ErrExpired)
		case upTo > after:
			return txns, upTo, nil
		}
		select {
		case <-l.moved:
		case <-l.stop:
			return nil, 0, store.ErrClosed
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func applyAll(ctx context.Context, txns [][]store.Record, after store.Revision, apply func([]store.Record) error) error {
	for _, txn := range txns {
		if err := ctx.Err(); err != nil {
			return err
		}
		if txn[0].Revision <= after {
			continue
		}
		if err := apply(txn); err != nil {
			return err
		}
	}
	return nil
}

// replay reads the transactions in (after, upTo] from disk.
func (l *Log) replay(ctx context.Context, after, upTo store.Revision, apply func([]store.Record) error) error {
	iter, err := l.db.NewIter(recordRange(after))
	if err != nil {
		return fmt.Errorf("follow after %d: %w", after, err)
	}
	defer iter.Close()
	var txn []store.Record
	next := after + 1
	for ok := iter.First(); ok && next <= upTo; ok = iter.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := iterRecord(iter)
		if err == nil && r.Revision != next {
			err = fmt.Errorf("record %d is missing: %w", next, store.ErrExpired)
		}
		if err != nil {
			return fmt.Errorf("follow after %d: %w", after, err)
		}
		next++
		if txn = append(txn, r); r.Last {
			if err := apply(txn); err != nil {
				return err
			}
			txn = nil
		}
	}
	return iter.Error()
}
