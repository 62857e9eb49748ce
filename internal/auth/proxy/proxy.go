// Package proxy knows users by what a front proxy says of them in headers.
//
// # Vocabulary
//
// A front proxy is who has authenticated a user and passes their requests on. It proves itself by a client certificate of an authority of its own, and
// names the user, the UID, the groups and extra fields in headers whose names are configured.
//
// # Laws
//
//   - Headers count for nothing before the certificate was verified and its common name is one of those that are allowed.
//   - After any authentication all such headers are taken from the request, the usual ones and those that are configured, so that nothing behind the
//     API takes a client's own words for a proxy's.
//
// # What it leaves to others
//
// Which authority is a proxy's is said by cluster's configuration.
package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
)

// Headers are the names of headers, in any case.
type Headers struct {
	User, UID, Group []string
	Extra            []string // prefixes of names, whose rest is a field's
}

// Usual are the headers that every Kubernetes server knows.
func Usual() Headers {
	return Headers{[]string{"X-Remote-User"}, []string{"X-Remote-Uid"}, []string{"X-Remote-Group"}, []string{"X-Remote-Extra-"}}
}

// Config is what an authenticator is made from.
type Config struct {
	Headers
	Verifier *auth.Verifier // of proxies' certificates
	Names    []string       // common names that proxies may have; none: all
	Clock    clock.PassiveClock
}

// New returns an authenticator by what proxies say. A request without their certificate, or without a user's name, shows nothing.
func New(cfg Config) auth.Authenticator {
	return func(r *http.Request) (auth.User, bool, error) {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return auth.User{}, false, nil
		}
		if err := cfg.Verifier.Check(r.TLS.PeerCertificates, cfg.Clock.Now()); err != nil {
			return auth.User{}, false, err
		}
		if name := r.TLS.PeerCertificates[0].Subject.CommonName; len(cfg.Names) > 0 && !slices.Contains(cfg.Names, name) {
			return auth.User{}, false, fmt.Errorf("x509: subject with cn=%s is not in the allowed list", name)
		}
		user := auth.User{Name: first(r.Header, cfg.User), UID: first(r.Header, cfg.UID), Extra: cfg.extra(r.Header)}
		if user.Name == "" {
			return auth.User{}, false, nil
		}
		for _, name := range cfg.Group {
			user.Groups = append(user.Groups, slices.DeleteFunc(slices.Clone(r.Header.Values(name)), func(g string) bool { return g == "" })...)
		}
		return user, true, nil
	}
}

// first is the first value of the headers' that is not empty, of each the first one.
func first(h http.Header, names []string) string {
	for _, name := range names {
		if value := h.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// extra reads the fields whose names are escaped in headers' names. One that is escaped badly stands as it is.
func (h *Headers) extra(from http.Header) map[string][]string {
	out := map[string][]string{}
	for _, prefix := range h.Extra {
		for name, values := range from {
			rest, ok := cut(name, prefix)
			if !ok {
				continue
			}
			rest = strings.ToLower(rest)
			if plain, err := url.PathUnescape(rest); err == nil {
				rest = plain
			}
			out[rest] = append(out[rest], values...)
		}
	}
	return out
}

// cut is name without prefix, whatever their case.
func cut(name, prefix string) (rest string, ok bool) {
	if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return "", false
	}
	return name[len(prefix):], true
}

// clear takes the headers from a request.
func (h *Headers) clear(from http.Header) {
	for _, names := range [][]string{h.User, h.UID, h.Group} {
		for _, name := range names {
			from.Del(name)
		}
	}
	for name := range from {
		if slices.ContainsFunc(h.Extra, func(prefix string) bool { _, ok := cut(name, prefix); return ok }) {
			delete(from, name)
		}
	}
}

// Clear is an authenticator that takes the usual headers, and those of list, from the requests of all whom a knows, and what they showed in Authorization.
func Clear(a auth.Authenticator, list ...Headers) auth.Authenticator {
	list = append([]Headers{Usual()}, list...)
	return func(r *http.Request) (auth.User, bool, error) {
		user, ok, err := a(r)
		if ok && err == nil {
			r.Header.Del("Authorization")
			for i := range list {
				list[i].clear(r.Header)
			}
		}
		return user, ok, err
	}
}
