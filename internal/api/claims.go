package api

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// This file is what a write asks of other objects: they are read, and claims change them in the same transaction.

// rights asks the kind whether the user may write obj, which was admitted, so. old is nil for a new object.
func (s *Server) rights(ctx context.Context, req Request, obj, old kinds.Object) error {
	if req.Kind.Rights == nil {
		return nil
	}
	see := &reader{server: s}
	if err := req.Kind.Rights(s.asking(ctx, req), obj, old, see); err != nil {
		return s.settle(ctx, see.newest, Classed(err))
	}
	return nil
}

// reader lets a kind see other objects, and remembers in which state it saw them. One goroutine uses it.
type reader struct {
	server *Server
	seen   map[string]*sighting
	newest store.Revision // of all that was seen, deletions included: a refusal that rests on it waits for it
}

// sighting is what stood under a key: revision 0 and nil when nothing did.
type sighting struct {
	revision store.Revision
	item     *store.Item
	decoded  kinds.Object // item's object, once it was asked for
}

// object is nil as well for what cannot be read; who reads it for itself is told.
func (s *sighting) object() kinds.Object {
	if s.decoded == nil && s.item != nil {
		s.decoded, _ = Object(s.item)
	}
	return s.decoded
}

var _ kinds.Reader = (*reader)(nil)

// Get returns an object's newest state; nil also for a resource that is not served.
func (r *reader) Get(res schema.GroupVersionResource, namespace, name string) kinds.Object {
	k := r.server.known(res)
	if k == nil {
		return nil
	}
	return r.see(keyOf(k, namespace, name)).object()
}

// Label reads a label where it is stored: every binding asks for two of its node, of which there are too many to have them all decoded.
func (r *reader) Label(res schema.GroupVersionResource, namespace, name, key string) (string, bool) {
	k := r.server.known(res)
	if k == nil {
		return "", false
	}
	seen := r.see(keyOf(k, namespace, name))
	if seen.item == nil || seen.decoded != nil || k.Dynamic != nil {
		return kinds.LabelOf(seen.object(), key)
	}
	return labelOf(envelopeHeader(k.Stored().GVK), key, seen.item)
}

// see reads what stands under a key, once: what is decided must rest on one state, the one that the condition names.
func (r *reader) see(key string) *sighting {
	if seen, ok := r.seen[key]; ok {
		return seen
	}
	item, ok := r.server.Store.Head(key)
	r.newest = max(r.newest, item.Revision)
	seen := &sighting{}
	if ok {
		seen.revision, seen.item = item.Revision, &item
	}
	if r.seen == nil {
		r.seen = map[string]*sighting{}
	}
	r.seen[key] = seen
	return seen
}

// Each calls f with the objects of the table.
func (r *reader) Each(res schema.GroupVersionResource, namespace string, f func(kinds.Object) bool) {
	k := r.server.known(res)
	if k == nil {
		return
	}
	prefix := Request{Kind: k, Namespace: namespace}.prefix()
	for item := range r.server.Store.Snapshot().Ascend(prefix, "") {
		if obj, err := Object(item); err == nil && !f(obj) {
			return
		}
	}
}

// further is what is committed with an object's own change.
type further struct {
	conditions []store.Condition
	changes    []store.Change
}

// claim asks obj's kind for the writes that go with it: next, private to the caller, is nil when old is removed, old is nil for a new object.
func (s *Server) claim(ctx context.Context, req Request, next, old kinds.Object, dryRun bool) (further, error) {
	if req.Kind.Claim == nil {
		return further{}, nil
	}
	see, env := &reader{server: s}, s.env(req)
	env.DryRun = dryRun
	writes, err := req.Kind.Claim(env, next, old, see)
	if err != nil {
		return further{}, s.settle(ctx, see.newest, Classed(err))
	}
	return s.gather(writes, env, see)
}

// gather makes records of the wanted writes, on condition that nobody changed what see saw of them.
func (s *Server) gather(writes []kinds.Write, env kinds.Env, see *reader) (out further, err error) {
	for _, w := range writes {
		if err := s.add(&out, w, env, see); err != nil {
			return further{}, apierrors.NewInternalError(err)
		}
	}
	return out, nil
}

// add adds one wanted write to out. see is what the writes rest on.
func (s *Server) add(out *further, w kinds.Write, env kinds.Env, see *reader) error {
	k := s.known(w.Resource)
	if k == nil {
		return fmt.Errorf("%s is not known", w.Resource)
	}
	key := keyOf(k, w.Namespace, w.Name)
	old := see.see(key)
	change, next := store.Change{Key: key}, w.Object
	switch {
	case next != nil:
		next = copyOf(next)
	case old.revision == 0:
		return nil // it is gone already
	case old.object() != nil:
		if d := decideDelete(env, k, copyOf(old.object()), metav1.DeleteOptions{}); !d.remove {
			next = d.next
		}
	}
	if next != nil {
		var err error
		if old.revision == 0 && s.Kind(w.Resource) != nil {
			wipeMeta(next)
			err = s.fillMeta(k, next)
		}
		if w.Object != nil {
			s.trackOwn(k, w.Subresource, old.object(), next)
		}
		if err == nil {
			change.Value, err = encodeStored(k, next)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	out.conditions = append(out.conditions, store.Condition{Key: key, Revision: old.revision})
	out.changes = append(out.changes, change)
	return nil
}
