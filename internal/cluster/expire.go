package cluster

import (
	"context"
	"time"
)

// expireEvery is how often objects are looked at that are removed by themselves.
const expireEvery = time.Minute

// expire removes what has expired until ctx ends.
func (s *server) expire(ctx context.Context) error {
	return s.repeat(ctx, expireEvery, func() {
		if _, err := s.api.Expire(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("expired objects could not be removed and are tried again", "again", expireEvery, "err", err)
		}
	})
}

// repeat calls do after each period until ctx ends.
func (s *server) repeat(ctx context.Context, period time.Duration, do func()) error {
	tick := s.Clock.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C():
			do()
		}
	}
}
