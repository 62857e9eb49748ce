package pebble

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// Follow hands over every durable transaction after a revision; see store.Source.
func (l *Log) Follow(ctx context.Context, after store.Revision, f store.Follower) error {
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
			err = applyAll(ctx, txns, after, f)
		case upTo > after:
			err = l.replay(ctx, after, upTo, f)
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
	case after < l.mu.recent:
		return store.ErrExpired
	}
	// From here on the pruner takes nothing away that this follower still needs.
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
		if err == nil && upTo > after && after >= l.mu.tail.after {
			txns = l.mu.tail.txns
			l.mu.tail = tail{after: upTo}
		}
		l.mu.Unlock()
		switch {
		case err != nil:
			return nil, 0, err
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

// applyTogether bounds the transactions that the follower takes in one step, so that the first ones do not wait for many.
const applyTogether = 256

func applyAll(ctx context.Context, txns [][]store.Record, after store.Revision, f store.Follower) error {
	for len(txns) > 0 && txns[0][0].Revision <= after {
		txns = txns[1:]
	}
	for part := range slices.Chunk(txns, applyTogether) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.Apply(part...); err != nil {
			return err
		}
	}
	return nil
}

// replay reads the transactions in (after, upTo] from disk.
func (l *Log) replay(ctx context.Context, after, upTo store.Revision, f store.Follower) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("follow after %d: %w", after, err)
		}
	}()
	rows, err := l.db.NewIter(rowsAfter(after))
	if err != nil {
		return err
	}
	defer closeInto(&err, rows)
	versions, err := newVersions(l, l.db)
	if err != nil {
		return err
	}
	defer closeInto(&err, versions)
	var txn []store.Record
	next := after + 1
	for ok := rows.First(); ok && next <= upTo; ok = rows.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := iterRow(rows)
		if err == nil && row.revision != next {
			err = fmt.Errorf("row %d is missing: %w", next, errCorrupt)
		}
		if err != nil {
			return err
		}
		next++
		record, err := versions.find(row.key, row.revision)
		if err != nil {
			return err
		}
		if txn = append(txn, record); record.Last {
			if err := f.Apply(txn); err != nil {
				return err
			}
			txn = nil
		}
	}
	return rows.Error()
}
