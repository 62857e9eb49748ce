package remote

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// errNoSync: what a component must know to be current it asks with Get.
var errNoSync = errors.New("a remote table cannot be asked to be current; Get always is")

// source feeds the table from joint watches. Only the client's Run uses it.
type source struct {
	*wire
	selections []Selection
	kinds      map[schema.GroupVersionKind]*kinds.Kind // of the selections
	rests      rests
	least      store.Revision  // the newest mark; no state may be older
	failed     func(err error) // hears why a watch ended; nil: one goes on
}

// Load implements store.Source: the state at the first mark of a joint watch. It tries until ctx ends.
func (s *source) Load(ctx context.Context, each func(store.Record) error) (store.Revision, error) {
	if len(s.selections) == 0 {
		return 0, nil
	}
	for {
		b, err := s.state(ctx)
		if err == nil {
			s.least = b.mark
			s.failed(nil)
			return b.mark, b.newest(each)
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		s.failed(fmt.Errorf("load the state: %w", err))
		if err := s.rests.rest(ctx); err != nil {
			return 0, err
		}
	}
}

// state reads everything that the selections select now.
func (s *source) state(ctx context.Context) (*batch, error) {
	stream, err := s.open(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer stream.close()
	b := &batch{}
	if err := stream.read(b, s.least); err != nil {
		return nil, err
	}
	return b, nil
}

// Recent implements store.Source: nothing from before is known.
func (s *source) Recent(_ context.Context, upTo store.Revision, _ store.Window, _ func(record, replaced store.Record) error) (store.Revision, error) {
	return upTo, nil
}

// Sync implements store.Source. It refuses.
func (s *source) Sync(context.Context) (store.Revision, error) { return 0, errNoSync }

// Follow implements store.Source. It comes back only when ctx ends, f refuses, or the server has no longer what comes next.
func (s *source) Follow(ctx context.Context, after store.Revision, f store.Follower) error {
	if len(s.selections) == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	s.least = after
	for {
		err := s.follow(ctx, f)
		var refused refusal
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &refused):
			return refused.error
		case client.IsExpired(err):
			s.failed(fmt.Errorf("follow after revision %d: %w", s.least, err))
			if err := s.rests.rest(ctx); err != nil { // a server that forgets at once is not asked at once
				return err
			}
			return fmt.Errorf("follow after revision %d: %w: %w", s.least, store.ErrExpired, err)
		}
		s.failed(fmt.Errorf("follow after revision %d: %w", s.least, err))
		if err := s.rests.rest(ctx); err != nil {
			return err
		}
	}
}

// refusal is the follower's error, which no new watch mends.
type refusal struct{ error }

// follow hands over what one joint watch says, from mark to mark.
func (s *source) follow(ctx context.Context, f store.Follower) error {
	stream, err := s.open(ctx, s.least)
	if err != nil {
		return err
	}
	defer stream.close()
	for {
		var b batch
		if err := stream.read(&b, s.least); err != nil {
			return err
		}
		if len(b.records) > 0 {
			if err := f.Apply(b.records); err != nil {
				return refusal{err}
			}
		}
		f.Reached(b.mark)
		s.least = b.mark
		s.rests.reset()
		s.failed(nil)
	}
}
