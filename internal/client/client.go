// Package client is how floe's components reach the API: one small interface, implemented in process and,
// later, over HTTPS. No component knows which of the two it holds.
//
// # Vocabulary
//
// A resource is named by its group, version and plural. A view is a local, complete copy of resources at one
// revision. A stream is a reader's place in the changes of one resource.
//
// # Laws
//
//   - Objects that come from a view, a stream, Get or List are shared and immutable: copy before changing.
//   - Every write goes through the API's whole path from audit on, with the identity that the client was made for.
//   - A list, view or stream states its revision; a stream from a view's revision sees every later change
//     exactly once, in order, or ends with an error for which IsExpired is true: then take a new view.
//   - Errors are apierrors.StatusError as upstream's; branch with apierrors.IsNotFound and its siblings.
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
	// share as few syncs as the store can. The result has one error (or nil) for each, in order.
	Bind(ctx context.Context, bindings []*corev1.Binding) []error
}

// Reader reads. Objects are shared and immutable.
type Reader interface {
	// Get returns the newest acknowledged state of one object.
	Get(ctx context.Context, res Resource, namespace, name string) (kinds.Object, error)
	// View returns the newest acknowledged state of all resources that the client was made for.
	View(ctx context.Context) (View, error)
	// Watch follows res after revision: every later change, or only those of objects that had or have value in
	// index (index "": all). It opens nothing that must be closed.
	Watch(ctx context.Context, res Resource, after uint64, index, value string) (Stream, error)
}

// Writer writes. The object given is not changed and may be reused; the stored one is returned.
type Writer interface {
	Create(ctx context.Context, res Resource, obj kinds.Object, opts metav1.CreateOptions) (kinds.Object, error)
	// Update replaces an object, or with subresource "status" only its status. Its resourceVersion, when set, is a
	// precondition.
	Update(ctx context.Context, res Resource, obj kinds.Object, subresource string) (kinds.Object, error)
	Patch(ctx context.Context, res Resource, namespace, name string, pt types.PatchType, data []byte, subresource string) (kinds.Object, error)
	Delete(ctx context.Context, res Resource, namespace, name string, opts metav1.DeleteOptions) error
}

// View is a state at one revision. It is immutable and needs no closing.
type View interface {
	Revision() uint64
	// Get returns nil when there is no such object.
	Get(res Resource, namespace, name string) kinds.Object
	// List goes through a namespace ("" means all) in key order.
	List(res Resource, namespace string) iter.Seq[kinds.Object]
	// Lookup goes through the objects that have value in the named index of the kind, in key order.
	Lookup(res Resource, index, value string) iter.Seq[kinds.Object]
}

// Change is one change of one object: New nil means deleted, Old nil created.
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
	// Next blocks until there is a change or ctx ends. After an expired error the stream is dead.
	Next(ctx context.Context) (Change, error)
}

type causeKey struct{}

// WithCause says why the writes made with the returned context happen, such as "deployment
// default/web@1234". It ends up in the log's records.
func WithCause(ctx context.Context, cause string) context.Context {
	return context.WithValue(ctx, causeKey{}, cause)
}

// Cause returns what WithCause set; "" when nothing was.
func Cause(ctx context.Context) string {
	cause, _ := ctx.Value(causeKey{}).(string)
	return cause
}
