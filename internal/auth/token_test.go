package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/auth"
)

// only knows one token, and refuses another.
func only(good, bad string) auth.TokenChecker {
	return func(_ context.Context, token string, _ []string) (auth.Identity, bool, error) {
		if token == bad {
			return auth.Identity{}, false, errors.New(bad + " is bad")
		}
		return auth.Identity{User: auth.User{Name: good}}, token == good, nil
	}
}

func TestAnyToken(t *testing.T) {
	chain := auth.AnyToken(only("a", "x"), only("b", "x"), only("c", "b"))
	for token, want := range map[string]string{"a": "a", "b": "b", "c": "c", "d": "", "x": "x is bad"} {
		id, ok, err := chain(t.Context(), token, nil)
		if ok != (len(want) == 1) || ok && id.User.Name != want || (err == nil) != (len(want) < 2) || err != nil && err.Error() != want {
			t.Errorf("%s: got %v, %v, %v; want %q", token, id, ok, err, want)
		}
	}
}

func TestForAPI(t *testing.T) {
	check := auth.ForAPI([]string{"api", "too"}, only("good", "bad"))
	for _, c := range []struct {
		asked, want []string
	}{{nil, []string{"api", "too"}}, {[]string{"too", "other"}, []string{"too"}}, {[]string{"other"}, nil}} {
		id, ok, err := check(t.Context(), "good", c.asked)
		if ok != (c.want != nil) || err != nil || ok && !slices.Equal(id.Audiences, c.want) {
			t.Errorf("asked for %v: got %v, %v, %v; want %v", c.asked, id.Audiences, ok, err, c.want)
		}
	}
}

func TestBearer(t *testing.T) {
	read := auth.Bearer(only("x", "bad"))
	for header, refused := range map[string]bool{
		"": false, "Bearer": false, "Bearer ": false, "Bearer  x": false, "Basic x": false, "bearer x": false, "Bearer x y": false, "Bearer z": true, "Bearer bad": true,
	} {
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		user, ok, err := read(r)
		if (err != nil) != refused || ok && (user.Name != "x" || r.Header.Get("Authorization") != "") {
			t.Errorf("%q: got %v, %v, %v, and the header %q; want refused %t", header, user, ok, err, r.Header, refused)
		}
	}
}

// TestBearerProtocol: base64url of x is eA, of z eg.
func TestBearerProtocol(t *testing.T) {
	const p = "base64url.bearer.authorization.k8s.io."
	read := auth.BearerProtocol(only("x", "bad"))
	for _, c := range []struct{ upgrade, given, left, want string }{
		{"websocket", p + "eA, v5.channel.k8s.io", "v5.channel.k8s.io", ""},
		{"WebSocket", "a, " + p + "eA,b", "a,b", ""},
		{"websocket", "v5.channel.k8s.io", "", "nobody"},
		{"", p + "eA, a", "", "nobody"},
		{"websocket", p + ", a", "", "nobody"},
		{"websocket", p + "eA", "", "missing additional subprotocol"},
		{"websocket", p + "eA, a, " + p + "eA", "", "multiple base64.bearer.authorization tokens specified"},
		{"websocket", p + "e!, a", "", "invalid base64.bearer.authorization token encoding"},
		{"websocket", p + "_w, a", "", "invalid base64.bearer.authorization token"},
		{"websocket", p + "eg, a", "", "invalid bearer token"},
	} {
		r := &http.Request{Header: http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {c.upgrade}, "Sec-Websocket-Protocol": {c.given}}}
		_, ok, err := read(r)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case !ok:
			got = "nobody"
		}
		if got != c.want || ok && r.Header.Get("Sec-WebSocket-Protocol") != c.left {
			t.Errorf("%s: got %q and %q, want %q and %q", c.given, got, r.Header.Get("Sec-WebSocket-Protocol"), c.want, c.left)
		}
	}
}

