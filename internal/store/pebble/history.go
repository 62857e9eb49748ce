package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floe-k8s/floe/internal/store"
)

// Load calls each with every key's newest record; see store.Log. It may run beside writers.
func (l *Log) Load(ctx context.Context, each func(store.Record) error) (store.Revision, error) {
	if err := l.ended(); err != nil {
		return 0, err
	}
	snap := l.db.NewSnapshot()
	defer snap.Close()
	rev, err := lastRevision(snap)
	if err != nil {
		return 0, l.reading("load", err)
	}
	rev = max(rev, l.base)
	// The snapshot may hold records that are not yet synced. Nothing is visible before it is durable.
	if rev > l.durable() {
		if _, err := l.submit(ctx, &request{}); err != nil {
			return 0, l.reading("load", err)
		}
	}
	err = l.states(ctx, snap, rev, "", "", func(v, _ *version) error {
		if v.Value == nil {
			return nil
		}
		return each(v.Record)
	})
	if err != nil {
		return 0, l.reading("load", err)
	}
	return rev, nil
}

// At reads a past state; see store.History.
func (l *Log) At(ctx context.Context, rev store.Revision, from, to string, each func(store.Record) error) error {
	if err := l.ended(); err != nil {
		return err
	}
	snap := l.db.NewSnapshot()
	defer snap.Close()
	l.mu.Lock()
	durable, floor := l.mu.durable, l.mu.floor
	l.mu.Unlock()
	switch {
	case rev > durable:
		return fmt.Errorf("read at revision %d: the log is at %d: %w", rev, durable, store.ErrFuture)
	case rev < floor:
		return fmt.Errorf("read at revision %d: history begins at %d: %w", rev, floor, store.ErrExpired)
	}
	err := l.states(ctx, snap, rev, from, to, func(v, next *version) error {
		if next.replacesUnknown(v, rev) {
			return fmt.Errorf("read %s at revision %d: its version was not kept: %w", next.Key, rev, store.ErrExpired)
		}
		if v.Value == nil {
			return nil
		}
		return each(v.Record)
	})
	if err != nil {
		return l.reading("read the past", err)
	}
	return nil
}

// replacesUnknown says that between v, the newest version at or below rev that is there, and the version next after it there was another
// one at or below rev. A next of revision 0 is none: v is the newest.
func (next *version) replacesUnknown(v *version, rev store.Revision) bool {
	if next.Revision == 0 || next.Previous == 0 || next.Previous == v.Revision {
		return false
	}
	return next.gap == 0 || next.gap <= rev
}

// Versions reads the kept records of one key; see store.History.
func (l *Log) Versions(ctx context.Context, key string, each func(store.Record) error) (err error) {
	if err := l.ended(); err != nil {
		return err
	}
	durable := l.durable()
	iter, err := l.db.NewIter(&pebble.IterOptions{LowerBound: keyStart(nil, key), UpperBound: keyEnd(key)})
	if err != nil {
		return l.reading("versions of "+key, err)
	}
	defer closeInto(&err, iter)
	for ok := iter.First(); ok; ok = iter.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, err := l.iterVersion(iter)
		if err != nil {
			return l.reading("versions of "+key, err)
		}
		if v.Revision > durable {
			continue
		}
		if err := each(v.Record); err != nil {
			return err
		}
	}
	return iter.Error()
}

// Recent reads the newest changes back from disk; see store.Source.
func (l *Log) Recent(ctx context.Context, upTo store.Revision, window store.Window, each func(record, replaced store.Record) error) (from store.Revision, err error) {
	if err := l.ended(); err != nil {
		return 0, err
	}
	snap := l.db.NewSnapshot()
	defer snap.Close()
	rows, from, err := l.recentRows(snap, upTo, window)
	if err != nil || len(rows) == 0 {
		return from, err
	}
	versions, err := newVersions(l, snap)
	if err != nil {
		return 0, err
	}
	defer closeInto(&err, versions)
	for i := len(rows) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		record, replaced, err := versions.pair(&rows[i])
		if err == nil {
			err = each(record, replaced)
		}
		if err != nil {
			return 0, l.reading("read the newest records", err)
		}
	}
	return from, nil
}

// recentRows returns the rows in (from, upTo], the newest first. They begin where a transaction does.
func (l *Log) recentRows(db reader, upTo store.Revision, window store.Window) (rows []row, from store.Revision, err error) {
	// After the snapshot was taken: rows above recent are complete in it.
	l.mu.Lock()
	recent := l.mu.recent
	l.mu.Unlock()
	iter, err := db.NewIter(rowsAfter(recent))
	if err != nil {
		return nil, 0, err
	}
	defer closeInto(&err, iter)
	left := window.Bytes
	whole := 0 // of the rows, those that are whole transactions
	ok := iter.SeekLT(rowKey(upTo + 1))
	for ; ok; ok = iter.Prev() {
		r, err := iterRow(iter)
		if err != nil {
			return nil, 0, err
		}
		if r.last {
			whole = len(rows)
		}
		if left -= int64(r.size + r.replaced); left < 0 || r.time.Before(window.Since) {
			break
		}
		rows = append(rows, r)
	}
	// All of what is kept was taken: the oldest row begins a transaction only where the log begins.
	if !ok && recent == l.base {
		whole = len(rows)
	}
	rows = rows[:whole]
	if whole == 0 {
		return nil, upTo, iter.Error()
	}
	return slices.Clip(rows), rows[whole-1].revision - 1, iter.Error()
}

// versions finds single versions.
type versions struct {
	*pebble.Iterator
	log *Log
	buf []byte // of the key sought
}

func newVersions(l *Log, db reader) (*versions, error) {
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{versionPrefix}, UpperBound: []byte{versionPrefix + 1}})
	return &versions{Iterator: iter, log: l}, err
}

// find returns a version that has to be there.
func (v *versions) find(key string, rev store.Revision) (store.Record, error) {
	v.buf = versionKey(v.buf[:0], key, rev)
	if !v.SeekGE(v.buf) || !bytes.Equal(v.Key(), v.buf) {
		return store.Record{}, errors.Join(v.Error(), fmt.Errorf("version %d of %q is missing: %w", rev, key, errCorrupt))
	}
	found, err := v.log.iterVersion(v.Iterator)
	return found.Record, err
}

// pair returns a row's record and what it replaced.
func (v *versions) pair(r *row) (record, replaced store.Record, err error) {
	if record, err = v.find(r.key, r.revision); err == nil && r.previous != 0 {
		replaced, err = v.find(r.key, r.previous)
	}
	return record, replaced, err
}
