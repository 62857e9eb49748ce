package wire

import (
	"context"
	"net/http"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/observe/trace"
)

// This file tells traces of requests and verbs, by upstream's names.

// monitoring is upstream's group of who may, beside administrators, make the server record by asking for it.
const monitoring = "system:monitoring"

// How many bytes are told of what a client names itself, and its request.
const maxToldAgent, maxToldID = 1024, 64

type visitKey struct{}

// visited is the visit of a request that is traced.
func visited(r *http.Request) *visit { return r.Context().Value(visitKey{}).(*visit) }

// trace makes the handler of requests whose sender is known, when there are traces; nil without.
func (h *Handler) trace() http.Handler {
	if h.Tracing == nil {
		return nil
	}
	return h.Tracing.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		trace.From(r.Context()).Set("http.target", r.URL.RequestURI()).Set("audit-id", shortID(w))
		h.serve(w, r, visited(r))
	}), func(r *http.Request) string {
		return visited(r).path.spanName(r)
	}, func(r *http.Request) bool {
		user := visited(r).sender
		return user.In(auth.Masters) || user.In(monitoring)
	})
}

// serveTraced is what ServeHTTP does from authentication on, told.
func (h *Handler) serveTraced(w http.ResponseWriter, r *http.Request, v *visit) {
	ctx, span := h.Tracing.Begin(context.WithValue(r.Context(), visitKey{}, v), "authentication")
	defer span.End()
	r = r.WithContext(ctx)
	if h.authenticate(w, r, v) {
		h.traced.ServeHTTP(w, r)
	}
}

// spanName is the method and, of a resource, the path without what names one object.
func (t *target) spanName(r *http.Request) string {
	res := t.resource
	if res.Resource == "" {
		return r.Method
	}
	name := r.Method + " /api"
	if res.Group != "" {
		name = r.Method + " /apis/" + res.Group
	}
	name += "/" + res.Version
	if t.namespace != "" {
		name += "/namespaces/{:namespace}"
	}
	name += "/" + res.Resource
	if t.name != "" {
		name += "/{:name}"
	}
	if t.subresource != "" {
		name += "/" + t.subresource
	}
	return name
}

// verbSpans are the steps that verbs are; watches are none, since they last.
var verbSpans = map[string]string{
	"get": "Get", "list": "List", "create": "Create", "update": "Update", "patch": "Patch", "delete": "Delete", "deletecollection": "Delete",
}

// begin begins the step of the call's verb.
func (c *call) begin() trace.Span {
	if !trace.From(c.r.Context()).Recording() || verbSpans[c.path.verb] == "" {
		return trace.Span{}
	}
	ctx, span := trace.Start(c.r.Context(), verbSpans[c.path.verb])
	c.r = c.r.WithContext(ctx)
	agent, client, counted := c.r.UserAgent(), "unknown", c.series(0)
	if len(agent) > maxToldAgent {
		agent = agent[:maxToldAgent] + "...TRUNCATED"
	}
	if agent == "" {
		agent = "unknown"
	}
	if ip := utilnet.GetClientIP(c.r); ip != nil {
		client = ip.String()
	}
	return span.Set("accept", c.r.Header.Get("Accept")).Set("audit-id", shortID(c.w)).Set("client", client).
		Set("api-group", c.path.resource.Group).Set("api-version", c.path.resource.Version).Set("name", c.path.name).Set("subresource", c.path.subresource).
		Set("namespace", c.path.namespace).Set("protocol", c.r.Proto).Set("resource", c.path.resource.Resource).Set("scope", counted.scope).
		Set("url", c.r.URL.Path).Set("user-agent", agent).Set("verb", counted.verb)
}

// shortID names the request of an answer, in the trail and in its trace.
func shortID(w http.ResponseWriter) string {
	id := w.Header().Get("Audit-Id")
	return id[:min(len(id), maxToldID)]
}
