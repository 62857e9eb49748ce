package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// Compact lets etcd drop what was superseded at or before rev, for all of the cluster's users; see store.History.
func (l *Log) Compact(ctx context.Context, rev store.Revision) error {
	ctx, leave, err := l.read(ctx)
	if err == nil {
		defer leave()
		if at, ok := l.position(rev); ok && at.mod > 0 {
			err = l.compact(ctx, at.mod)
		}
	}
	if err != nil {
		return fmt.Errorf("compact to revision %d: %w", rev, err)
	}
	return nil
}

// compact is repeated until there is an answer: it does no harm twice.
func (l *Log) compact(ctx context.Context, mod int64) error {
	for n := 0; ; n++ {
		_, err := l.client.Compact(ctx, mod)
		switch {
		case err == nil, errors.Is(err, rpctypes.ErrCompacted):
			return nil
		case answered(err) || ctx.Err() != nil:
			return translate(ended(ctx, err))
		}
		l.pause(ctx, backoff(n))
	}
}

// History is looked after looksPerHistory times in its length, and cut every looksPerCut looks: what is kept is longer than asked
// for by a fifth at most, and etcd, which walks its whole index for a cut, is not kept busy with it.
const (
	looksPerHistory = 20
	looksPerCut     = 4
	defaultQuota    = 2 << 30 // etcd's own, for members that are too old to say
)

// keeper remembers which of etcd's revisions were the newest when.
type keeper struct {
	log     *Log
	history time.Duration
	quota   int64 // 0: ask
	turn    int64 // version of the compact key, as last seen
	samples []sample
	cut     int64 // compacted up to here by this process
	full    bool  // as of the last look
}

type sample struct {
	at  time.Time
	mod int64
}

// keepShort cuts history until the log is closed.
func (l *Log) keepShort(history time.Duration, quota int64) {
	k := keeper{log: l, history: history, quota: quota}
	ticker := l.clock.NewTicker(max(history/looksPerHistory, time.Millisecond))
	defer ticker.Stop()
	for n := 0; ; n++ {
		if err := k.look(n%looksPerCut == 0); err != nil && l.ctx.Err() == nil {
			l.log.Warn("cutting etcd's history failed; it is tried again", "error", err)
		}
		select {
		case <-ticker.C():
		case <-l.ctx.Done():
			return
		}
	}
}

// look notes where etcd is, and cuts history when it is due or the database is more than half full. Space within etcd's file is used again
// after a cut; beyond its quota it takes no writes until somebody has defragmented it.
func (k *keeper) look(due bool) error {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(k.log.ctx), k.log.patience)
	defer cancel()
	head, err := k.log.head(ctx)
	if err != nil {
		return err
	}
	now := k.log.clock.Now()
	k.samples = append(k.samples, sample{now, head})
	keep := k.history
	full, err := k.halfFull(ctx)
	if full {
		keep /= looksPerCut
	}
	if full != k.full {
		k.log.log.Warn("how full etcd's database is has changed what history is kept", "moreThanHalfFull", full, "kept", keep)
		k.full = full
	}
	target := k.before(now.Add(-keep))
	if target <= k.cut || !due && !full {
		return err
	}
	return errors.Join(err, k.take(ctx, target))
}

// before returns the newest revision of etcd that is known to have been written by then, and forgets what is older than that and the history;
// 0: none is known.
func (k *keeper) before(then time.Time) int64 {
	mod := int64(0)
	for len(k.samples) > 1 && !k.samples[1].at.After(then) {
		k.samples = k.samples[1:]
	}
	if !k.samples[0].at.After(then) {
		mod = k.samples[0].mod
	}
	return mod
}

// take cuts history if it is this process's turn. Servers, upstream's too, agree by the version of one key: who raises it from what
// it was compacts, the others learn what it is now.
func (k *keeper) take(ctx context.Context, target int64) error {
	resp, err := k.log.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Version(compactKey), "=", k.turn)).
		Then(clientv3.OpPut(compactKey, strconv.FormatInt(target, 10))).
		Else(clientv3.OpGet(compactKey)).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace): // no put is taken; a cut is what helps
	case err != nil:
		return fmt.Errorf("write %s: %w", compactKey, translate(err))
	case !resp.Succeeded:
		k.turn = 0
		if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
			k.turn = kvs[0].Version
		}
		return nil
	default:
		k.turn++
	}
	if err := k.log.compact(ctx, target); err != nil {
		return fmt.Errorf("compact to etcd's revision %d: %w", target, err)
	}
	k.cut = target
	return nil
}

// halfFull asks a member how full its database is.
func (k *keeper) halfFull(ctx context.Context) (bool, error) {
	var last error
	for _, e := range k.log.client.Endpoints() {
		one, cancel := context.WithTimeout(ctx, k.log.patience/2)
		status, err := k.log.client.Status(one, e)
		cancel()
		if err != nil {
			last = err
			continue
		}
		quota := k.quota
		if quota == 0 {
			quota = status.DbSizeQuota
		}
		if quota == 0 {
			quota = defaultQuota
		}
		return status.DbSizeInUse > quota/2, nil
	}
	return false, fmt.Errorf("ask etcd how full it is: %w", last)
}
