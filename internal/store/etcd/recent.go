package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// Recent reads back so many of etcd's revisions at most, so that a start does not wait for it, and so few at least.
const (
	mostRecent  = 1000
	leastRecent = 32
)

// Recent reads the newest changes back from etcd's history; see store.Source. A foreign write, whose time is not known, counts as
// being as old as the one after it.
func (l *Log) Recent(ctx context.Context, upTo store.Revision, window store.Window, each func(record, replaced store.Record) error) (store.Revision, error) {
	ctx, leave, err := l.read(ctx)
	if err == nil {
		defer leave()
		var after store.Revision
		if after, err = l.recent(ctx, upTo, window, each); err == nil {
			return after, nil
		}
	}
	return 0, fmt.Errorf("read what came before revision %d: %w", upTo, err)
}

func (l *Log) recent(ctx context.Context, upTo store.Revision, window store.Window, each func(record, replaced store.Record) error) (store.Revision, error) {
	at, err := l.positionOf(upTo)
	if err != nil {
		return 0, err
	}
	// etcd hands over all of it at once, whatever its bytes, each version with the one that it replaced. How large they are on average is
	// known from Load.
	count := min(max(window.Bytes/max(2*l.average.Load(), 1), leastRecent), mostRecent)
	from := max(at.mod-count+1, 1)
	for from <= at.mod {
		kept := recent{window: window, after: l.endOf(from - 1)}
		err := l.gather(ctx, from, at.mod, &kept)
		if errors.Is(err, store.ErrExpired) {
			oldest, err := l.compacted(ctx)
			if err != nil {
				return 0, err
			}
			from = max(oldest, from) + 1
			continue
		}
		if err != nil {
			return 0, err
		}
		return kept.after, l.hand(&kept, each)
	}
	return upTo, nil
}

// endOf returns the revision of the state at etcd's revision mod, which is 0 where the log begins.
func (l *Log) endOf(mod int64) store.Revision {
	if mod == 0 {
		return l.base
	}
	return l.revision(mod, lastPlace)
}

// gather reads the transactions of etcd's revisions from to upTo.
func (l *Log) gather(ctx context.Context, from, upTo int64, kept *recent) error {
	a := assembler{log: l, places: map[string]position{}}
	if from > 1 { // at 0 there is nothing; to etcd it would mean the newest
		var err error
		if a.places, err = l.placesIn(ctx, everything, from-1); err != nil {
			return err
		}
	}
	return l.scan(ctx, everything, from, upTo, func(mod int64, events []*clientv3.Event) error {
		records, replaced, err := a.take(mod, events)
		var crowded *crowdedError
		switch {
		case errors.As(err, &crowded):
			*kept = recent{window: kept.window, after: l.endOf(mod)}
		case err != nil:
			return err
		case len(records) > 0:
			kept.add(recentTxn{records, replaced})
		}
		return nil
	}, clientv3.WithPrevKV())
}

// recentTxn is one transaction and what it replaced.
type recentTxn struct {
	records  []store.Record
	replaced []*mvccpb.KeyValue // as stored; nil: none
}

func (t *recentTxn) bytes() (n int64) {
	for i := range t.records {
		n += int64(len(t.records[i].Value))
	}
	return n
}

// recent holds the newest transactions that fit the window.
type recent struct {
	window store.Window
	after  store.Revision // txns are complete after it
	txns   []recentTxn
	bytes  int64
}

func (r *recent) add(txn recentTxn) {
	r.txns = append(r.txns, txn)
	r.bytes += txn.bytes()
	drop := 0
	if !txn.records[0].Time.IsZero() && txn.records[0].Time.Before(r.window.Since) {
		drop = len(r.txns)
	}
	for i := 0; i < drop || r.bytes > r.window.Bytes && len(r.txns) > 0; i++ {
		records := r.txns[0].records
		r.after = records[len(records)-1].Revision
		r.bytes -= r.txns[0].bytes()
		r.txns[0] = recentTxn{} // let the values go although the array stays
		r.txns = r.txns[1:]
	}
}

// hand calls each with what is kept.
func (l *Log) hand(kept *recent, each func(record, replaced store.Record) error) error {
	for _, txn := range kept.txns {
		for i, record := range txn.records {
			var replaced store.Record
			if kv := txn.replaced[i]; kv != nil {
				value, err := l.open(kv)
				if err != nil {
					return err
				}
				replaced = store.Record{Revision: record.Previous, Key: record.Key, Value: value}
			}
			if err := each(record, replaced); err != nil {
				return err
			}
		}
	}
	return nil
}
