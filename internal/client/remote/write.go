package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

// bindersAtOnce bounds the bindings that wait for one sync together. It leaves room among the 200 writes that a server takes at once.
const bindersAtOnce = 100

// target names what is read or written: name "" stands for the collection, into which is created.
func (c *Client) target(method, verb string, res client.Resource, namespace, name, subresource string) (*kinds.Kind, request, error) {
	r := request{method: method, path: collectionPath(res, namespace), verb: verb, res: res, name: name, query: url.Values{}}
	k := c.served[res]
	switch {
	case k == nil: // what upstream's clients make of the answer to a path that is not served
		return nil, r, apierrors.NewGenericServerResponse(http.StatusNotFound, verb, res.GroupResource(), name, "", 0, true)
	case k.Namespaced && namespace == "":
		return nil, r, apierrors.NewBadRequest(fmt.Sprintf("%s: an empty namespace may not be set", res.GroupResource()))
	case method == http.MethodPost && subresource == "":
		return k, r, nil
	case name == "":
		return nil, r, apierrors.NewBadRequest("resource name may not be empty")
	}
	if wrong := content.IsPathSegmentName(name); len(wrong) > 0 {
		return nil, r, apierrors.NewBadRequest(fmt.Sprintf("invalid resource name %q: %v", name, wrong))
	}
	r.path += "/" + url.PathEscape(name)
	if subresource != "" {
		r.path += "/" + url.PathEscape(subresource)
	}
	return k, r, nil
}

// encode wraps an object in its envelope.
func encode(gvk schema.GroupVersionKind, obj any) ([]byte, error) {
	m, ok := obj.(api.Message)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%T has no protobuf encoding", obj))
	}
	return api.Envelope(gvk, m.Size(), func(b []byte) error {
		_, err := m.MarshalToSizedBuffer(b)
		return err
	})
}

// object sends a request whose answer is an object of kind k. A write's has the revision of its record.
func (c *Client) object(ctx context.Context, k *kinds.Kind, r request) (kinds.Object, error) {
	e, revision, err := c.call(ctx, r)
	if err != nil {
		return nil, err
	}
	if e.typ != k.GVK.Kind || e.apiVersion != k.GVK.GroupVersion().String() {
		return nil, apierrors.NewInternalError(fmt.Errorf("%s %s: the server answers with a %s of %s", r.method, r.path, e.typ, e.apiVersion))
	}
	obj := k.New()
	if err := obj.(api.Message).Unmarshal(e.message); err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("%s %s: %w", r.method, r.path, err))
	}
	if revision != 0 { // what an update removes is answered with the version before
		obj.SetResourceVersion(strconv.FormatUint(revision, 10))
	}
	obj.GetObjectKind().SetGroupVersionKind(k.GVK)
	return obj, nil
}

// Get implements client.Reader.
func (c *Client) Get(ctx context.Context, res client.Resource, namespace, name string) (kinds.Object, error) {
	k, r, err := c.target(http.MethodGet, "get", res, namespace, name, "")
	if err != nil {
		return nil, err
	}
	return c.object(ctx, k, r)
}

// Create implements client.Writer.
func (c *Client) Create(ctx context.Context, res client.Resource, obj kinds.Object, opts metav1.CreateOptions) (kinds.Object, error) {
	k, r, err := c.target(http.MethodPost, "post", res, obj.GetNamespace(), obj.GetName(), "")
	if err != nil {
		return nil, err
	}
	for _, v := range opts.DryRun {
		r.query.Add("dryRun", v)
	}
	if opts.FieldManager != "" {
		r.query.Set("fieldManager", opts.FieldManager)
	}
	if opts.FieldValidation != "" {
		r.query.Set("fieldValidation", opts.FieldValidation)
	}
	if r.body, err = encode(k.GVK, obj); err != nil {
		return nil, err
	}
	return c.object(ctx, k, r)
}

// Update implements client.Writer.
func (c *Client) Update(ctx context.Context, res client.Resource, obj kinds.Object, subresource string) (kinds.Object, error) {
	k, r, err := c.target(http.MethodPut, "put", res, obj.GetNamespace(), obj.GetName(), subresource)
	if err != nil {
		return nil, err
	}
	if r.body, err = encode(k.GVK, obj); err != nil {
		return nil, err
	}
	return c.object(ctx, k, r)
}

// Patch implements client.Writer.
func (c *Client) Patch(ctx context.Context, res client.Resource, namespace, name string, pt types.PatchType, data []byte, subresource string) (kinds.Object, error) {
	k, r, err := c.target(http.MethodPatch, "patch", res, namespace, name, subresource)
	if err != nil {
		return nil, err
	}
	r.media, r.body = string(pt), data
	return c.object(ctx, k, r)
}

// Apply implements client.Writer.
func (c *Client) Apply(ctx context.Context, res client.Resource, namespace, name string, data []byte, manager, subresource string) (kinds.Object, error) {
	k, r, err := c.target(http.MethodPatch, "patch", res, namespace, name, subresource)
	if err != nil {
		return nil, err
	}
	r.media, r.body = string(types.ApplyYAMLPatchType), data
	r.query.Set("fieldManager", manager)
	r.query.Set("force", "true")
	return c.object(ctx, k, r)
}

// Delete implements client.Writer.
func (c *Client) Delete(ctx context.Context, res client.Resource, namespace, name string, opts metav1.DeleteOptions) (uint64, error) {
	_, r, err := c.target(http.MethodDelete, "delete", res, namespace, name, "")
	if err != nil {
		return 0, err
	}
	if r.body, err = encode(metav1.SchemeGroupVersion.WithKind("DeleteOptions"), &opts); err != nil {
		return 0, err
	}
	_, revision, err := c.call(ctx, r)
	if err == nil && revision == 0 {
		err = apierrors.NewInternalError(errors.New("the object is deleted, but the server does not say at which revision: it takes the client for none of floe's own"))
	}
	return revision, err
}

// Bind implements client.Client: the bindings go side by side on one connection, so that the log joins them into few syncs.
func (c *Client) Bind(ctx context.Context, bindings []*corev1.Binding) []error {
	errs := make([]error, len(bindings))
	places := make(chan struct{}, bindersAtOnce)
	var all sync.WaitGroup
	for i, b := range bindings {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			errs[i] = c.bind(ctx, b)
		})
	}
	all.Wait()
	return errs
}

func (c *Client) bind(ctx context.Context, b *corev1.Binding) error {
	_, r, err := c.target(http.MethodPost, "post", corev1.SchemeGroupVersion.WithResource("pods"), b.Namespace, b.Name, "binding")
	if err != nil {
		return err
	}
	if r.body, err = encode(corev1.SchemeGroupVersion.WithKind("Binding"), b); err != nil {
		return err
	}
	_, _, err = c.call(ctx, r)
	return err
}
