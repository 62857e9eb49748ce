package auth

import (
	"net/http"
	"slices"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

// Names that every Kubernetes cluster knows.
const (
	Anonymous       = "system:anonymous"
	Authenticated   = "system:authenticated"
	Unauthenticated = "system:unauthenticated"
	Masters         = "system:masters"
	Nodes           = "system:nodes"
)

// User is who a request comes from. It is immutable.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
	// Remarks are to be said where the user asks for something; nil: there are none.
	Remarks *Remarks
}

// In says whether the user is in group.
func (u User) In(group string) bool { return slices.Contains(u.Groups, group) }

// ours begin the names of floe's own parts.
var ours = [...]string{"system:node:", "system:serviceaccount:kube-system:", "system:kube-", "system:floe:"}

// Ours says whether the user is one of floe's own parts, or an administrator, who may act as any of them.
func (u User) Ours() bool {
	return u.In(Masters) || slices.ContainsFunc(ours[:], func(prefix string) bool { return strings.HasPrefix(u.Name, prefix) })
}

// Authenticator reads the user from a request. ok false: the request shows no credential of the kind that it reads. An
// error: it shows one that is not good.
type Authenticator func(r *http.Request) (user User, ok bool, err error)

// First asks each in turn; the first that knows the user, or refuses the credential, decides.
func First(list ...Authenticator) Authenticator {
	return func(r *http.Request) (User, bool, error) {
		for _, a := range list {
			if user, ok, err := a(r); ok || err != nil {
				return user, ok, err
			}
		}
		return User{}, false, nil
	}
}

// Any asks each in turn until one knows the user. What the others refused counts only when nobody does: a request may show several credentials, and needs
// one that is good.
func Any(list ...Authenticator) Authenticator {
	return func(r *http.Request) (User, bool, error) {
		var errs []error
		for _, a := range list {
			user, ok, err := a(r)
			if err != nil {
				errs = append(errs, err)
			} else if ok {
				return user, true, nil
			}
		}
		return User{}, false, joined(errs)
	}
}

// joined is one error of several, in upstream's form: one alone as it is, more as [ONE, TWO]; nil: there is none.
func joined(errs []error) error {
	if list := utilerrors.NewAggregate(errs); list != nil {
		return list
	}
	return nil
}

// authenticated is user in the group of all who are known, unless it is there, or among those who are not. What user shares is not changed.
func authenticated(user User) User {
	if user.Name != Anonymous && !user.In(Authenticated) && !user.In(Unauthenticated) {
		user.Groups = append(slices.Clip(user.Groups), Authenticated)
	}
	return user
}

// Known puts the users of an authenticator into the group of all who are known.
func Known(a Authenticator) Authenticator {
	return func(r *http.Request) (User, bool, error) {
		user, ok, err := a(r)
		if ok {
			user = authenticated(user)
		}
		return user, ok, err
	}
}

// AnonymousAt is AnonymousUser for the paths that are given; for all when none is.
func AnonymousAt(paths ...string) Authenticator {
	return func(r *http.Request) (User, bool, error) {
		if len(paths) > 0 && (r.URL == nil || !slices.Contains(paths, r.URL.Path)) {
			return User{}, false, nil
		}
		return AnonymousUser(r)
	}
}

// AnonymousUser takes every request that shows no credential.
func AnonymousUser(*http.Request) (User, bool, error) {
	return User{Name: Anonymous, Groups: []string{Unauthenticated}}, true, nil
}
