package aggregate

import (
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/floe-k8s/floe/internal/auth"
)

// The headers in which a server is told of a user, which every Kubernetes server knows.
const (
	headerUser  = "X-Remote-User"
	headerUID   = "X-Remote-Uid"
	headerGroup = "X-Remote-Group"
	headerExtra = "X-Remote-Extra-"
)

// identify says in headers who the user is, and takes away what they said before.
func identify(h http.Header, user auth.User) {
	for name := range h {
		switch canonical := http.CanonicalHeaderKey(name); {
		case canonical == headerUser, canonical == headerUID, canonical == headerGroup, strings.HasPrefix(canonical, headerExtra):
			delete(h, name)
		}
	}
	h.Set(headerUser, user.Name)
	if user.UID != "" {
		h.Set(headerUID, user.UID)
	}
	for _, group := range user.Groups {
		h.Add(headerGroup, group)
	}
	for key, values := range user.Extra {
		for _, value := range values {
			h.Add(headerExtra+escaped(key), value)
		}
	}
}

// escaped is a key as it may stand in a header's name.
func escaped(key string) string {
	var b strings.Builder
	for i := range len(key) {
		if c := key[i]; c == '%' || !httpguts.IsTokenRune(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// identified says of each request whose it is, last of all: after what a client calls hop-by-hop was taken away.
type identified struct {
	http.RoundTripper
	user auth.User
}

var _ utilnet.RoundTripperWrapper = (*identified)(nil)

// RoundTrip implements http.RoundTripper.
func (i *identified) RoundTrip(r *http.Request) (*http.Response, error) {
	r = utilnet.CloneRequest(r)
	identify(r.Header, i.user)
	return i.RoundTripper.RoundTrip(r)
}

// WrappedRoundTripper lets upgrades find how to dial.
func (i *identified) WrappedRoundTripper() http.RoundTripper { return i.RoundTripper }
