package wire

import (
	"net/http"
	"slices"
	"strings"

	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/impersonate"
	"github.com/floe-k8s/floe/internal/observe/trace"
)

// impersonate makes the call that of the user whom its sender may act as and wants to, if any. The audit trail tells of both. false: it was refused.
func (h *Handler) impersonate(c *call) bool {
	if !impersonate.Asks(c.r.Header) {
		return true
	}
	wanted, err := impersonate.Wanted(c.r.Header)
	if wanted == nil && err == nil {
		return true
	}
	defer c.answered.record.Timed(audit.Impersonation)()
	ctx, span := trace.Start(c.r.Context(), "constrainedimpersonation")
	defer span.End()
	constraint, sender := "", c.user
	if err == nil {
		c.user, constraint, err = h.impersonator.As(ctx, sender, *wanted, attributesOf(c.r, &c.path))
	}
	if err != nil {
		c.user = sender
		c.fail(err)
		return false
	}
	c.answered.record.Impersonate(c.user, constraint)
	h.Log.Info("a user acts as another", "user", sender.Name, "as", c.user.Name, "groups", c.user.Groups, "right", constraint, "method", c.r.Method, "path", c.r.URL.Path)
	return true
}

// attributesOf are what authorization is asked for about a request, of what is served or not.
func attributesOf(r *http.Request, path *target) auth.Attributes {
	if path.resource.Resource == "" {
		return auth.Attributes{Verb: strings.ToLower(r.Method), Path: r.URL.Path}
	}
	attrs := path.attributes()
	if !path.watching && slices.Contains([]string{"list", "watch", "deletecollection"}, attrs.Verb) {
		query := r.URL.Query()
		attrs.Select(query.Get("fieldSelector"), query.Get("labelSelector"))
	}
	return attrs
}