func TestCache(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0))
	asked, ends := 0, time.Time{}
	cache := auth.NewCache(func(_ context.Context, token string, _ []string) (auth.Identity, bool, error) {
		asked++
		return auth.Identity{User: auth.User{Name: token}, Until: ends}, token == "good", nil
	}, clock, auth.NewMetrics())
	check := func(what, token string, audiences []string, wantOK bool, wantAsked int) {
		t.Helper()
		asked = 0
		id, ok, err := cache.Check(t.Context(), token, audiences)
		if ok != wantOK || err != nil || asked != wantAsked || ok && !id.User.In(auth.Authenticated) {
			t.Errorf("%s: got %v, %v, %v, asked %d times; want %t, asked %d times", what, id, ok, err, asked, wantOK, wantAsked)
		}
	}
	check("new", "good", nil, true, 1)
	check("known", "good", nil, true, 0)
	check("for others", "good", []string{"a"}, true, 1)
	check("for others again", "good", []string{"a"}, true, 0)
	check("for two that are written as one", "good", []string{"a", ""}, true, 1)
	check("not good", "bad", nil, false, 1)
	check("not good, again", "bad", nil, false, 1)
	check("very long", string(make([]byte, auth.MaxTokenLength+1)), nil, false, 0)
	if n := testing.AllocsPerRun(100, func() { _, _, _ = cache.Check(t.Context(), "good", nil) }); n > 0 {
		t.Errorf("%v allocations for a token that is known", n)
	}
	clock.Step(auth.CacheFor)
	ends = clock.Now().Add(time.Second)
	check("later", "good", nil, true, 1)
	clock.Step(time.Second)
	check("after its end", "good", nil, true, 1)
}

// TestCacheAsksOnce for all who show a token at a time; who goes does not spoil it for the others, and who waits may go.
func TestCacheAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		answer := make(chan struct{})
		cache := auth.NewCache(func(ctx context.Context, _ string, _ []string) (auth.Identity, bool, error) {
			asked.Add(1)
			<-answer
			return auth.Identity{User: auth.User{Name: "x"}}, true, ctx.Err()
		}, clocktesting.NewFakeClock(time.Now()), nil)
		first, leave := context.WithCancel(t.Context())
		impatient, give := context.WithCancel(t.Context())
		errs := make(chan error, 3)
		for _, ctx := range []context.Context{first, impatient, t.Context()} {
			go func() {
				_, _, err := cache.Check(ctx, "x", nil)
				errs <- err
			}()
			synctest.Wait()
		}
		leave()
		give()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("who waits and goes: %v", err)
		}
		close(answer)
		if a, b := <-errs, <-errs; a != nil || b != nil || asked.Load() != 1 {
			t.Errorf("got %v and %v after %d checks, want none after one", a, b, asked.Load())
		}
	})
}

func TestAnonymousAt(t *testing.T) {
	for _, c := range []struct {
		path string
		only []string
		want bool
	}{{"/x", nil, true}, {"/livez", []string{"/livez", "/readyz"}, true}, {"/livez/ping", []string{"/livez"}, false}, {"/", []string{"/livez"}, false}} {
		r, err := http.NewRequest(http.MethodGet, "https://x"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user, ok, err := auth.AnonymousAt(c.only...)(r); ok != c.want || err != nil || ok && user.Name != auth.Anonymous {
			t.Errorf("%s at %v: got %v, %v, %v", c.path, c.only, user, ok, err)
		}
	}
}

// TestCacheKeepsRefusalsApart: who guesses more tokens than are remembered makes no good one be checked again, and the newest guess is still refused unasked.
func TestCacheKeepsRefusalsApart(t *testing.T) {
	asked := 0
	cache := auth.NewCacheFor(func(_ context.Context, token string, _ []string) (auth.Identity, bool, error) {
		asked++
		return auth.Identity{User: auth.User{Name: "jane"}}, token == "good", nil
	}, clocktesting.NewFakePassiveClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), time.Minute, time.Minute)
	check := func(token string) {
		t.Helper()
		if id, ok, err := cache.Check(t.Context(), token, nil); err != nil || ok != (token == "good") || !ok && id.User.Name != "" {
			t.Fatalf("%s: %+v, %t, %v", token, id, ok, err)
		}
	}
	check("good")
	const guesses = 40_000
	for i := range guesses {
		check(fmt.Sprint("guess", i))
	}
	check("good")
	check(fmt.Sprint("guess", guesses-1))
	if asked != guesses+1 {
		t.Errorf("asked %d times, want %d", asked, guesses+1)
	}
}
