package api

import (
	"context"
	"errors"

	"github.com/floe-k8s/floe/internal/store"
)

// expirer is who the log says removed what has expired.
const expirer = "system:apiserver"

// Expire removes every object whose time is over, and returns how many it removed. One that changes meanwhile is left for the next time.
func (s *Server) Expire(ctx context.Context) (removed int, err error) {
	now, snapshot := s.Clock.Now(), s.Store.Snapshot()
	for _, k := range s.Catalog().All() {
		if k.Expires == nil || k.View != nil {
			continue
		}
		for item := range snapshot.Ascend(k.Prefix(), "") {
			obj, err := Object(item)
			if err != nil {
				return removed, err
			}
			if at := k.Expires(obj); at.IsZero() || now.Before(at) {
				continue
			}
			_, err = s.Store.Commit(ctx, store.Txn{
				Conditions: []store.Condition{{Key: item.Key, Revision: item.Revision}}, Changes: []store.Change{{Key: item.Key}},
				Actor: expirer, Cause: "expired",
			})
			switch {
			case errors.Is(err, store.ErrConflict):
			case err != nil:
				return removed, err
			default:
				removed++
			}
		}
	}
	return removed, nil
}
