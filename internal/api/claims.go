package api

import (
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// This file is what a write asks of other objects: admission plug-ins read them, and claims change them in the same transaction.

// Plugins are the admission plug-ins, by upstream's names, that the kinds know.
func Plugins(list []*kinds.Kind) []string {
	out := []string{namespaceLifecycle}
	for _, k := range list {
		for _, a := range k.Admission {
			if !slices.Contains(out, a.Plugin) {
				out = append(out, a.Plugin)
			}
		}
	}
	return out
}

// admit lets the plug-ins that are on see obj. old is nil for a new object.
func (s *Server) admit(req Request, obj, old kinds.Object) error {
	if len(req.Kind.Admission) == 0 {
		return nil
	}
	see := &reader{server: s}
	for _, a := range req.Kind.Admission {
		if slices.Contains(s.NoAdmission, a.Plugin) {
			continue
		}
		if err := a.Admit(s.env(req), obj, old, see); err != nil {
			return err
		}
	}
	return nil
}

// reader lets a kind see other objects, and remembers in which state it saw them. One goroutine uses it.
type reader struct {
	server *Server
	seen   map[string]store.Revision // 0: there was none
}

var _ kinds.Reader = (*reader)(nil)

// Get returns an object's newest state; nil also for a resource that is not served.
func (r *reader) Get(res schema.GroupVersionResource, namespace, name string) kinds.Object {
	k := r.server.kinds[res]
	if k == nil {
		return nil
	}
	key := keyOf(k, namespace, name)
	item, ok := r.server.Store.Head(key)
	if r.seen == nil {
		r.seen = map[string]store.Revision{}
	}
	if !ok {
		r.seen[key] = 0
		return nil
	}
	r.seen[key] = item.Revision
	obj, err := Object(&item)
	if err != nil {
		return nil // reported by who reads it for itself
	}
	return obj
}

// Each calls f with the objects of the table.
func (r *reader) Each(res schema.GroupVersionResource, namespace string, f func(kinds.Object) bool) {
	k := r.server.kinds[res]
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

// claim asks obj's kind for the writes that go with it: next is nil when old is removed, old is nil for a new object.
func (s *Server) claim(req Request, next, old kinds.Object) (further, error) {
	if req.Kind.Claim == nil {
		return further{}, nil
	}
	see := &reader{server: s}
	writes, err := req.Kind.Claim(s.env(req), next, old, see)
	if err != nil {
		return further{}, err
	}
	var out further
	for _, w := range writes {
		k := s.kinds[w.Resource]
		if k == nil {
			return further{}, apierrors.NewInternalError(&unservedError{w.Resource})
		}
		key := keyOf(k, w.Namespace, w.Name)
		change := store.Change{Key: key}
		if w.Object != nil {
			if change.Value, err = encodeStored(k, copyOf(w.Object)); err != nil {
				return further{}, apierrors.NewInternalError(err)
			}
		}
		rev, seen := see.seen[key]
		if !seen {
			see.Get(w.Resource, w.Namespace, w.Name)
			rev = see.seen[key]
		}
		if w.Object == nil && rev == 0 {
			continue // it is gone already
		}
		out.conditions = append(out.conditions, store.Condition{Key: key, Revision: rev})
		out.changes = append(out.changes, change)
	}
	return out, nil
}

// unservedError: a kind wants to write what is not served.
type unservedError struct{ res schema.GroupVersionResource }

func (e *unservedError) Error() string { return e.res.String() + " is not served" }
