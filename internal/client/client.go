// Package client is how floe's components reach the API: one small interface, implemented in process and,
// later, over HTTPS. No component knows which of the two it holds.
//
// # Vocabulary
//
// A resource is named by its group, version and plural. A view is a local, complete copy of resources at one
// revision. A stream is a reader's place in the changes of one resource. A cause is why a write was made.
//
// # Laws
//
//   - Objects that come from a view, a stream, Get or a write are shared and immutable: copy before changing. Their own kind and apiVersion
//     may be empty: the resource says what they are.
//   - Every write goes through the API's whole path from audit on, with the identity that the client was made for, and returns when it is
//     durable. When ctx ends first, its outcome is unknown; the error's class says nothing then.
//   - A view, a change and a returned object state a revision. A view stands between transactions, and shows each whole or not at all.
//   - What one client gives out never goes back: a view is at or after every view and every change that it gave out before.
//   - A view may be older than an acknowledged write, even the client's own. Who must not act on such a view holds its revision
//     against those of its writes, deletions included.
//   - A stream from a view's revision sees every later change exactly once, in order, or ends with an error for which IsExpired is
//     true: then take a new view, which can be followed again.
//   - Errors are apierrors.StatusError with upstream's reasons and texts; branch with apierrors.IsNotFound and its siblings. Only ctx's
//     own errors come as they are.
//
// # The two implementations
//
// Both pass the suite in clienttest. In process the view is the server's own table, so it shows every acknowledged write and every resource, and neither
// it nor a stream asks for rights: which parts of floe read what is declared, not granted. Get and writes ask.
// A remote one keeps a table of its own, fed by the server. It may:
//
//   - know only the resources, and the selections of them, that were declared when it was made. A component declares all that it
//     views and watches; reading others is a broken law and panics in View's methods. Get and writes reach everything.
//   - lag, by what the network takes or as long as it is cut off. View waits for the first load, and never after it.
//   - lose its place in the server's log. It then reads the state anew and applies the difference as changes to its own table; streams from
//     before end as expired.
//
// It may not go back, skip, repeat or tear a change, send a write twice whose outcome it does not know, keep writes for later, or change
// an error's reason and text. Get is never served from its table. The cause, and the revision of a write whose answer
// holds no object, travel in headers.
//
// # What it leaves to others
//
// Who may do what, validation and storage belong to api. Retrying belongs to the caller: a write that
// conflicts returns the conflict.
package client

