// Package inprocess is the client of floe's own parts when the API runs in the same process: it calls the verbs directly.
//
// # Laws
//
//   - A call skips TLS, HTTP and encodings and nothing else: it is authorized, admitted, validated and recorded as the identity
//     that the client was made for.
//   - Objects that Get, views and streams give are the table's own, shared by all readers.
//   - A view shows every write that was acknowledged before it was taken, by anyone.
//   - A view may be read only for resources that the identity may list; reading another is a broken law and panics, as a component that
//     needs more must be granted more.
//
// # What it leaves to others
//
// The contract is client's; what verbs do is api's.
package inprocess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

var _ client.Client = (*Client)(nil)

// bindersAtOnce bounds the bindings that wait for one sync together.
const bindersAtOnce = 128

// Client is one identity's way to the API. It is safe for concurrent use.
type Client struct {
	api     *api.Server
	user    auth.User
	manager string
}

// New returns a client that acts as user.
func New(server *api.Server, user auth.User) *Client {
	return &Client{server, user, managerOf(user.Name)}
}

// managerOf is who owns the fields that a component writes: upstream's program that has the component's identity.
func managerOf(user string) string {
	switch name, ok := strings.CutPrefix(user, "system:"); {
	case strings.HasPrefix(name, "node:"):
		return "kubelet"
	case ok && strings.HasPrefix(name, "kube-"):
		return name
	case strings.HasPrefix(name, "serviceaccount:kube-system:"):
		return "kube-controller-manager"
	}
	return "floe"
}

// request names what is wanted. verb is HTTP's, for the answer to a resource that is not served.
func (c *Client) request(ctx context.Context, verb string, res client.Resource, namespace, name, subresource string) (api.Request, error) {
	k := c.api.Kind(res)
	if k == nil { // what client-go makes of the answer to a path that is not served
		return api.Request{}, apierrors.NewGenericServerResponse(http.StatusNotFound, verb, res.GroupResource(), name, "", 0, true)
	}
	return api.Request{User: c.user, Kind: k, Namespace: namespace, Name: name, Subresource: subresource, Cause: client.Cause(ctx), Manager: c.manager}, nil
}

// decoded is what answers a request, in the version that it asks for.
func decoded(req api.Request, r api.Result) (runtime.Object, error) {
	if r.Object == nil && r.Item != nil {
		return api.ObjectOf(req.Kind, r.Item)
	}
	return r.Decoded()
}

// object is what a write or Get of req returns.
func object(req api.Request, r api.Result, err error) (kinds.Object, error) {
	if err != nil {
		return nil, err
	}
	decoded, err := decoded(req, r)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	obj, ok := decoded.(kinds.Object)
	if !ok {
		return nil, fmt.Errorf("the API answered with %T, which is no object", decoded)
	}
	if r.Removed { // the API answers with the version before; no table holds this copy
		obj.SetResourceVersion(api.Version(r.Revision))
	}
	if req.Subresource == "scale" { // a body of its own
		return obj, nil
	}
	return req.Kind.Shown(obj)
}

// Get implements client.Reader.
func (c *Client) Get(ctx context.Context, res client.Resource, namespace, name string) (kinds.Object, error) {
	req, err := c.request(ctx, "get", res, namespace, name, "")
	if err != nil {
		return nil, err
	}
	return c.told(ctx, req, "get", nil, nil, func(ctx context.Context) (api.Result, error) {
		return c.api.Get(ctx, req, metav1.GetOptions{})
	})
}

// Create implements client.Writer.
func (c *Client) Create(ctx context.Context, res client.Resource, obj kinds.Object, opts metav1.CreateOptions) (kinds.Object, error) {
	req, err := c.request(ctx, "post", res, obj.GetNamespace(), "", "")
	if err != nil {
		return nil, err
	}
	return c.told(ctx, req, "create", obj, nil, func(ctx context.Context) (api.Result, error) {
		return c.api.Create(ctx, req, obj, opts)
	})
}

// Update implements client.Writer.
func (c *Client) Update(ctx context.Context, res client.Resource, obj kinds.Object, subresource string) (kinds.Object, error) {
	req, err := c.request(ctx, "put", res, obj.GetNamespace(), obj.GetName(), subresource)
	if err != nil {
		return nil, err
	}
	return c.told(ctx, req, "update", obj, nil, func(ctx context.Context) (api.Result, error) {
		return c.api.Update(ctx, req, obj, metav1.UpdateOptions{})
	})
}

// Patch implements client.Writer.
func (c *Client) Patch(ctx context.Context, res client.Resource, namespace, name string, pt types.PatchType, data []byte, subresource string) (kinds.Object, error) {
	return c.patch(ctx, res, namespace, name, api.Patch{Type: pt, Data: data}, metav1.PatchOptions{}, subresource)
}

// Apply implements client.Writer.
func (c *Client) Apply(ctx context.Context, res client.Resource, namespace, name string, data []byte, manager, subresource string) (kinds.Object, error) {
	force := true
	return c.patch(ctx, res, namespace, name, api.Patch{Type: types.ApplyYAMLPatchType, Data: data}, metav1.PatchOptions{FieldManager: manager, Force: &force}, subresource)
}

