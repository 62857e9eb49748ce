package api

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/api/managed"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/observe/aside"
	"github.com/floe-k8s/floe/internal/store"
)

// attempts bounds how often a write is computed again after it lost a race.
const attempts = 64

// Result is what answers a request. Object is shared unless said otherwise. Item is set when Object is exactly what
// the table holds, so that cached encodings serve. Of what was only read Object is nil: Decoded makes it, for those who need it.
type Result struct {
	Object runtime.Object
	Item   *store.Item
	// Created: the object did not exist before. Removed: it is gone, and Object is its last state.
	Created, Removed bool
	// Revision is that of the record that a write made, a deletion included; that of the object's last record when it made none, and 0 for
	// what was not written at all. Reads leave it 0.
	Revision store.Revision
	Warnings []string // for who asked
}

// Decoded returns Object, or the object that Item holds, which is shared.
func (r Result) Decoded() (runtime.Object, error) {
	if r.Object != nil || r.Item == nil {
		return r.Object, nil
	}
	return Object(r.Item)
}

// decision is an object's next state. next is private to revise; nil with remove set keeps what old was as the answer.
type decision struct {
	next    kinds.Object
	remove  bool
	marks   bool    // of a removal: next differs from what was stored by when it is over
	further further // what is committed with next
	beside  further // what is committed with it, be it next or a removal
	dryRun  bool    // asked for by the request's body
}

// revise computes an object's next state from its head and commits it. decide must not change old. dryRun commits nothing.
func (s *Server) revise(ctx context.Context, req Request, dryRun bool, decide func(old kinds.Object) (decision, error)) (Result, error) {
	for range attempts {
		item, ok := s.Store.Head(req.key())
		if !ok {
			return Result{}, s.settle(ctx, item.Revision, apierrors.NewNotFound(req.resource(), req.Name))
		}
		old, err := ObjectOf(req.Kind, &item)
		if err != nil {
			return Result{}, internal(err)
		}
		d, err := decide(old)
		if err != nil {
			return Result{}, s.settle(ctx, item.Revision, Classed(err))
		}
		result, err := s.replace(ctx, req, &item, old, d, dryRun)
		if errors.Is(err, store.ErrTooLarge) && forgo(req, d.next) {
			result, err = s.replace(ctx, req, &item, old, d, dryRun)
		}
		if !errors.Is(err, store.ErrConflict) {
			return result, storeError(err)
		}
	}
	return Result{}, apierrors.NewServerTimeout(req.resource(), "update", 1)
}

// replace commits one decision about item.
func (s *Server) replace(ctx context.Context, req Request, item *store.Item, old kinds.Object, d decision, dryRun bool) (Result, error) {
	change := store.Change{Key: item.Key}
	further := d.further
	if d.remove { // what it would have become takes nothing
		var err error
		if further, err = s.claim(ctx, req, nil, old, dryRun); err != nil {
			return Result{}, s.settle(ctx, item.Revision, err)
		}
	} else {
		change.Minor = minor(req.Kind, old, d.next)
		value, err := encodeNext(req.Kind, item, old, d.next)
		if err != nil {
			return Result{}, err
		}
		if item.Is(value) && len(further.changes)+len(d.beside.changes) == 0 && (dryRun || d.dryRun || !s.Store.Stale(ctx, item.Key)) { // nothing changed: nothing is written, as upstream
			d.next.SetResourceVersion(Version(item.Revision))
			typed(req.Kind, d.next)
			return Result{Object: d.next, Item: item, Revision: item.Revision}, s.settle(ctx, item.Revision, nil)
		}
		change.Value = value
	}
	result := Result{Object: d.next, Removed: d.remove, Revision: item.Revision}
	if dryRun || d.dryRun {
		if !d.remove {
			d.next = s.readBack(req.Kind, change.Value, d.next)
			result.Object = d.next
		}
		d.next.SetResourceVersion(Version(item.Revision))
		typed(req.Kind, d.next)
		return result, s.settle(ctx, item.Revision, nil)
	}
	revs, err := s.commit(ctx, store.Txn{
		Conditions: slices.Concat([]store.Condition{{Key: item.Key, Revision: item.Revision}}, further.conditions, d.beside.conditions),
		Changes:    slices.Concat([]store.Change{change}, further.changes, d.beside.changes),
		Actor:      req.User.Name, Cause: req.Cause,
	})
	if err != nil {
		return Result{}, err
	}
	result.Revision = revs[0]
	d.next.SetResourceVersion(Version(revs[0]))
	if d.remove { // what an update removes is answered as it last was
		d.next.SetResourceVersion(Version(item.Revision))
	}
	typed(req.Kind, d.next)
	s.found(&result, item.Key)
	return result, nil
}

// commit is the store's. The audit trail may keep how long it took.
func (s *Server) commit(ctx context.Context, txn store.Txn) ([]store.Revision, error) {
	defer audit.From(ctx).Timed(audit.Storage)()
	defer aside.Step(ctx)() // it waits for the disk
	return s.Store.Commit(ctx, txn)
}

