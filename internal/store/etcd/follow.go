package etcd

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// Follow hands over every transaction after a revision, which stands at a transaction's end; see store.Source. It goes on by itself over the
// loss of members and leaders.
func (l *Log) Follow(ctx context.Context, after store.Revision, f store.Follower) error {
	ctx, leave, err := l.read(ctx)
	if err == nil {
		defer leave()
		err = l.followFrom(ctx, after, f)
	}
	if err != nil {
		return fmt.Errorf("follow after %d: %w", after, err)
	}
	return nil
}

func (l *Log) followFrom(ctx context.Context, after store.Revision, f store.Follower) error {
	at, err := l.positionOf(after)
	if err != nil {
		return err
	}
	head, err := l.heads.do(ctx, 0)
	if err != nil {
		return err
	}
	if err := l.written(ctx, at, head); err != nil {
		return err
	}
	if err := l.beginFollow(at.mod); err != nil {
		return err
	}
	defer l.endFollow()
	places, err := l.placesAt(ctx, at.mod)
	if err != nil {
		return err
	}
	run := following{assembler: assembler{l, places}, to: f, mod: at.mod}
	for n := 0; ; n++ {
		before := run.mod
		if err := run.watch(ctx); err != nil {
			return err
		}
		if run.mod > before {
			n = 0
		}
		l.pause(ctx, backoff(n))
		// Members that were set back to an older state would otherwise let the watch wait until they are here again.
		if head, err := l.head(ctx); err != nil {
			return err
		} else if head < run.mod {
			return fmt.Errorf("etcd has gone back from its revision %d to %d: another log stands in its place", run.mod, head)
		}
	}
}

// written refuses a position that etcd, at its revision head, has nothing at or above.
func (l *Log) written(ctx context.Context, at position, head int64) error {
	future := at.mod > head
	if at.mod == head && at.place != 0 && at.place != lastPlace {
		resp, err := l.get(ctx, txnKey, clientv3.WithRev(head))
		if err != nil {
			return err
		}
		if len(resp.Kvs) > 0 && resp.Kvs[0].ModRevision == head {
			txn, err := decodeTxn(resp.Kvs[0].Value)
			if err != nil {
				return fmt.Errorf("%s at etcd's revision %d: %w", txnKey, head, err)
			}
			future = at.place >= len(txn.keys)
		}
	}
	if future {
		return fmt.Errorf("the log is at %d: %w", l.revision(head, lastPlace), store.ErrFuture)
	}
	return nil
}

func (l *Log) beginFollow(mod int64) error {
	f := &l.follow
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.active {
		return errors.New("there is a follower already")
	}
	f.active, f.reached, f.want = true, mod, mod
	return nil
}

func (l *Log) endFollow() {
	l.follow.mu.Lock()
	defer l.follow.mu.Unlock()
	l.follow.active = false
}

// following is one call of Follow.
type following struct {
	assembler
	to  store.Follower
	mod int64 // etcd's revision up to which everything has been handed over
}

// watch hands over until the watch breaks (nil), or there is an error that ends the call.
func (f *following) watch(ctx context.Context) error {
	err := f.log.watch(ctx, &watcher{
		keys: everything, from: f.mod + 1, opts: []clientv3.OpOption{clientv3.WithPrevKV()}, ask: f.log.askWhenWanted, handle: f.handle,
	})
	var broken *brokenError
	if errors.As(err, &broken) && ctx.Err() == nil {
		f.log.log.Warn("the watch of etcd broke; taking it up again", "after", f.log.revision(f.mod, lastPlace), "error", broken.error)
		return nil
	}
	return err
}

func (f *following) handle(resp clientv3.WatchResponse) error {
	mod := f.mod
	var txns [][]store.Record
	var err error
	for at, events := range revisions(resp.Events) {
		if at <= mod {
			continue // a watch that goes on after a lost connection may repeat
		}
		var records []store.Record
		if records, _, err = f.take(at, events); err != nil {
			break // what came before it is good
		}
		if len(records) > 0 {
			txns = append(txns, records)
		}
		mod = at
	}
	if resp.IsProgressNotify() {
		mod = max(mod, resp.Header.Revision)
	}
	return errors.Join(f.hand(txns, mod), err)
}

// hand hands over transactions, with which everything up to etcd's revision mod has been.
func (f *following) hand(txns [][]store.Record, mod int64) error {
	if mod == f.mod {
		return nil
	}
	if len(txns) > 0 {
		if err := f.to.Apply(txns...); err != nil {
			return err
		}
	}
	f.mod = mod
	f.log.arrive(mod)
	f.to.Reached(f.log.revision(mod, lastPlace))
	return nil
}
