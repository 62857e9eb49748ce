package etcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// progressEvery is how often a watch is asked how far it is, while somebody waits for that. A member answers only when it has handed over
// everything, and a request may be lost with a connection, so it is repeated.
const progressEvery = 50 * time.Millisecond

// Sync returns a revision that a quorum confirmed after the call began; see store.Source. Callers that come while a read is under
// way share the next one, as etcd's own reads do between themselves.
func (l *Log) Sync(ctx context.Context) (store.Revision, error) {
	ctx, leave, err := l.read(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	mod, err := l.heads.do(ctx, 0)
	if err != nil {
		return 0, fmt.Errorf("sync: %w", err)
	}
	l.want(mod)
	return l.revision(mod, lastPlace), nil
}

// readHead reads etcd's revision from a quorum. It goes on over the loss of members until patience ends.
func (l *Log) readHead(int64) (int64, error) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(l.ctx), l.patience)
	defer cancel()
	mod, err := l.head(ctx)
	if err != nil && ctx.Err() != nil && l.ctx.Err() == nil {
		return 0, fmt.Errorf("%w within %s: %w", ErrUnreachable, l.patience, err)
	}
	return mod, err
}

// headPatience bounds one try of reading etcd's revision, for which all wait: a member that was cut off without a word would hold them up
// until its connection is given up.
const headPatience = 2 * time.Second

// head reads etcd's revision from a quorum, until ctx ends. It also learns the fence.
func (l *Log) head(ctx context.Context) (int64, error) {
	for n := 0; ; n++ {
		try, cancel := context.WithTimeout(ctx, headPatience)
		resp, err := l.get(try, fenceKey, clientv3.WithKeysOnly())
		cancel()
		switch {
		case err == nil:
			if resp.Header.ClusterId != l.cluster {
				return 0, fmt.Errorf("etcd's cluster is now %x, it was %x: another log stands in its place", resp.Header.ClusterId, l.cluster)
			}
			l.learnFence(fenceOf(resp.Kvs))
			return resp.Header.Revision, nil
		case ctx.Err() != nil:
			return 0, ended(ctx, err)
		case answered(err):
			return 0, err
		}
		l.pause(ctx, backoff(n))
	}
}

// want asks the follower's watch to say soon that it has everything up to mod. Usually the event that made mod says so first; it takes
// asking when mod is a write outside of the watched prefix.
func (l *Log) want(mod int64) {
	f := &l.follow
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.active || mod <= f.reached {
		return
	}
	f.want = max(f.want, mod)
	select {
	case f.wanted <- struct{}{}:
	default:
	}
}

// arrive notes how far the follower is.
func (l *Log) arrive(mod int64) {
	l.see(mod)
	l.follow.mu.Lock()
	defer l.follow.mu.Unlock()
	l.follow.reached = max(l.follow.reached, mod)
}

func (l *Log) behind() bool {
	l.follow.mu.Lock()
	defer l.follow.mu.Unlock()
	return l.follow.want > l.follow.reached
}

// askWhenWanted asks a watch for its progress while somebody waits for it, until ctx ends.
func (l *Log) askWhenWanted(ctx context.Context, ask func() error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.follow.wanted:
		}
		for ctx.Err() == nil && l.behind() {
			// The watch itself sees what breaks it.
			_ = ask()
			t := l.clock.NewTimer(progressEvery)
			select {
			case <-ctx.Done():
			case <-l.follow.wanted:
			case <-t.C():
			}
			t.Stop()
		}
	}
}

// askUntilDone asks a watch for its progress until ctx ends.
func (l *Log) askUntilDone(ctx context.Context, ask func() error) {
	for ctx.Err() == nil {
		_ = ask()
		l.pause(ctx, progressEvery)
	}
}
