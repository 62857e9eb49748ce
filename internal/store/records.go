package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/floe-k8s/floe/internal/observe/trace"
)

// Store is a table over a whole log that can be written to. All methods may be called by any goroutine.
type Store struct {
	*Table
	log Log
}

// Open loads the table of a log; see OpenTable.
func Open(ctx context.Context, log Log, cfg Config) (*Store, error) {
	t, err := OpenTable(ctx, log, cfg)
	if err != nil {
		return nil, err
	}
	return &Store{Table: t, log: log}, nil
}

// Commit appends txn to the log and returns when the table shows it. Errors are those of Log.Append; when the wait
// ends early the transaction is durable and the error says so. After a conflict the table shows what was found.
func (s *Store) Commit(ctx context.Context, txn Txn) ([]Revision, error) {
	ctx, span := trace.Start(ctx, "Commit")
	defer span.End()
	if span.Recording() && len(txn.Changes) > 0 {
		span.Set("key", txn.Changes[0].Key)
	}
	revs, err := s.log.Append(ctx, txn)
	if err != nil {
		span.Fail(err)
		var conflict *ConflictError
		if errors.As(err, &conflict) {
			// Who computes again would lose again until then. A failed wait keeps the conflict: it is what happened.
			_ = s.Wait(ctx, max(conflict.At, conflict.Found))
		}
		return nil, err
	}
	span.Event("Synced")
	if err := s.Wait(ctx, revs[len(revs)-1]); err != nil {
		return revs, fmt.Errorf("committed, not yet visible: %w", err)
	}
	return revs, nil
}

// Head returns the newest state of key, unsynced included; false when it is absent there, and then the item's revision is that of an
// unsynced deletion, or 0. What rests on it must be written with a condition on its revision, and refused only after Wait for it.
func (s *Store) Head(key string) (Item, bool) {
	// The log first: a record leaves its head only after the table shows it.
	if r, ok := s.log.Head(key); ok {
		if r.Value == nil {
			return Item{Key: key, Revision: r.Revision}, false
		}
		// The table may have the very same item, with its cached forms.
		if item := s.Snapshot().Get(key); item != nil && item.Revision == r.Revision {
			return *item, true
		}
		return *s.newItem(key, r.Value, r.Revision), true
	}
	if item := s.Snapshot().Get(key); item != nil {
		return *item, true
	}
	return Item{}, false
}

// At calls each with what the keys in [from, to) were at a revision, in key order, until each says that it wants no more; to "" is the end. The newest
// state comes from the table, an older one from the log's history. It returns ErrExpired and ErrFuture as the log does, and each's error.
func (s *Store) At(ctx context.Context, rev Revision, from, to string, each func(*Item) (more bool, err error)) error {
	if now := s.Snapshot(); now.Revision() == rev {
		for item := range now.Ascend("", from) {
			if to != "" && item.Key >= to {
				break
			}
			if more, err := each(item); err != nil || !more {
				return err
			}
		}
		return nil
	}
	err := s.log.At(ctx, rev, from, to, func(r Record) error {
		more, err := each(s.newItem(r.Key, r.Value, r.Revision))
		if err == nil && !more {
			err = errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// errEnough ends a read that has what it wants.
var errEnough = errors.New("enough")

// Versions calls each with what history has of a key, from the newest to the oldest; see History. The item is nil for a deletion.
func (s *Store) Versions(ctx context.Context, key string, each func(Record, *Item) error) error {
	return s.log.Versions(ctx, key, func(r Record) error {
		var item *Item
		if r.Value != nil {
			item = s.newItem(r.Key, r.Value, r.Revision)
		}
		return each(r, item)
	})
}
