package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// txnOps is the least --max-txn-ops that is counted on, etcd's default. It bounds each of comparisons, operations, and operations otherwise, and with a
// nested transaction what that one has is added to the most of these.
const txnOps = 128

var (
	// errFenced: the fence has been moved since it was seen last. Nothing was written, and the new fence is known.
	errFenced = errors.New("fence has moved")
	// errRead: etcd refused the transaction, and what it said of the reason cannot be read. Nothing was written.
	errRead = errors.New("conditions cannot be read")
)

// request is one transaction of the log in etcd's terms.
type request struct {
	id         identity
	txn        *store.Txn
	conditions []clientv3.Cmp
	writes     []clientv3.Op
	finds      []clientv3.Op // otherwise: what each condition's key is at, and its place
	since      int64         // etcd's revision is at least this before the first try
}

// Append commits txn; see store.Writer and, for lost answers, the package comment. When ctx ends while the outcome is not
// known, the error wraps ErrUnknownOutcome too.
func (l *Log) Append(ctx context.Context, txn store.Txn) ([]store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	r, err := l.prepare(&txn)
	if err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	ctx, leave, err := l.enter(ctx, l.writing, &l.calls)
	if err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	defer leave()
	revs, err := l.commit(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("append %s: %w", txn.Changes[0].Key, err)
	}
	return revs, nil
}

// commit tries until there is an answer.
func (l *Log) commit(ctx context.Context, r *request) ([]store.Revision, error) {
	for n := 0; ; n++ {
		resp, err := l.try(ctx, r)
		switch {
		case err == nil:
			return l.revisions(r, resp.Header.Revision), nil
		case errors.Is(err, errFenced):
			continue
		case errors.Is(err, rpctypes.ErrNoSpace) && r.txn.Deletes():
			return l.deleteWhenFull(ctx, r)
		case errors.Is(err, rpctypes.ErrTooManyRequests) && ctx.Err() == nil: // etcd lags behind its own log, and has not taken it
			l.pause(ctx, backoff(n))
			continue
		case answered(err) || errors.Is(err, store.ErrConflict) || errors.Is(err, errRead):
			return nil, translate(err)
		}
		mod, err := l.settle(ctx, r, err)
		if err != nil {
			return nil, err
		}
		if mod != 0 {
			return l.revisions(r, mod), nil
		}
		l.pause(ctx, backoff(n))
	}
}

func (l *Log) revisions(r *request, mod int64) []store.Revision {
	revs := make([]store.Revision, len(r.txn.Changes))
	for i := range revs {
		revs[i] = l.revision(mod, i)
	}
	return revs
}

// try sends the transaction once and returns etcd's answer when it was committed. Errors of etcd are returned as they are.
func (l *Log) try(ctx context.Context, r *request) (*clientv3.TxnResponse, error) {
	fence := l.fence.Load()
	conditions := append([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(fenceKey), "=", fence)}, r.conditions...)
	finds := append([]clientv3.Op{clientv3.OpGet(fenceKey, clientv3.WithKeysOnly())}, r.finds...)
	writes := r.writes
	if max(len(writes), len(finds)) > txnOps {
		writes, finds = folded(writes, len(conditions)), folded(finds, len(conditions))
	}
	resp, err := l.client.Txn(ctx).If(conditions...).Then(writes...).Else(finds...).Commit()
	if err != nil {
		return nil, err
	}
	l.see(resp.Header.Revision)
	if resp.Succeeded {
		return resp, nil
	}
	found := unfolded(nil, resp.Responses)
	fenced := fenceOf(found[0].GetResponseRange().Kvs)
	l.learnFence(fenced)
	conflict, err := l.conflict(r.txn.Conditions, found[1:], resp.Header.Revision)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errRead, err)
	case conflict != nil:
		return nil, conflict
	case fenced == fence:
		return nil, fmt.Errorf("%w: etcd refused conditions that hold at its revision %d", errRead, resp.Header.Revision)
	}
	return nil, errFenced
}

// folded nests operations that are too many for one transaction of etcd's into transactions without conditions, with what its limit leaves to
// these. The effect is the same: one transaction, one revision, the operations in their order.
func folded(ops []clientv3.Op, comparisons int) []clientv3.Op {
	room := max(txnOps-max(comparisons, 2*txnOps/16), txnOps/16)
	var nested []clientv3.Op
	for some := range slices.Chunk(ops, room) {
		nested = append(nested, clientv3.OpTxn(nil, some, nil))
	}
	return nested
}