func (c *Client) patch(ctx context.Context, res client.Resource, namespace, name string, p api.Patch, opts metav1.PatchOptions, subresource string) (kinds.Object, error) {
	req, err := c.request(ctx, "patch", res, namespace, name, subresource)
	if err != nil {
		return nil, err
	}
	p.Validation, p.Decode = metav1.FieldValidationIgnore, func(doc []byte, into runtime.Object) ([]error, error) {
		return nil, json.Unmarshal(doc, into)
	}
	return c.told(ctx, req, "patch", nil, p.Data, func(ctx context.Context) (api.Result, error) {
		return c.api.Patch(ctx, req, p, opts)
	})
}

// Delete implements client.Writer.
func (c *Client) Delete(ctx context.Context, res client.Resource, namespace, name string, opts metav1.DeleteOptions) (uint64, error) {
	req, err := c.request(ctx, "delete", res, namespace, name, "")
	if err != nil {
		return 0, err
	}
	defer c.counted(req, "delete")()
	ctx, record, err := c.begin(ctx, req, "delete")
	if err != nil {
		return 0, err
	}
	result, err := c.api.Delete(ctx, req, opts)
	if err == nil {
		deleted(record, req, result)
	}
	end(record, http.StatusOK, err)
	if err != nil {
		return 0, err
	}
	return uint64(result.Revision), nil
}

// Bind implements client.Client: the bindings run side by side, so that the log joins them into few syncs.
func (c *Client) Bind(ctx context.Context, bindings []*corev1.Binding) []error {
	errs := make([]error, len(bindings))
	pods := corev1.SchemeGroupVersion.WithResource("pods")
	places := make(chan struct{}, bindersAtOnce)
	var all sync.WaitGroup
	for i, b := range bindings {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			req, err := c.request(ctx, "post", pods, b.Namespace, b.Name, "binding")
			if err == nil {
				err = c.bind(ctx, req, b)
			}
			errs[i] = err
		})
	}
	all.Wait()
	return errs
}

// View implements client.Reader.
func (c *Client) View(context.Context) (client.View, error) {
	return view{c, c.api.Store.Snapshot()}, nil
}

type view struct {
	client   *Client
	snapshot *store.Snapshot
}

// Revision implements client.View.
func (v view) Revision() uint64 { return uint64(v.snapshot.Revision()) }

// kind returns what res is; nil when it is not served.
func (v view) kind(res client.Resource) *kinds.Kind {
	return v.client.api.Kind(res)
}

// Get implements client.View.
func (v view) Get(res client.Resource, namespace, name string) kinds.Object {
	k := v.kind(res)
	if k == nil {
		return nil
	}
	key := k.Prefix() + name
	if k.Namespaced {
		key = k.Prefix() + namespace + "/" + name
	}
	item := v.snapshot.Get(key)
	if item == nil {
		return nil
	}
	obj, err := api.Object(item)
	if err != nil {
		return nil
	}
	return obj
}

// List implements client.View.
func (v view) List(res client.Resource, namespace string) iter.Seq[kinds.Object] {
	k := v.kind(res)
	if k == nil {
		return none
	}
	prefix := k.Prefix()
	if namespace != "" {
		prefix += namespace + "/"
	}
	return v.objects(v.snapshot.Ascend(prefix, ""))
}

// Lookup implements client.View.
func (v view) Lookup(res client.Resource, index, value string) iter.Seq[kinds.Object] {
	k := v.kind(res)
	if k == nil {
		return none
	}
	if index != api.OwnerIndex && !k.Indexed(index) {
		panic(fmt.Sprintf("view of %s by %q: the kind has no such index", res, index)) // it would find nothing, for ever
	}
	return v.objects(v.snapshot.Lookup(k.Prefix(), index, value))
}

// none is the objects of a resource that is not served.
func none(func(kinds.Object) bool) {}

func (v view) objects(items iter.Seq[*store.Item]) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for item := range items {
			// What another program has stored and nobody can read is nobody's to act upon: those who ask the API for it are told.
			if obj, err := api.Object(item); err == nil && !yield(obj) {
				return
			}
		}
	}
}

// Watch implements client.Reader.
func (c *Client) Watch(ctx context.Context, res client.Resource, after uint64, index, value string) (client.Stream, error) {
	req, err := c.request(ctx, "get", res, "", "", "")
	if err != nil {
		return nil, err
	}
	cursor, err := c.api.Follow(req, store.Revision(after), index, value)
	if err != nil {
		return nil, err
	}
	return &stream{cursor}, nil
}

// stream is a cursor in the table's events. One that is dropped is found by the garbage collector.
type stream struct {
	cursor *store.Cursor
}

// Next implements client.Stream.
func (s *stream) Next(ctx context.Context) (client.Change, error) {
	e, err := s.cursor.Next(ctx)
	switch {
	case errors.Is(err, store.ErrExpired), errors.Is(err, store.ErrEnded): // what follows an end stands in a new view, if anything does
		return client.Change{}, apierrors.NewResourceExpired(err.Error())
	case errors.Is(err, store.ErrClosed):
		return client.Change{}, apierrors.NewServiceUnavailable("the server is stopping: " + err.Error())
	case err != nil:
		return client.Change{}, err
	}
	change := client.Change{Revision: uint64(e.Revision)}
	if e.Item != nil {
		if change.New, err = api.Object(e.Item); err != nil {
			return client.Change{}, err
		}
	}
	if e.Previous != nil {
		if change.Old, err = api.Object(e.Previous); err != nil {
			return client.Change{}, err
		}
	}
	return change, nil
}
