package etcd

import (
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// assembler makes the log's transactions from etcd's events, revision after revision. It is used by one goroutine.
type assembler struct {
	log *Log
	// places has every object whose place is not 0, as of the last revision that was taken.
	places map[string]position
}

// crowdedError: a foreign transaction has more changes than there are revisions for them.
type crowdedError struct {
	mod     int64
	changes int
}

func (e *crowdedError) Error() string {
	return fmt.Sprintf("etcd's revision %d has %d changes by another program, at most %d can be told apart: %v", e.mod, e.changes, stride, store.ErrExpired)
}

// Unwrap returns ErrExpired.
func (e *crowdedError) Unwrap() error { return store.ErrExpired }

// take returns the records of etcd's revision mod, and of each the version that it replaced (nil: none). There may be no records.
func (a *assembler) take(mod int64, events []*clientv3.Event) ([]store.Record, []*mvccpb.KeyValue, error) {
	record := txnRecord{}
	own := false
	changes := make([]*clientv3.Event, 0, len(events))
	for _, e := range events {
		key := string(e.Kv.Key)
		switch {
		case key == txnKey && e.Type == mvccpb.Event_PUT:
			var err error
			if record, err = decodeTxn(e.Kv.Value); err != nil {
				return nil, nil, fmt.Errorf("%s at etcd's revision %d: %w", txnKey, mod, err)
			}
			own = true
		case key == baseKey && mod > a.log.baseMod:
			return nil, nil, fmt.Errorf("%s was written while the log was open: open it again", baseKey)
		case !strings.HasPrefix(key, ownPrefix):
			changes = append(changes, e)
		}
	}
	if !own {
		if len(changes) > stride {
			// Such as the end of a lease with many keys. Who loads the state anew needs no revisions for them.
			return nil, nil, &crowdedError{mod, len(changes)}
		}
		for _, e := range changes {
			record.keys = append(record.keys, txnRecordKey{key: string(e.Kv.Key), deleted: e.Type == mvccpb.Event_DELETE})
		}
	}
	return a.records(mod, &record, own, changes)
}

// records brings the changes, which are in the transaction's order, together with what it says of itself. A listed key without an event was
// deleted though it was absent.
func (a *assembler) records(mod int64, txn *txnRecord, own bool, changes []*clientv3.Event) ([]store.Record, []*mvccpb.KeyValue, error) {
	records := make([]store.Record, 0, len(txn.keys))
	replaced := make([]*mvccpb.KeyValue, 0, len(txn.keys))
	for i, k := range txn.keys {
		r := store.Record{
			Revision: a.log.revision(mod, i), Key: k.key, Time: txn.time, Actor: txn.actor, Cause: txn.cause, Minor: k.minor, Last: i == len(txn.keys)-1,
		}
		var previous *mvccpb.KeyValue
		if len(changes) > 0 && string(changes[0].Kv.Key) == k.key {
			var err error
			if previous, err = a.fill(&r, changes[0]); err != nil {
				return nil, nil, err
			}
			changes = changes[1:]
			a.move(&r, position{mod, i}, own)
		} else if !k.deleted {
			return nil, nil, fmt.Errorf("etcd's revision %d: %s names %s, which was not written: %w", mod, txnKey, k.key, errDamaged)
		}
		records = append(records, r)
		replaced = append(replaced, previous)
	}
	if len(changes) > 0 {
		return nil, nil, fmt.Errorf("etcd's revision %d: %s was written, which %s does not name: %w", mod, changes[0].Kv.Key, txnKey, errDamaged)
	}
	return records, replaced, nil
}

// fill takes value and previous revision from an event.
func (a *assembler) fill(r *store.Record, e *clientv3.Event) (previous *mvccpb.KeyValue, err error) {
	deleted := e.Type == mvccpb.Event_DELETE
	if previous = e.PrevKv; previous == nil && (deleted || e.Kv.Version > 1) {
		return nil, fmt.Errorf("%s at revision %d: the version before it has been compacted: %w", r.Key, r.Revision, store.ErrExpired)
	}
	if previous != nil {
		r.Previous = a.log.revision(previous.ModRevision, a.placeOf(r.Key, previous.ModRevision))
	}
	if !deleted {
		r.Value, err = a.log.open(e.Kv)
	}
	return previous, err
}

func (a *assembler) placeOf(key string, mod int64) int {
	if at, ok := a.places[key]; ok && at.mod == mod {
		return at.place
	}
	return a.log.foreign.of(key, mod)
}

// move notes where an object stands now.
func (a *assembler) move(r *store.Record, at position, own bool) {
	switch {
	case r.Value == nil:
		delete(a.places, r.Key)
		a.log.foreign.note(r.Key, position{})
	case own && at.place != 0:
		a.places[r.Key] = at
		a.log.foreign.note(r.Key, position{})
	case own:
		delete(a.places, r.Key)
		a.log.foreign.note(r.Key, position{})
	default:
		delete(a.places, r.Key)
		a.log.foreign.note(r.Key, at)
	}
}
