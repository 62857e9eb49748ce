package token

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/floe-k8s/floe/internal/auth"
)

// CacheFor is how long a good token is believed without being checked again, as upstream's.
const CacheFor = 10 * time.Second

// maxCached bounds what is remembered, some 600 bytes a token.
const maxCached = 8_192

func unmarshal(payload []byte, into *claims) error {
	if err := json.Unmarshal(payload, into); err != nil {
		return errors.New("the claims of the token cannot be read")
	}
	return nil
}

// Bearer reads tokens of the API's own audiences from requests, and remembers the good ones for CacheFor. It is safe for concurrent use.
type Bearer struct {
	checker *Checker

	mu   sync.RWMutex
	good map[[sha256.Size]byte]remembered // guarded by mu; at most maxCached; by the token's hash, so that no secret is kept
}

type remembered struct {
	user  auth.User
	until time.Time
}

// NewBearer returns an authenticator by checker.
func NewBearer(checker *Checker) *Bearer {
	return &Bearer{checker: checker, good: map[[sha256.Size]byte]remembered{}}
}

// Authenticate is an auth.Authenticator. A bearer token that is not ours is refused, so that it stands last of those that read tokens.
func (b *Bearer) Authenticate(r *http.Request) (auth.User, bool, error) {
	token := bearer(r.Header.Get("Authorization"))
	if token == "" {
		return auth.User{}, false, nil
	}
	if len(token) > MaxLength {
		return auth.User{}, false, errInvalid
	}
	now := b.checker.Clock.Now()
	key := sha256.Sum256([]byte(token))
	b.mu.RLock()
	known, ok := b.good[key]
	b.mu.RUnlock()
	if ok && now.Before(known.until) {
		return known.user, true, nil
	}
	id, ok, err := b.checker.Check(token, nil)
	if err != nil {
		return auth.User{}, false, err
	}
	if !ok {
		return auth.User{}, false, errInvalid
	}
	until := now.Add(CacheFor)
	if !id.Until.IsZero() && id.Until.Before(until) {
		until = id.Until
	}
	b.keep(key, remembered{id.User, until})
	return id.User, true, nil
}

var errInvalid = errors.New("invalid bearer token")

func (b *Bearer) keep(key [sha256.Size]byte, r remembered) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.good) >= maxCached {
		clear(b.good) // those in use come back with their next request
	}
	b.good[key] = r
}

// bearer is the token of a header, as upstream reads it: what stands between the first space and the second. "": there is none.
func bearer(header string) string {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(header), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	token, _, _ := strings.Cut(rest, " ")
	return token
}
