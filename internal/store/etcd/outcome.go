package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// outcome is what became of this process's transactions up to a fence.
type outcome struct {
	committed map[uint64]int64 // by counter: ModRevision
	// complete: what is not in committed has not been committed, and never will be. It is false when the history that would show it has been
	// compacted.
	complete bool
}

// settle finds out what became of a transaction whose answer was lost: its ModRevision, or 0 when it is not committed and never will be.
func (l *Log) settle(ctx context.Context, r *request, lost error) (int64, error) {
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnknownOutcome, ended(ctx, lost))
	}
	o, err := l.outcomes.do(ctx, r.since)
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, fmt.Errorf("%w: %w; the answer was lost: %w", ErrUnknownOutcome, ended(ctx, err), lost)
	case err != nil: // its class is not the transaction's, which would say that nothing was written
		return 0, fmt.Errorf("%w: %v; the answer was lost: %w", ErrUnknownOutcome, err, lost)
	}
	if mod, ok := o.committed[r.id.counter]; ok {
		return mod, nil
	}
	if !o.complete {
		return 0, fmt.Errorf("%w: history has been compacted meanwhile; the answer was lost: %w", ErrUnknownOutcome, lost)
	}
	return 0, nil
}

// decide moves the fence, and reads which of this process's transactions were committed after since and before it. All who wait share
// one turn: each move of the fence refuses others' transactions once.
func (l *Log) decide(since int64) (outcome, error) {
	l.log.Warn("answers of etcd to transactions were lost; finding out what became of these")
	ctx := clientv3.WithRequireLeader(l.writing)
	fence, err := l.moveFence(ctx)
	if err != nil {
		return outcome{}, err
	}
	from := since + 1
	for {
		o := outcome{committed: map[uint64]int64{}, complete: from == since+1}
		err := l.scan(ctx, keyRange{txnKey, ""}, from, fence, func(mod int64, events []*clientv3.Event) error {
			for _, e := range events {
				if e.Type != mvccpb.Event_PUT {
					continue
				}
				record, err := decodeTxn(e.Kv.Value)
				if err != nil {
					return fmt.Errorf("%s at etcd's revision %d: %w", txnKey, mod, err)
				}
				if record.id.writer == l.writer {
					o.committed[record.id.counter] = mod
				}
			}
			return nil
		})
		var gone *compactedError
		switch {
		case errors.As(err, &gone) && gone.upTo >= from:
			from = gone.upTo + 1
			continue
		case err != nil:
			return outcome{}, fmt.Errorf("read the transactions of etcd's revisions %d to %d: %w", from, fence, err)
		}
		return o, nil
	}
}

// moveFence overwrites the fence key and returns its new ModRevision. That it is repeated does no harm: any of its writes that is
// answered shuts out everything that was sent before, and one that comes later refuses others once more.
func (l *Log) moveFence(ctx context.Context) (int64, error) {
	for n := 0; ; n++ {
		resp, err := l.client.Put(ctx, fenceKey, strconv.FormatUint(l.writer, 16))
		switch {
		case err == nil:
			l.see(resp.Header.Revision)
			l.raiseFence(resp.Header.Revision)
			return resp.Header.Revision, nil
		case answered(err) || ctx.Err() != nil:
			return 0, fmt.Errorf("write %s: %w", fenceKey, translate(ended(ctx, err)))
		}
		l.pause(ctx, backoff(n))
	}
}

// fenceOf returns the ModRevision of the fence key from what was read of it; 0: it is absent.
func fenceOf(kvs []*mvccpb.KeyValue) int64 {
	if len(kvs) == 0 {
		return 0
	}
	return kvs[0].ModRevision
}

// learnFence takes a fence that was read. It may be older than what is known, or 0 when somebody has deleted the key: a wrong one
// costs a try, since etcd compares with its own.
func (l *Log) learnFence(mod int64) {
	if mod == 0 {
		l.fence.Store(0)
		return
	}
	l.raiseFence(mod)
}

func (l *Log) raiseFence(mod int64) {
	for {
		old := l.fence.Load()
		if mod <= old || l.fence.CompareAndSwap(old, mod) {
			return
		}
	}
}

// deleteWhenFull commits deletions after etcd refused them for want of room. It refuses every put then, that of the transaction key
// too, so the transaction goes without: followers see it as a foreign write, whose actor is not known. A lost answer stays lost.
func (l *Log) deleteWhenFull(ctx context.Context, r *request) ([]store.Revision, error) {
	bare := *r
	bare.writes = r.writes[:len(r.writes)-1]
	for {
		resp, err := l.try(ctx, &bare)
		switch {
		case err == nil:
			return l.deleted(resp), nil
		case errors.Is(err, errFenced):
			continue
		case answered(err) || errors.Is(err, store.ErrConflict) || errors.Is(err, errRead):
			return nil, translate(err)
		}
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, ended(ctx, err))
	}
}

// deleted returns the revisions of a transaction without a transaction key: its places are those of etcd's events, and there is none for
// a key that was absent.
func (l *Log) deleted(resp *clientv3.TxnResponse) []store.Revision {
	answers := unfolded(nil, resp.Responses)
	revs := make([]store.Revision, 0, len(answers)/2)
	place := 0
	for i := 0; i < len(answers); i += 2 { // the object's, then that of its place key
		if answers[i].GetResponseDeleteRange().GetDeleted() == 0 {
			revs = append(revs, l.revision(resp.Header.Revision, lastPlace))
			continue
		}
		revs = append(revs, l.revision(resp.Header.Revision, place))
		place++
	}
	return revs
}
