package clienttest

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/diff"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	administrator = "admin"
	masters       = "system:masters"
	home          = metav1.NamespaceDefault
	// patience is how long a trial may take; a change that never comes ends it then.
	patience = time.Minute
)

// bench is what a trial works with. Its methods write as the administrator and fail the trial when the API refuses; those that
// may be called by several goroutines say so.
type bench struct {
	*testing.T
	Harness
	ctx   context.Context
	admin client.Client

	mu   sync.Mutex // guards all below
	last uint64     // the newest revision that was written through the bench, and where
	at   client.Resource
}

func newBench(t *testing.T, h Harness) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &bench{T: t, Harness: h, ctx: ctx, admin: h.Client(administrator, masters)}
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// wrote remembers a write, so that the next view shows it. Any goroutine may call it.
func (b *bench) wrote(res client.Resource, rev uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rev > b.last {
		b.last, b.at = rev, res
	}
}

func (b *bench) create(res client.Resource, obj kinds.Object) kinds.Object {
	b.Helper()
	out, err := b.admin.Create(b.ctx, res, obj, metav1.CreateOptions{})
	b.must(err)
	b.wrote(res, b.revision(out))
	return out
}

func (b *bench) update(res client.Resource, obj kinds.Object, subresource string) kinds.Object {
	b.Helper()
	out, err := b.admin.Update(b.ctx, res, obj, subresource)
	b.must(err)
	b.wrote(res, b.revision(out))
	return out
}

// patch merges data into an object of the namespace home.
func (b *bench) patch(res client.Resource, name, data string) kinds.Object {
	b.Helper()
	out, err := b.admin.Patch(b.ctx, res, home, name, types.MergePatchType, []byte(data), "")
	b.must(err)
	b.wrote(res, b.revision(out))
	return out
}

// remove deletes an object of the namespace home.
func (b *bench) remove(res client.Resource, name string, opts metav1.DeleteOptions) uint64 {
	b.Helper()
	rev, err := b.admin.Delete(b.ctx, res, home, name, opts)
	b.must(err)
	b.wrote(res, rev)
	return rev
}

// get returns an object of the namespace home.
func (b *bench) get(res client.Resource, name string) kinds.Object {
	b.Helper()
	out, err := b.admin.Get(b.ctx, res, home, name)
	b.must(err)
	return out
}

// view returns a view that shows all that was written through the bench. One that lags is waited for as any component can: by
// following the resource that was written last.
func (b *bench) view() client.View {
	b.Helper()
	b.mu.Lock()
	last, at := b.last, b.at
	b.mu.Unlock()
	view, err := b.admin.View(b.ctx)
	b.must(err)
	if view.Revision() >= last {
		return view
	}
	s := b.watch(at, view.Revision(), "", "")
	for s.next().Revision < last {
	}
	view, err = b.admin.View(b.ctx)
	b.must(err)
	if view.Revision() < last {
		b.Fatalf("a view at %d was taken after a change at %d was delivered", view.Revision(), last)
	}
	return view
}

// reader is a stream with the bench's patience.
type reader struct {
	b      *bench
	stream client.Stream
}

func (b *bench) watch(res client.Resource, after uint64, index, value string) reader {
	b.Helper()
	s, err := b.admin.Watch(b.ctx, res, after, index, value)
	b.must(err)
	return reader{b, s}
}

func (r reader) next() client.Change {
	r.b.Helper()
	change, err := r.stream.Next(r.b.ctx)
	r.b.must(err)
	return change
}

// revision is an object's resourceVersion. Any goroutine may call it.
func (b *bench) revision(obj kinds.Object) uint64 {
	b.Helper()
	rev, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
	if err != nil || rev == 0 {
		b.Errorf("%s: resourceVersion %q is no revision", obj.GetName(), obj.GetResourceVersion())
	}
	return rev
}

// same compares objects but for their own kind and apiVersion, which may be empty.
func (b *bench) same(what string, got, want kinds.Object) {
	b.Helper()
	got, want = plain(got), plain(want)
	if !equality.Semantic.DeepEqual(got, want) {
		b.Errorf("%s: want -, got +\n%s", what, diff.Diff(want, got))
	}
}

func plain(obj kinds.Object) kinds.Object {
	out := clone(obj)
	out.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return out
}

func clone[T kinds.Object](obj T) T { return obj.DeepCopyObject().(T) }

// refused wants an error of a class with a text; text "" leaves it open.
func (b *bench) refused(what string, err error, is func(error) bool, text string) {
	b.Helper()
	switch {
	case err == nil:
		b.Errorf("%s: it was done", what)
	case !is(err):
		b.Errorf("%s: %v is of the wrong class (%T)", what, err, err)
	case text != "" && err.Error() != text:
		b.Errorf("%s:\n  says %s\n  want %s", what, err, text)
	}
}

// equal compares lists of what a trial has seen.
func equal[T comparable](b *bench, what string, got, want []T) {
	b.Helper()
	if !slices.Equal(got, want) {
		b.Errorf("%s:\n  got  %v\n  want %v", what, got, want)
	}
}

// second drops the answer of a call that is to be refused.
func second[T any](_ T, err error) error { return err }
