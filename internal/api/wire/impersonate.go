package wire

import (
	"net/http"
	"slices"
	"strings"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/impersonate"
)

// impersonate returns the user that the request is served as: who sent it, or whom that user may act as and wants to. ok false: it was refused.
func (h *Handler) impersonate(w http.ResponseWriter, r *http.Request, sender auth.User, path *target) (user auth.User, ok bool) {
	if !impersonate.Asks(r.Header) {
		return sender, true
	}
	wanted, err := impersonate.Wanted(r.Header)
	if wanted == nil && err == nil {
		return sender, true
	}
	constraint := ""
	if err == nil {
		user, constraint, err = h.impersonator.As(r.Context(), sender, *wanted, attributesOf(r, path))
	}
	if err != nil {
		h.speaks.refuse(w, r, err)
		return auth.User{}, false
	}
	h.Log.Info("a user acts as another", "user", sender.Name, "as", user.Name, "groups", user.Groups, "right", constraint, "method", r.Method, "path", r.URL.Path)
	return user, true
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
