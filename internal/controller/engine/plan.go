package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/invariants"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Plan is what a reconcile asks for. The zero plan asks for nothing.
type Plan struct {
	// Writes are done in order. Neighbours with the same Batch above 0 are done together. After a write or a
	// batch that failed, the rest is not done.
	Writes []Write
	// OnFailure, when set, gives the writes to do when Writes failed with err, such as a condition. err is a *WriteError, or of a batch what
	// errors.Join makes of those that failed, in the batch's order.
	OnFailure func(err error) []Write
	// Events are recorded after all Writes succeeded.
	Events []Event
	// FailureEvents, when set, gives the events to record when Writes failed with err, beside those of the writes. err is as in OnFailure.
	FailureEvents func(err error) []Event
	// After is when to look again without a change; 0 means never.
	After time.Duration
	// Failed, when set, makes the plan count as failed after all else is done, so that it is tried again with back-off instead of After.
	Failed error
	// Waiting says what the plan waits for, for people; "" when for nothing.
	Waiting string
}

// Verb is what a write does.
type Verb int

// The verbs of writes.
const (
	Create Verb = iota
	Update
	Delete
	Patch
	Apply
)

// String is the verb as errors name it.
func (v Verb) String() string { return [...]string{"create", "update", "delete", "patch", "apply"}[v] }

// Write is one write. Object is required for Create and Update, and is not changed; its resourceVersion is a
// precondition.
type Write struct {
	Verb            Verb
	Resource        client.Resource
	Object          kinds.Object
	Subresource     string // of an Update, a Patch or an Apply: "status", "finalize" or ""
	Namespace, Name string // of a Delete, a Patch and an Apply
	Options         metav1.DeleteOptions
	Data            []byte // a merge patch (RFC 7386), or an object that is applied
	Manager         string // of an Apply: whose the fields are to be
	Batch           int
	// Then, when set, says what to write next, on what is stored after this one succeeded, such as metadata after a status, neither of which may be of another version
	// than the other; nil: nothing. Both are one write to all others: its outcome is that of the last.
	Then func(stored kinds.Object) *Write
	// Event, when set, tells of the write done or failed. stored is nil after a Delete or a failure.
	Event func(stored kinds.Object, err error) *Event
}

// NewCreate, NewUpdate and NewDelete make the common writes.
func NewCreate(res client.Resource, obj kinds.Object) Write {
	return Write{Verb: Create, Resource: res, Object: obj}
}

// NewUpdate replaces obj, or its subresource.
func NewUpdate(res client.Resource, obj kinds.Object, subresource string) Write {
	return Write{Verb: Update, Resource: res, Object: obj, Subresource: subresource}
}

// NewDelete deletes exactly this obj (its UID is a precondition). policy "" leaves the default. See also Write.AsSeen.
func NewDelete(res client.Resource, obj kinds.Object, policy metav1.DeletionPropagation) Write {
	uid := obj.GetUID()
	w := Write{Verb: Delete, Resource: res, Namespace: obj.GetNamespace(), Name: obj.GetName()}
	w.Options.Preconditions = &metav1.Preconditions{UID: &uid}
	if policy != "" {
		w.Options.PropagationPolicy = &policy
	}
	return w
}

// NewPatch merges fields, by their names in JSON, into exactly this obj: its UID is a precondition. A controller patches where its user, as upstream's, may not
// update.
func NewPatch(res client.Resource, obj kinds.Object, fields map[string]any) Write {
	w := Write{Verb: Patch, Resource: res, Namespace: obj.GetNamespace(), Name: obj.GetName()}
	meta, _ := fields["metadata"].(map[string]any)
	meta = maps.Clone(meta)
	if meta == nil {
		meta = map[string]any{}
	}
	meta["uid"] = obj.GetUID()
	fields = maps.Clone(fields)
	fields["metadata"] = meta
	w.Data = encoded(res, fields)
	return w
}

// NewApply declares fields, by their names in JSON, to be a manager's, of the object or its subresource. A controller applies where upstream's of its name does, so that
// managedFields say the same.
func NewApply(gvk schema.GroupVersionKind, res client.Resource, obj kinds.Object, manager string, fields map[string]any, subresource string) Write {
	w := Write{Verb: Apply, Resource: res, Namespace: obj.GetNamespace(), Name: obj.GetName(), Manager: manager, Subresource: subresource}
	meta := map[string]any{"name": w.Name}
	if w.Namespace != "" {
		meta["namespace"] = w.Namespace
	}
	fields = maps.Clone(fields)
	fields["apiVersion"], fields["kind"], fields["metadata"] = gvk.GroupVersion().String(), gvk.Kind, meta
	w.Data = encoded(res, fields)
	return w
}

