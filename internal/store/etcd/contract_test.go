package etcd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
	"github.com/floe-k8s/floe/internal/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		opts := Options{Endpoints: etcdtest.Start(t, 1, etcdtest.NoFsync).Endpoints()}
		return func() (store.Log, error) {
			log, err := Open(opts)
			if err != nil {
				return nil, err
			}
			return below{log, true}, nil
		}
	})
}

func TestScripts(t *testing.T) {
	storetest.Scripts(t, "../storetest/testdata", func(t *testing.T) storetest.Place {
		opts := Options{Endpoints: etcdtest.Start(t, 1, etcdtest.NoFsync).Endpoints()}
		return storetest.Place{Open: func() (store.Log, error) {
			log, err := Open(opts)
			if err != nil {
				return nil, err
			}
			return below{log, false}, nil
		}}
	})
}

// below is a log whose keys stand below one prefix in another: the suite names keys that are not below /registry/, which etcd's log refuses.
type below struct {
	store.Log
	suite bool
}

const belowPrefix = "/registry/suite"

func (b below) Append(ctx context.Context, txn store.Txn) ([]store.Revision, error) {
	// An empty key, and others that the suite wants refused, stay as they are.
	prefixed := func(key string) string {
		if key == "" {
			return key
		}
		return belowPrefix + key
	}
	inner := txn
	inner.Conditions, inner.Changes = nil, nil
	for _, c := range txn.Conditions {
		c.Key = prefixed(c.Key)
		inner.Conditions = append(inner.Conditions, c)
	}
	for _, c := range txn.Changes {
		c.Key = prefixed(c.Key)
		inner.Changes = append(inner.Changes, c)
	}
	revs, err := b.Log.Append(ctx, inner)
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		bare := *conflict
		bare.Key = strings.TrimPrefix(bare.Key, belowPrefix)
		if b.suite {
			bare.At = 0 // its model knows no lagging table
		}
		return nil, &bare
	}
	return revs, err
}

func stripped(each func(store.Record) error) func(store.Record) error {
	return func(r store.Record) error {
		r.Key = strings.TrimPrefix(r.Key, belowPrefix)
		return each(r)
	}
}

func (b below) Load(ctx context.Context, each func(store.Record) error) (store.Revision, error) {
	return b.Log.Load(ctx, stripped(each))
}

func (b below) Recent(ctx context.Context, upTo store.Revision, window store.Window, each func(record, replaced store.Record) error) (store.Revision, error) {
	return b.Log.Recent(ctx, upTo, window, func(record, replaced store.Record) error {
		record.Key = strings.TrimPrefix(record.Key, belowPrefix)
		replaced.Key = strings.TrimPrefix(replaced.Key, belowPrefix)
		return each(record, replaced)
	})
}

func (b below) Follow(ctx context.Context, after store.Revision, f store.Follower) error {
	return b.Log.Follow(ctx, after, belowFollower{f})
}

type belowFollower struct{ store.Follower }

func (f belowFollower) Apply(txns ...[]store.Record) error {
	for _, txn := range txns {
		for i := range txn {
			txn[i].Key = strings.TrimPrefix(txn[i].Key, belowPrefix)
		}
	}
	return f.Follower.Apply(txns...)
}

func (b below) Head(key string) (store.Record, bool) { return b.Log.Head(belowPrefix + key) }

func (b below) At(ctx context.Context, rev store.Revision, from, to string, each func(store.Record) error) error {
	from = belowPrefix + from
	if to == "" {
		to = belowPrefix + "\xff"
	} else {
		to = belowPrefix + to
	}
	return b.Log.At(ctx, rev, from, to, stripped(each))
}

func (b below) Versions(ctx context.Context, key string, each func(store.Record) error) error {
	return b.Log.Versions(ctx, belowPrefix+key, stripped(each))
}
