package inprocess

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/kinds"
)

// loopback is where floe's own parts ask from.
const loopback = "127.0.0.1"

// told does one verb, which the audit trail is told of, and returns its object. given and patch are what is sent, if anything.
func (c *Client) told(ctx context.Context, req api.Request, verb string, given kinds.Object, patch []byte, do func(context.Context) (api.Result, error)) (kinds.Object, error) {
	defer c.counted(req, verb)()
	if c.api.Audit == nil {
		result, err := do(ctx)
		return object(req, result, err)
	}
	ctx, record, err := c.begin(ctx, req, verb)
	if err != nil {
		return nil, err
	}
	switch {
	case given != nil:
		record.Request(given, func() ([]byte, error) { return audit.Document(given, req.BodyGVK()) })
	case patch != nil:
		record.Patch(patch)
	}
	result, err := do(ctx)
	obj, err := object(req, result, err)
	if err == nil {
		record.Response(func() ([]byte, error) { return audit.Document(obj, req.BodyGVK()) })
	}
	code := http.StatusOK
	if result.Created {
		code = http.StatusCreated
	}
	end(record, code, err)
	return obj, err
}

// bind is a binding, which the audit trail is told of.
func (c *Client) bind(ctx context.Context, req api.Request, b *corev1.Binding) error {
	defer c.counted(req, "create")()
	ctx, record, err := c.begin(ctx, req, "create")
	if err != nil {
		return err
	}
	record.Request(b, func() ([]byte, error) { return audit.Document(b, req.BodyGVK()) })
	_, err = c.api.CreatePart(ctx, req, b, metav1.CreateOptions{})
	if err == nil {
		record.Status(&metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
	}
	end(record, http.StatusCreated, err)
	return err
}

// deleted tells the answer to a deletion: what is left of the object, or that it is gone.
func deleted(record *audit.Record, req api.Request, result api.Result) {
	if record == nil {
		return
	}
	if result.Removed && !req.Kind.ReturnDeleted {
		told := *api.Gone(req, result.Object)
		told.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		record.Status(&told)
		return
	}
	record.Response(func() ([]byte, error) {
		obj, err := result.Decoded()
		if err != nil {
			return nil, err
		}
		return audit.Document(obj, req.Kind.GVK)
	})
}

// begin begins a request's record; the request is refused when it cannot be told.
func (c *Client) begin(ctx context.Context, req api.Request, verb string) (context.Context, *audit.Record, error) {
	if c.api.Audit == nil {
		return ctx, nil, nil
	}
	ctx, record, ok := c.api.Audit.Begin(ctx, &audit.Request{
		ID: uuid.NewString(), Received: c.api.Clock.Now(), User: c.user, Attributes: req.Attributes(verb), URI: pathOf(req), UserAgent: c.manager, SourceIPs: []string{loopback},
	})
	if !ok {
		return ctx, nil, apierrors.NewInternalError(audit.ErrNotStored)
	}
	return ctx, record, nil
}

// counted counts a request in the metrics of priority and fairness, which do not hold it back, until it is over.
func (c *Client) counted(req api.Request, verb string) (end func()) {
	if c.api.Count == nil {
		return func() {}
	}
	return c.api.Count(c.user, req.Attributes(verb))
}

// end ends a record by the answer.
func end(record *audit.Record, code int, err error) {
	if record == nil {
		return
	}
	if err != nil {
		code = http.StatusInternalServerError
		if refused, ok := api.Classed(err).(apierrors.APIStatus); ok {
			status := refused.Status()
			status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
			record.Status(&status)
			code = int(status.Code)
		}
	}
	record.Started(code)
	record.End(nil)
}

// pathOf is the path at which a request is made over HTTP.
func pathOf(req api.Request) string {
	k := req.Kind
	parts := []string{"/apis", k.GVK.Group, k.GVK.Version}
	if k.GVK.Group == "" {
		parts = []string{"/api", k.GVK.Version}
	}
	if k.Namespaced && req.Namespace != "" {
		parts = append(parts, "namespaces", req.Namespace)
	}
	for _, part := range []string{k.Resource, req.Name, req.Subresource} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}
