package auth

import (
	"net/http/httptest"
	"testing"
)

func TestABadTokenIsNotAnonymous(t *testing.T) {
	chain := First(NoTokens, AnonymousUser)
	for header, refused := range map[string]bool{"": false, "Bearer abc": true, "bearer  abc": true, "Basic abc": false, "Bearer ": false} {
		r := httptest.NewRequest("GET", "/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		user, ok, err := chain(r)
		if (err != nil) != refused || !refused && (!ok || user.Name != Anonymous) {
			t.Errorf("Authorization %q: %v, %v, %v", header, user, ok, err)
		}
	}
}
