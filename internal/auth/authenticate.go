package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"k8s.io/utils/clock"
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

// Certificates authenticates by a client certificate of pool: the common name is the user, each organization a group
// (RFC 5280 section 4.1.2.6, as Kubernetes reads it).
func Certificates(pool *x509.CertPool, now clock.PassiveClock) Authenticator {
	known := &verified{authorities: pool, good: map[[sha256.Size]byte]validity{}}
	return func(r *http.Request) (User, bool, error) {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return User{}, false, nil
		}
		leaf := r.TLS.PeerCertificates[0]
		if err := known.check(r.TLS.PeerCertificates, now.Now()); err != nil {
			return User{}, false, fmt.Errorf("verifying certificate SN=%d of %q failed: %w", leaf.SerialNumber, leaf.Subject.CommonName, err)
		}
		if leaf.Subject.CommonName == "" {
			return User{}, false, errors.New("client certificate has no common name")
		}
		return User{Name: leaf.Subject.CommonName, Groups: append(slices.Clone(leaf.Subject.Organization), Authenticated)}, true, nil
	}
}

// NoTokens refuses every bearer token, since nothing in this cluster issues one.
func NoTokens(r *http.Request) (User, bool, error) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if strings.EqualFold(scheme, "bearer") && strings.TrimSpace(token) != "" {
		return User{}, false, errors.New("invalid bearer token")
	}
	return User{}, false, nil
}

// AnonymousUser takes every request that shows no credential.
func AnonymousUser(*http.Request) (User, bool, error) {
	return User{Name: Anonymous, Groups: []string{Unauthenticated}}, true, nil
}
