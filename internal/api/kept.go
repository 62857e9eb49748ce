package api

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// Objects that are kept and served to nobody: floe's own parts read and write them, as kube-apiserver's do, past rights, admission and validation.

// EachKept calls f with every object of a kept kind, as the table shows them, in the order of their keys, until f returns false.
func (s *Server) EachKept(res schema.GroupVersionResource, f func(name string, obj kinds.Object) bool) error {
	k := s.kept[res]
	if k == nil {
		return fmt.Errorf("%s are not kept", res)
	}
	for item := range s.Store.Snapshot().Ascend(k.Prefix(), "") {
		obj, err := Object(item)
		if err != nil {
			return fmt.Errorf("%s: %w", item.Key, err)
		}
		if !f(item.Key[len(k.Prefix()):], obj) {
			return nil
		}
	}
	return nil
}

// Keep makes, replaces or removes a kept object. next returns what the object becomes: it is given the newest state (nil: there is none), which it does not
// change, once it is durable, and is asked again when another writer was quicker; nil removes it. What stays as it is is not written. actor is who the log says did it.
func (s *Server) Keep(ctx context.Context, res schema.GroupVersionResource, name, actor string, next func(old kinds.Object) (kinds.Object, error)) error {
	k := s.kept[res]
	if k == nil {
		return fmt.Errorf("%s are not kept", res)
	}
	key := k.Prefix() + name
	for range attempts {
		item, ok := s.Store.Head(key)
		if err := s.settle(ctx, item.Revision, nil); err != nil {
			return err
		}
		var old kinds.Object
		if ok {
			var err error
			if old, err = Object(&item); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		} else {
			item.Revision = 0
		}
		change := store.Change{Key: key, Minor: true}
		obj, err := next(old)
		if err == nil && obj != nil {
			change.Value, err = encodeStored(k, copyOf(obj))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if item.Is(change.Value) {
			return nil
		}
		_, err = s.Store.Commit(ctx, store.Txn{Conditions: []store.Condition{{Key: key, Revision: item.Revision}}, Changes: []store.Change{change}, Actor: actor})
		if !errors.Is(err, store.ErrConflict) {
			return storeError(err)
		}
	}
	return fmt.Errorf("%s: others wrote it %d times meanwhile", key, attempts)
}