// found lets what the table has of an object that was just written answer for it: what is stored has no empty lists, and is written without encoding it.
func (s *Server) found(result *Result, key string) {
	if item := s.Store.Snapshot().Get(key); item != nil && item.Revision == result.Revision {
		result.Item = item
	}
}

// readBack is what would be read of obj, private to the caller, had value been stored.
func (s *Server) readBack(k *kinds.Kind, value []byte, obj kinds.Object) kinds.Object {
	if k.Dynamic != nil {
		return s.shown(k, value, obj)
	}
	stored, err := decodeStored(k.Stored(), envelopeHeader(k.Stored().GVK), store.NewItem("", value, 0))
	if err != nil {
		return obj // it was encoded just now
	}
	return stored
}

// shown is what a dynamic kind's clients see of a stored value. The version that it is stored in has no other form than obj; others get that one's defaults.
func (s *Server) shown(k *kinds.Kind, value []byte, obj kinds.Object) kinds.Object {
	if k.Dynamic.Show == nil {
		return obj
	}
	for _, hub := range s.Catalog().All() {
		if hub.Dynamic == nil || hub.Dynamic.Load == nil || hub.Prefix() != k.Prefix() {
			continue
		}
		stored, err := hub.Dynamic.Load(value)
		if err == nil {
			stored, err = k.Dynamic.Show(stored)
		}
		if err == nil {
			return stored
		}
	}
	return obj // it was encoded just now
}

// encodeNext is encodeStored of an object's next state. Where it differs from what is stored in nothing but when somebody wrote, it is what is stored.
func encodeNext(k *kinds.Kind, item *store.Item, old, next kinds.Object) ([]byte, error) {
	value, err := encodeStored(k, next)
	late := next.GetManagedFields()
	if err != nil || item.Is(value) || !managed.OnlyTimesDiffer(old.GetManagedFields(), late) {
		return value, err
	}
	next.SetManagedFields(old.GetManagedFields())
	if again, err := encodeStored(k, next); err != nil || item.Is(again) {
		return again, err
	}
	next.SetManagedFields(late)
	return value, nil
}

// insert commits a new object, on condition that its key is free and that what it rests on stands as it was found. obj is private. It returns
// store.ErrConflict when that has changed and obj is to be prepared anew.
func (s *Server) insert(ctx context.Context, req Request, obj kinds.Object, rests rests, dryRun bool) (Result, error) {
	sent := obj.GetResourceVersion()
	version, _ := parseVersion(sent) // what is no number is passed over, as upstream
	if version != 0 && !dryRun {
		return Result{}, plain("resourceVersion should not be set on objects to be created")
	}
	key := keyOf(req.Kind, obj.GetNamespace(), obj.GetName())
	for range attempts {
		value, err := encodeStored(req.Kind, obj)
		if err != nil {
			return Result{}, internal(err)
		}
		if req.Kind.CreatedBare {
			value = bare(value)
		}
		charged, err := rests.asked.charge(ctx)
		if err != nil {
			return Result{}, err
		}
		conditions := slices.Concat([]store.Condition{{Key: key}}, rests.further.conditions, charged.conditions)
		if rests.namespace.Key != "" {
			conditions = append(conditions, rests.namespace)
		}
		if item, ok := s.Store.Head(key); ok {
			return Result{}, s.settle(ctx, item.Revision, apierrors.NewAlreadyExists(req.resource(), obj.GetName()))
		}
		result := Result{Object: obj, Created: true}
		if !dryRun {
			revs, err := s.commit(ctx, store.Txn{
				Conditions: conditions,
				Changes:    slices.Concat([]store.Change{{Key: key, Value: value, Minor: minor(req.Kind, nil, obj)}}, rests.further.changes, charged.changes),
				Actor:      req.User.Name, Cause: req.Cause,
			})
			if errors.Is(err, store.ErrConflict) {
				if req.Kind.Claim != nil {
					return Result{}, err
				}
				if rests.namespace, err = s.namespaceAccepts(ctx, req, obj); err != nil {
					return Result{}, err
				}
				continue
			}
			if err != nil {
				return Result{}, storeError(err)
			}
			result.Revision = revs[0]
			obj.SetResourceVersion(Version(revs[0]))
			s.found(&result, key)
		} else {
			obj = s.readBack(req.Kind, value, obj)
			obj.SetResourceVersion(sent) // nothing gave it another
			result.Object = obj
		}
		typed(req.Kind, obj)
		return result, nil
	}
	return Result{}, apierrors.NewServerTimeout(req.resource(), "create", 1)
}

// tell tells the writer of obj what its kind warns of, before admission plug-ins have the last word.
func (r Request) tell(obj, old kinds.Object) {
	if r.Kind.Warnings == nil || r.Warn == nil {
		return
	}
	for _, text := range r.Kind.Warnings(obj, old) {
		r.Warn(text)
	}
}

// minor says whether history may drop the version that a change makes once there is a newer one.
func minor(k *kinds.Kind, old, obj kinds.Object) bool { return k.Minor != nil && k.Minor(old, obj) }

// isDryRun reads the options' list, whose only value is All.
func isDryRun(list []string) bool { return slices.Contains(list, metav1.DryRunAll) }
