package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// CredentialID is the extra field that tells one credential of a user from the next.
const CredentialID = "authentication.kubernetes.io/credential-id"

// MaxTokenLength is how long a token may be, in bytes. Those that the cluster makes are some 1,000 long, and a header holds at most 1 MiB.
const MaxTokenLength = 16 << 10

// Identity is whose a token is. It is immutable.
type Identity struct {
	User      User
	Audiences []string  // those of the token that were asked for
	Until     time.Time // when the token ends; zero: it does not, as far as is known
}

// TokenChecker says whose a token is that is presented to audiences; none: to the API's. ok false without an error: it is none of those that it knows.
type TokenChecker func(ctx context.Context, token string, audiences []string) (id Identity, ok bool, err error)

// AnyToken asks each in turn until one knows the token. What the others refused counts only when nobody does.
func AnyToken(list ...TokenChecker) TokenChecker {
	return func(ctx context.Context, token string, audiences []string) (Identity, bool, error) {
		var errs []error
		for _, check := range list {
			id, ok, err := check(ctx, token, audiences)
			if err != nil {
				errs = append(errs, err)
			} else if ok {
				return id, true, nil
			}
		}
		return Identity{}, false, joined(errs)
	}
}

// ForAPI makes a checker of tokens that name no audience: they are for the API's own.
func ForAPI(own []string, check TokenChecker) TokenChecker {
	return func(ctx context.Context, token string, audiences []string) (Identity, bool, error) {
		shared := own
		if len(audiences) > 0 {
			shared = slices.DeleteFunc(slices.Clone(own), func(a string) bool { return !slices.Contains(audiences, a) })
			if len(shared) == 0 {
				return Identity{}, false, nil
			}
		}
		id, ok, err := check(ctx, token, nil)
		id.Audiences = shared
		return id, ok, err
	}
}

var errInvalidToken = errors.New("invalid bearer token")

// Bearer reads tokens from the header Authorization, and takes those that were good from there, so that nobody passes them on.
func Bearer(check TokenChecker) Authenticator {
	return func(r *http.Request) (User, bool, error) {
		token := TokenIn(r.Header.Get("Authorization"))
		if token == "" {
			return User{}, false, nil
		}
		user, err := holder(r, token, check)
		if err == nil {
			r.Header.Del("Authorization")
		}
		return user, err == nil, err
	}
}

func holder(r *http.Request, token string, check TokenChecker) (User, error) {
	id, ok, err := check(r.Context(), token, nil)
	if err == nil && !ok {
		err = errInvalidToken
	}
	return id.User, err
}

// TokenIn is the token of a header Authorization, as upstream reads it: what stands between the first space and the second. "": there is none.
func TokenIn(header string) string {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(header), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	token, _, _ := strings.Cut(rest, " ")
	return token
}

// bearerProtocol begins the subprotocol by which a browser, which cannot set headers, shows a token on a WebSocket.
const bearerProtocol = "base64url.bearer.authorization.k8s.io."

// BearerProtocol reads tokens from the subprotocols of a WebSocket, and takes those that were good from there.
func BearerProtocol(check TokenChecker) Authenticator {
	return func(r *http.Request) (User, bool, error) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || !slices.ContainsFunc(tokens(r.Header["Connection"]), func(t string) bool { return strings.EqualFold(t, "upgrade") }) {
			return User{}, false, nil
		}
		var encoded, others []string
		for _, protocol := range tokens(r.Header["Sec-Websocket-Protocol"]) {
			if text, ok := strings.CutPrefix(protocol, bearerProtocol); ok {
				encoded = append(encoded, text)
			} else {
				others = append(others, protocol)
			}
		}
		if len(encoded) == 0 {
			return User{}, false, nil
		}
		token, err := base64.RawURLEncoding.DecodeString(encoded[0])
		switch {
		case len(encoded) > 1:
			return User{}, false, errors.New("multiple base64.bearer.authorization tokens specified")
		case err != nil:
			return User{}, false, errors.New("invalid base64.bearer.authorization token encoding")
		case !utf8.Valid(token):
			return User{}, false, errors.New("invalid base64.bearer.authorization token")
		case len(token) == 0:
			return User{}, false, nil
		case len(others) == 0:
			return User{}, false, errors.New("missing additional subprotocol")
		}
		user, err := holder(r, string(token), check)
		if err == nil {
			r.Header.Set("Sec-Websocket-Protocol", strings.Join(others, ","))
		}
		return user, err == nil, err
	}
}

// tokens are the parts of a header's values.
func tokens(values []string) (list []string) {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			list = append(list, strings.TrimSpace(part))
		}
	}
	return list
}
