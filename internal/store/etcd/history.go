package etcd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// At reads a past state; see store.History. Records come as Load's do. A revision inside a transaction is read as
// etcd's state after it, with the records above the place taken from the state before.
func (l *Log) At(ctx context.Context, rev store.Revision, from, to string, each func(store.Record) error) error {
	ctx, leave, err := l.read(ctx)
	if err == nil {
		defer leave()
		err = l.at(ctx, rev, from, to, each)
	}
	if err != nil {
		return fmt.Errorf("read at revision %d: %w", rev, err)
	}
	return nil
}

func (l *Log) at(ctx context.Context, rev store.Revision, from, to string, each func(store.Record) error) error {
	at, err := l.positionOf(rev)
	if err != nil {
		return err
	}
	if at.mod == 0 { // before everything; to etcd it would mean the newest
		return nil
	}
	later, err := l.later(ctx, at)
	if err != nil {
		return err
	}
	for _, r := range objects(from, to) {
		before, err := l.before(ctx, at.mod, r, later)
		if err != nil {
			return err
		}
		if err := l.stateIn(ctx, at.mod, r, before, each); err != nil {
			return err
		}
	}
	return nil
}

// later returns the keys that were changed in at's transaction above its place. It also finds out whether the revision can be read.
func (l *Log) later(ctx context.Context, at position) ([]string, error) {
	resp, err := l.get(ctx, txnKey, clientv3.WithRev(at.mod))
	if err != nil || at.place == lastPlace {
		return nil, err
	}
	var keys []string
	if len(resp.Kvs) > 0 && resp.Kvs[0].ModRevision == at.mod {
		txn, err := decodeTxn(resp.Kvs[0].Value)
		if err != nil {
			return nil, fmt.Errorf("%s at etcd's revision %d: %w", txnKey, at.mod, err)
		}
		for _, k := range txn.keys {
			keys = append(keys, k.key)
		}
	} else {
		// A foreign transaction: its order is known to etcd's events only.
		err := l.scan(ctx, everything, at.mod, at.mod, func(_ int64, events []*clientv3.Event) error {
			for _, e := range events {
				if key := string(e.Kv.Key); !strings.HasPrefix(key, ownPrefix) {
					keys = append(keys, key)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return keys[min(at.place+1, len(keys)):], nil
}

// earlier is an object before a transaction: the record of it, or none when it was absent.
type earlier struct {
	key    string
	exists bool
	record store.Record
}

// before reads the keys of a range before etcd's revision mod; they come sorted.
func (l *Log) before(ctx context.Context, mod int64, r keyRange, keys []string) ([]earlier, error) {
	var found []earlier
	var ops []clientv3.Op
	for _, key := range keys {
		if key >= r.from && key < r.to {
			found = append(found, earlier{key: key})
		}
	}
	if mod == 1 || len(found) == 0 { // before 1 there is nothing; to etcd 0 would mean the newest
		return found, nil
	}
	slices.SortFunc(found, func(a, b earlier) int { return strings.Compare(a.key, b.key) })
	for i := range found {
		ops = append(ops, objectAt(found[i].key, mod-1)...)
	}
	kvs, err := l.reads(ctx, ops)
	if err != nil {
		return nil, err
	}
	for i := range found {
		e := &found[i]
		if e.record, e.exists, err = l.object(e.key, kvs[2*i], kvs[2*i+1]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// stateIn calls each with a range at etcd's revision mod, but for what before says.
func (l *Log) stateIn(ctx context.Context, mod int64, r keyRange, before []earlier, each func(store.Record) error) error {
	places, err := l.placesIn(ctx, r, mod)
	if err != nil {
		return err
	}
	state := state{log: l, mod: mod, places: places}
	// give hands over what stood before the transaction, up to key, and says whether key was among it.
	give := func(key string) (bool, error) {
		for len(before) > 0 && (key == "" || before[0].key <= key) {
			e := before[0]
			before = before[1:]
			if e.exists {
				if err := each(e.record); err != nil {
					return false, err
				}
			}
			if e.key == key {
				return true, nil
			}
		}
		return false, nil
	}
	err = l.pages(ctx, r, mod, func(kv *mvccpb.KeyValue) error {
		replaced, err := give(string(kv.Key))
		if err != nil || replaced {
			return err
		}
		record, err := state.record(kv)
		if err != nil {
			return err
		}
		return each(record)
	})
	if err != nil {
		return err
	}
	_, err = give("")
	return err
}

// objectAt reads an object and its place at one of etcd's revisions.
func objectAt(key string, mod int64) []clientv3.Op {
	return []clientv3.Op{clientv3.OpGet(key, clientv3.WithRev(mod)), clientv3.OpGet(placeRoot+key, clientv3.WithRev(mod))}
}

// object makes a record of what objectAt read; false: the object was absent.
func (l *Log) object(key string, object, place *etcdserverpb.RangeResponse) (store.Record, bool, error) {
	if len(object.Kvs) == 0 {
		return store.Record{}, false, nil
	}
	rev, err := l.found(key, object.Kvs, place.Kvs)
	if err != nil {
		return store.Record{}, false, err
	}
	value, err := l.open(object.Kvs[0])
	return store.Record{Revision: rev, Key: key, Value: value}, true, err
}

// reads carries out many reads, as few requests as etcd's limit allows.
func (l *Log) reads(ctx context.Context, ops []clientv3.Op) ([]*etcdserverpb.RangeResponse, error) {
	var found []*etcdserverpb.RangeResponse
	for n := 0; len(ops) > 0; {
		some := ops[:min(len(ops), txnOps)]
		resp, err := l.client.Txn(ctx).Then(some...).Commit()
		switch {
		case err == nil:
			for _, r := range resp.Responses {
				found = append(found, r.GetResponseRange())
			}
			ops, n = ops[len(some):], 0
			continue
		case answered(err) || ctx.Err() != nil:
			return nil, fmt.Errorf("read %s and more: %w", some[0].KeyBytes(), translate(ended(ctx, err)))
		}
		l.pause(ctx, backoff(n))
		n++
	}
	return found, nil
}