import (
	"context"
	"iter"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Resource names what is read or written.
type Resource = schema.GroupVersionResource

// Client is the API as components see it. Implementations are safe for concurrent use.
type Client interface {
	Reader
	Writer
	// Bind creates many bindings, each an ordinary pods/binding create that succeeds or fails alone; they
	// share as few syncs as the store can. The result has one error (or nil) for each, in order. Of two bindings of one pod at most one
	// succeeds. The bindings are not changed.
	Bind(ctx context.Context, bindings []*corev1.Binding) []error
}

// Reader reads. Objects are shared and immutable.
type Reader interface {
	// Get returns the newest acknowledged state of one object; NotFound when there is none. namespace is "" for kinds without one.
	Get(ctx context.Context, res Resource, namespace, name string) (kinds.Object, error)
	// View returns the newest state, as far as the client knows it, of all resources that it was made for.
	View(ctx context.Context) (View, error)
	// Watch follows res after revision, which a view or a change of this client stated: every later change, or only those of objects that
	// had or have value in index (index "": all). It opens nothing that must be closed. It returns an expired error when
	// changes after that revision are no longer kept, and another one for a revision that the client has not stated or an index that the kind
	// does not declare.
	Watch(ctx context.Context, res Resource, after uint64, index, value string) (Stream, error)
}

// Writer writes. The object given is not changed and may be reused; the stored one is returned, with the revision of the write's record
// as its resourceVersion (that of the object's last record when the write changed nothing). This also holds when the write removed the
// object, as an update that takes the last finalizer does: it is returned as it last was.
type Writer interface {
	// Create stores a new object in the namespace that it names. The server makes up its name when it has a generateName only.
	Create(ctx context.Context, res Resource, obj kinds.Object, opts metav1.CreateOptions) (kinds.Object, error)
	// Update replaces an object, or with subresource "status" only its status. Its resourceVersion and its UID, when set, are
	// preconditions: Conflict.
	Update(ctx context.Context, res Resource, obj kinds.Object, subresource string) (kinds.Object, error)
	// Patch changes what data, a JSON patch, merge patch or strategic merge patch, says of the newest state. A resourceVersion or UID in
	// it is a precondition; without one Patch does not conflict.
	Patch(ctx context.Context, res Resource, namespace, name string, pt types.PatchType, data []byte, subresource string) (kinds.Object, error)
	// Apply declares the fields of data, an object in JSON with its apiVersion and kind, to be manager's (server-side apply), and takes them from whoever else has
	// them. Fields that manager declared before and does not now are removed. An object that is not there is created, but not a subresource of one: NotFound.
	Apply(ctx context.Context, res Resource, namespace, name string, data []byte, manager, subresource string) (kinds.Object, error)
	// Delete removes an object, or marks it as being deleted when its grace period or a finalizer holds it. It returns the revision of the record
	// that does so: a view at or after it shows the deletion. When nothing changed (the object was marked before, or a dry run)
	// that is the object's own; 0 with an error.
	Delete(ctx context.Context, res Resource, namespace, name string, opts metav1.DeleteOptions) (uint64, error)
}

// View is a state at one revision. It is immutable, needs no closing and may be read by any number of goroutines. It panics
// when asked for a resource that the client was not made for. Nothing is found of one that is not served, no longer or not yet, since what is
// served changes while a view is held.
type View interface {
	// Revision is that of the last record in the view, or later where later records are none of the client's.
	Revision() uint64
	// Get returns nil when there is no such object.
	Get(res Resource, namespace, name string) kinds.Object
	// List goes through a namespace ("" means all) in key order, which is the byte order of namespace/name.
	List(res Resource, namespace string) iter.Seq[kinds.Object]
	// Lookup goes through the objects that have value in the named index of the kind, in key order. Every kind has the index
	// OwnerIndex beside those that it declares; it panics for another.
	Lookup(res Resource, index, value string) iter.Seq[kinds.Object]
}

// OwnerIndex is the index that every kind has: the UIDs of an object's owners.
const OwnerIndex = "owner"

// Change is one change of one object: New nil means deleted, Old nil created. A stream that is narrowed to an index value gives both whole,
// whichever of them has the value.
type Change struct {
	New, Old kinds.Object
	Revision uint64
}

// Newest is the object as the change left it, or as it last was when it is deleted.
func (c Change) Newest() kinds.Object {
	if c.New != nil {
		return c.New
	}
	return c.Old
}

// Stream delivers changes in order to one goroutine.
type Stream interface {
	// Next blocks until there is a change or ctx ends. Its errors:
	//
	//   - ctx's own: nothing is lost, and the stream goes on with the next call.
	//   - one for which IsExpired is true: the reader fell behind what is kept. The stream is dead; take a new view.
	//   - any other, such as ServiceUnavailable of a server that stops: the stream is dead; rest before trying again.
	//
	// A lost connection is no error while the implementation can find its place again.
	Next(ctx context.Context) (Change, error)
}

// IsExpired says that a revision, or a stream's place, is no longer kept: take a new view and follow from there.
func IsExpired(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }

type causeKey struct{}

// WithCause says why the writes made with the returned context happen, such as "deployment
// default/web@1234". It ends up in the log's records. A context that has a cause already gets the new one instead.
func WithCause(ctx context.Context, cause string) context.Context {
	return context.WithValue(ctx, causeKey{}, cause)
}

// Cause returns what WithCause set; "" when nothing was.
func Cause(ctx context.Context) string {
	cause, _ := ctx.Value(causeKey{}).(string)
	return cause
}