// unfolded appends the answers to operations that may have been folded.
func unfolded(to, responses []*etcdserverpb.ResponseOp) []*etcdserverpb.ResponseOp {
	for _, r := range responses {
		if nested := r.GetResponseTxn(); nested != nil {
			to = unfolded(to, nested.Responses)
		} else {
			to = append(to, r)
		}
	}
	return to
}

// prepare checks txn and writes it out.
func (l *Log) prepare(txn *store.Txn) (*request, error) {
	if err := txn.Check(); err != nil {
		return nil, err
	}
	r := &request{id: identity{l.writer, l.counter.Add(1)}, txn: txn, since: l.seen.Load()}
	for _, c := range txn.Conditions {
		if err := checkKey(c.Key); err != nil {
			return nil, err
		}
		r.conditions = append(r.conditions, l.condition(c)...)
		r.finds = append(r.finds, clientv3.OpGet(c.Key, clientv3.WithKeysOnly()), clientv3.OpGet(placeRoot+c.Key))
	}
	if n := len(r.conditions); n >= txnOps {
		return nil, fmt.Errorf("%w: %d conditions take %d comparisons, etcd's --max-txn-ops is %d", store.ErrTooLarge, len(txn.Conditions), n+1, txnOps)
	}
	record := txnRecord{id: r.id, time: l.clock.Now(), actor: txn.Actor, cause: txn.Cause}
	for i := range txn.Changes {
		c := &txn.Changes[i]
		if err := l.write(r, i, c); err != nil {
			return nil, err
		}
		record.keys = append(record.keys, txnRecordKey{key: c.Key, minor: c.Minor, deleted: c.Value == nil})
	}
	r.writes = append(r.writes, clientv3.OpPut(txnKey, string(record.encode())))
	return r, nil
}

// write adds what the change at a place takes. The order of operations is that of etcd's events.
func (l *Log) write(r *request, place int, c *store.Change) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	if c.Value == nil {
		r.writes = append(r.writes, clientv3.OpDelete(c.Key), clientv3.OpDelete(placeRoot+c.Key))
		return nil
	}
	value := c.Value
	if l.codec != nil {
		var err error
		if value, err = l.codec.Seal(c.Key, value); err != nil {
			return fmt.Errorf("seal the value of %s: %w", c.Key, err)
		}
	}
	r.writes = append(r.writes, clientv3.OpPut(c.Key, string(value)))
	if place > 0 {
		r.writes = append(r.writes, clientv3.OpPut(placeRoot+c.Key, strconv.Itoa(place)))
	}
	return nil
}

// condition says in comparisons that a key is at a revision.
func (l *Log) condition(c store.Condition) []clientv3.Cmp {
	if c.Revision == 0 {
		return []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(c.Key), "=", 0)}
	}
	at, ok := l.position(c.Revision)
	if !ok || at.mod == 0 {
		// No key can be there. No ModRevision is negative, so etcd says what it is instead.
		return []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(c.Key), "=", -1)}
	}
	cmps := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(c.Key), "=", at.mod)}
	place := placeRoot + c.Key
	switch {
	case at.place == 0 && l.foreign.of(c.Key, at.mod) == 0:
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(place), "!=", at.mod))
	case at.place == l.foreign.of(c.Key, at.mod): // there is no place key to compare with
	default:
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(place), "=", at.mod), clientv3.Compare(clientv3.Value(place), "=", strconv.Itoa(at.place)))
	}
	return cmps
}

// conflict returns the first condition that does not hold in what was found at etcd's revision head; nil: all hold.
func (l *Log) conflict(conditions []store.Condition, found []*etcdserverpb.ResponseOp, head int64) (*store.ConflictError, error) {
	for i, c := range conditions {
		is, err := l.found(c.Key, found[2*i].GetResponseRange().Kvs, found[2*i+1].GetResponseRange().Kvs)
		if err != nil {
			return nil, err
		}
		if is != c.Revision {
			l.want(head)
			return &store.ConflictError{Key: c.Key, Wanted: c.Revision, Found: is, At: l.revision(head, lastPlace)}, nil
		}
	}
	return nil, nil
}

// found returns the revision of a key from what was read of it and its place; 0: it is absent.
func (l *Log) found(key string, object, place []*mvccpb.KeyValue) (store.Revision, error) {
	if len(object) == 0 {
		return 0, nil
	}
	mod := object[0].ModRevision
	if len(place) == 0 || place[0].ModRevision != mod {
		return l.revision(mod, l.foreign.of(key, mod)), nil
	}
	n, err := parsePlace(place[0])
	return l.revision(mod, n), err
}
