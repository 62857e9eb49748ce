package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// Versions reads the kept records of one key; see store.History. It walks from version to version, since each says where
// the one before it was; a deletion says so of itself in etcd's events only, so these are read first. What cannot be known: of the oldest
// version that is kept, which one it replaced, and, when etcd was compacted after it was written, who wrote it; and a deletion before that.
func (l *Log) Versions(ctx context.Context, key string, each func(store.Record) error) error {
	ctx, leave, err := l.read(ctx)
	if err == nil {
		defer leave()
		err = l.versions(ctx, key, each)
	}
	if err != nil {
		return fmt.Errorf("versions of %s: %w", key, err)
	}
	return nil
}

func (l *Log) versions(ctx context.Context, key string, each func(store.Record) error) error {
	if err := checkKey(key); err != nil {
		return err
	}
	head, err := l.heads.do(ctx, 0)
	if err != nil {
		return err
	}
	deletions, err := l.deletions(ctx, key, head)
	if err != nil {
		return err
	}
	now, err := l.reads(ctx, objectAt(key, head))
	if err != nil {
		return err
	}
	at, err := l.versionIn(key, now, deletions, head)
	for err == nil && at.mod != 0 {
		var older *version
		if older, err = l.step(ctx, at, deletions); err == nil {
			err = each(at.record)
			at = older
		}
	}
	return err
}

// version is one record of a key and its ModRevision; 0: there is none.
type version struct {
	mod    int64
	record store.Record
}

// versionIn is the newest version of a key at etcd's revision upTo, where found was read.
func (l *Log) versionIn(key string, found []*etcdserverpb.RangeResponse, deletions []int64, upTo int64) (*version, error) {
	record, exists, err := l.object(key, found[0], found[1])
	if err != nil {
		return nil, err
	}
	if exists {
		return &version{found[0].Kvs[0].ModRevision, record}, nil
	}
	for i := len(deletions) - 1; i >= 0; i-- {
		if mod := deletions[i]; mod <= upTo {
			return &version{mod, store.Record{Revision: l.revision(mod, l.foreign.of(key, mod)), Key: key}}, nil
		}
	}
	return &version{}, nil
}

// step completes v with what its transaction says, and returns the version before it.
func (l *Log) step(ctx context.Context, v *version, deletions []int64) (*version, error) {
	ops := []clientv3.Op{clientv3.OpGet(txnKey, clientv3.WithRev(v.mod))}
	if v.mod > 1 {
		ops = append(ops, objectAt(v.record.Key, v.mod-1)...)
	}
	found, err := l.reads(ctx, ops)
	if errors.Is(err, store.ErrExpired) { // the oldest one, or nearly
		if found, err = l.reads(ctx, ops[:1]); errors.Is(err, store.ErrExpired) {
			return &version{}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if err := l.attribute(v, found[0]); err != nil || len(found) == 1 {
		return &version{}, err
	}
	older, err := l.versionIn(v.record.Key, found[1:], deletions, v.mod-1)
	if err == nil && older.record.Value != nil {
		v.record.Previous = older.record.Revision
	}
	return older, err
}

// attribute takes actor, cause, time and place from the transaction key as it was at the version.
func (l *Log) attribute(v *version, found *etcdserverpb.RangeResponse) error {
	if len(found.Kvs) == 0 || found.Kvs[0].ModRevision != v.mod {
		return nil // a foreign write
	}
	txn, err := decodeTxn(found.Kvs[0].Value)
	if err != nil {
		return fmt.Errorf("%s at etcd's revision %d: %w", txnKey, v.mod, err)
	}
	place := txn.place(v.record.Key)
	if place < 0 {
		return fmt.Errorf("etcd's revision %d: %s does not name %s: %w", v.mod, txnKey, v.record.Key, errDamaged)
	}
	r := &v.record
	r.Revision, r.Minor, r.Last = l.revision(v.mod, place), txn.keys[place].minor, place == len(txn.keys)-1
	r.Actor, r.Cause, r.Time = txn.actor, txn.cause, txn.time
	return nil
}

// deletions returns where a key was deleted, in order, as far as etcd's history goes.
func (l *Log) deletions(ctx context.Context, key string, upTo int64) ([]int64, error) {
	for from := int64(1); ; {
		var mods []int64
		err := l.scan(ctx, keyRange{key, ""}, from, upTo, func(mod int64, _ []*clientv3.Event) error {
			mods = append(mods, mod)
			return nil
		}, clientv3.WithFilterPut())
		var gone *compactedError
		if !errors.As(err, &gone) || gone.upTo < from {
			return mods, err
		}
		from = gone.upTo + 1
	}
}
