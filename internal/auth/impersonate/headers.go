package impersonate

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/auth"
)

// Asks says whether there is any header of the kind. It allocates nothing.
func Asks(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			return true
		}
	}
	return false
}

// Wanted takes the headers away, and returns whom they name, as they name it; nil: nobody. Of several Impersonate-User or -Uid the first counts. Names of
// headers are canonical, as net/http makes them. An error is a bad request.
func Wanted(h http.Header) (*auth.User, error) {
	u := &auth.User{
		Name: h.Get(authenticationv1.ImpersonateUserHeader), UID: h.Get(authenticationv1.ImpersonateUIDHeader),
		Groups: append([]string(nil), h[authenticationv1.ImpersonateGroupHeader]...),
	}
	further := u.UID != "" || len(u.Groups) > 0
	for name, values := range h {
		key, ok := strings.CutPrefix(name, authenticationv1.ImpersonateUserExtraHeaderPrefix)
		if !ok {
			continue
		}
		further = true
		if len(values) == 0 {
			continue
		}
		if u.Extra == nil {
			u.Extra = map[string][]string{}
		}
		key = unescape(strings.ToLower(key))
		u.Extra[key] = append(u.Extra[key], values...)
	}
	if u.Name == "" {
		if further {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("requested &user.DefaultInfo{Name:%#v, UID:%#v, Groups:%#v, Extra:%#v} without impersonating a user name",
				u.Name, u.UID, u.Groups, u.Extra))
		}
		return nil, nil
	}
	forget(h)
	return u, nil
}

// forget deletes the headers.
func forget(h http.Header) {
	h.Del(authenticationv1.ImpersonateUserHeader)
	h.Del(authenticationv1.ImpersonateUIDHeader)
	h.Del(authenticationv1.ImpersonateGroupHeader)
	for name := range h {
		if strings.HasPrefix(name, authenticationv1.ImpersonateUserExtraHeaderPrefix) {
			delete(h, name)
		}
	}
}

// unescape reads the key of an extra value, whose characters that no header can have are percent-encoded. What is not well written is taken as it is.
func unescape(key string) string {
	if plain, err := url.PathUnescape(key); err == nil {
		return plain
	}
	return key
}
