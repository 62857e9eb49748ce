package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestABadCredentialIsNotAnonymous(t *testing.T) {
	chain := First(func(r *http.Request) (User, bool, error) {
		switch r.Header.Get("Authorization") {
		case "good":
			return User{Name: "jane"}, true, nil
		case "bad":
			return User{}, false, errors.New("bad")
		}
		return User{}, false, nil
	}, AnonymousUser)
	for header, want := range map[string]string{"": Anonymous, "unknown": Anonymous, "good": "jane", "bad": ""} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		user, ok, err := chain(r)
		if user.Name != want || ok != (want != "") || (err != nil) != (want == "") {
			t.Errorf("Authorization %q: %v, %v, %v", header, user, ok, err)
		}
	}
}
