package etcd

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// Pages are made so that one takes about pageBytes. The first is small, since nothing is known of it.
const (
	firstPage = 64
	mostPage  = 8192
	pageBytes = 2 << 20
)

// loaded is what Load leaves for the follower that goes on from there, so that it need not read the places again.
type loaded struct {
	mod    int64
	places map[string]position
}

// sizes counts objects and their bytes.
type sizes struct{ objects, bytes int64 }

func (s *sizes) add(kv *mvccpb.KeyValue) {
	s.objects++
	s.bytes += int64(len(kv.Key) + len(kv.Value))
}

// average is what an object takes, at least 1.
func (s *sizes) average() int64 { return s.bytes/max(s.objects, 1) + 1 }

// Load calls each with every object; see store.Source. All pages are of one revision of etcd. What etcd keeps of an object does not say who
// wrote it, when, with what, or instead of what: Actor, Cause, Time, Minor, Last and Previous are empty.
func (l *Log) Load(ctx context.Context, each func(store.Record) error) (store.Revision, error) {
	ctx, leave, err := l.read(ctx)
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	defer leave()
	mod, err := l.heads.do(ctx, 0)
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	state := state{log: l, mod: mod}
	if state.places, err = l.placesIn(ctx, everything, mod); err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	var sizes sizes
	for _, r := range objects("", "") {
		err := l.pages(ctx, r, mod, func(kv *mvccpb.KeyValue) error {
			sizes.add(kv)
			record, err := state.record(kv)
			if err != nil {
				return err
			}
			return each(record)
		})
		if err != nil {
			return 0, fmt.Errorf("load: %w", err)
		}
	}
	l.average.Store(sizes.average())
	l.follow.mu.Lock()
	l.follow.loaded = &loaded{mod, state.places}
	l.follow.mu.Unlock()
	return l.revision(mod, lastPlace), nil
}

// state is what etcd holds at one of its revisions.
type state struct {
	log    *Log
	mod    int64
	places map[string]position
}

// record makes a record of an object at that revision.
func (s *state) record(kv *mvccpb.KeyValue) (store.Record, error) {
	key := string(kv.Key)
	place := s.log.foreign.of(key, kv.ModRevision)
	if at, ok := s.places[key]; ok && at.mod == kv.ModRevision {
		place = at.place
	}
	value, err := s.log.open(kv)
	return store.Record{Revision: s.log.revision(kv.ModRevision, place), Key: key, Value: value}, err
}

// placesAt returns every place that counted at etcd's revision mod, for one owner.
func (l *Log) placesAt(ctx context.Context, mod int64) (map[string]position, error) {
	l.follow.mu.Lock()
	known := l.follow.loaded
	l.follow.loaded = nil
	l.follow.mu.Unlock()
	if known != nil && known.mod == mod {
		return known.places, nil
	}
	if mod == 0 { // before everything; to etcd it would mean the newest
		return map[string]position{}, nil
	}
	return l.placesIn(ctx, everything, mod)
}

// placesIn reads the places of a range of objects. Some may be stale; they do not count, see position.
func (l *Log) placesIn(ctx context.Context, r keyRange, mod int64) (map[string]position, error) {
	places := map[string]position{}
	err := l.pages(ctx, placesOf(r), mod, func(kv *mvccpb.KeyValue) error {
		place, err := parsePlace(kv)
		if err != nil {
			return err
		}
		places[string(kv.Key[len(placeRoot):])] = position{kv.ModRevision, place}
		return nil
	})
	return places, err
}

// pages calls each with every key of a range at etcd's revision mod, in order.
func (l *Log) pages(ctx context.Context, r keyRange, mod int64, each func(*mvccpb.KeyValue) error) error {
	limit := int64(firstPage)
	for {
		resp, err := l.get(ctx, r.from, clientv3.WithRange(r.to), clientv3.WithRev(mod), clientv3.WithLimit(limit))
		if err != nil {
			return err
		}
		var sizes sizes
		for _, kv := range resp.Kvs {
			sizes.add(kv)
			if err := each(kv); err != nil {
				return err
			}
		}
		if !resp.More {
			return nil
		}
		r.from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		limit = min(max(pageBytes/sizes.average(), firstPage/4), mostPage, 4*limit)
	}
}