func encoded(res client.Resource, fields map[string]any) []byte {
	data, err := json.Marshal(fields)
	if err != nil {
		panic(fmt.Sprintf("engine: a write of %s that is no JSON: %v", resourceName(res), err))
	}
	return data
}

// AsSeen makes a deletion fail when obj, which it deletes, is no longer as it was read: with a conflict.
func (w Write) AsSeen(obj kinds.Object) Write {
	p, version := *w.Options.Preconditions, obj.GetResourceVersion()
	p.ResourceVersion = &version
	w.Options.Preconditions = &p
	return w
}

// WriteError is the error of one write of a plan.
type WriteError struct {
	Verb     string // "create", "update", "delete", "patch" or "apply"
	Resource client.Resource
	Object   kinds.Object // of a create or an update: what was to be stored
	Err      error        // the API's
}

// Error names the write too.
func (e *WriteError) Error() string {
	return e.Verb + " " + resourceName(e.Resource) + ": " + e.Err.Error()
}

// Unwrap is the API's error.
func (e *WriteError) Unwrap() error { return e.Err }

// WriteErrors are the errors of writes in the error that a plan's writes failed with: one, or those of a batch in its order.
func WriteErrors(err error) (list []*WriteError) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // what errors.Join makes, and nothing that wraps it
		all = joined.Unwrap()
	}
	for _, one := range all {
		var write *WriteError
		if errors.As(one, &write) {
			list = append(list, write)
		}
	}
	return list
}

// Refer names obj in an event.
func Refer(apiVersion, kind string, obj kinds.Object) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: apiVersion, Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName(),
		UID: obj.GetUID(), ResourceVersion: obj.GetResourceVersion()}
}

// carryOut does the writes and returns the highest revision that one of them made, and the first error.
func (l *loop) carryOut(ctx context.Context, writes []Write) (uint64, error) {
	var high uint64
	for start := 0; start < len(writes); {
		end := start + 1
		for end < len(writes) && writes[start].Batch > 0 && writes[end].Batch == writes[start].Batch {
			end++
		}
		rev, err := l.together(ctx, writes[start:end])
		high = max(high, rev)
		if err != nil {
			return high, err
		}
		start = end
	}
	return high, nil
}

// together does one batch, at most 16 writes at a time.
func (l *loop) together(ctx context.Context, batch []Write) (uint64, error) {
	if len(batch) == 1 {
		return l.write(ctx, batch[0])
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards high
		high  uint64
		errs  = make([]error, len(batch))
		slots = make(chan struct{}, 16) // as many writes in flight
	)
	for i, w := range batch {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			rev, err := l.write(ctx, w)
			errs[i] = err
			mu.Lock()
			defer mu.Unlock()
			high = max(high, rev)
		})
	}
	wg.Wait()
	return high, errors.Join(errs...)
}

// write does one write, tells of it, and returns its revision.
func (l *loop) write(ctx context.Context, w Write) (uint64, error) {
	if invariants.Enabled && !l.ctl.writes(w.Resource) {
		panic(fmt.Sprintf("controller %s writes %s, which is none of its outputs", l.ctl.Name, resourceName(w.Resource)))
	}
	stored, rev, err := w.Do(ctx, l.client)
	if w.Event != nil {
		if ev := w.Event(stored, err); ev != nil {
			l.events.Record(ctx, *ev)
		}
	}
	if err != nil {
		return 0, &WriteError{Verb: w.Verb.String(), Resource: w.Resource, Object: w.Object, Err: err}
	}
	return rev, nil
}

// Do does the write alone, and returns what is stored now (nil after a deletion) and the revision of that. Deleting what is gone already succeeds, without a revision.
func (w Write) Do(ctx context.Context, c client.Client) (stored kinds.Object, rev uint64, err error) {
	switch w.Verb {
	case Create:
		stored, err = c.Create(ctx, w.Resource, w.Object, metav1.CreateOptions{})
	case Update:
		stored, err = c.Update(ctx, w.Resource, w.Object, w.Subresource)
	case Patch:
		stored, err = c.Patch(ctx, w.Resource, w.Namespace, w.Name, types.MergePatchType, w.Data, w.Subresource)
	case Apply:
		stored, err = c.Apply(ctx, w.Resource, w.Namespace, w.Name, w.Data, w.Manager, w.Subresource)
	case Delete:
		if rev, err = c.Delete(ctx, w.Resource, w.Namespace, w.Name, w.Options); apierrors.IsNotFound(err) {
			return nil, 0, nil
		}
	default:
		panic(fmt.Sprintf("engine: write with unknown verb %d", w.Verb))
	}
	if err == nil && stored != nil {
		rev = revisionOf(stored)
	}
	if err == nil && w.Then != nil {
		if next := w.Then(stored); next != nil {
			return next.Do(ctx, c)
		}
	}
	return stored, rev, err
}
