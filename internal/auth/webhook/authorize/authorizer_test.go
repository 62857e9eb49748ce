package authorize_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/webhook/authorize"
)

// hasty is a clock on which every wait is over at once, and written down.
type hasty struct {
	clock.RealClock
	mu    sync.Mutex
	waits []time.Duration
}

type over struct{ clock.Timer }

func (over) Stop() bool { return true }

func (h *hasty) AfterFunc(d time.Duration, f func()) clock.Timer {
	h.mu.Lock()
	h.waits = append(h.waits, d)
	h.mu.Unlock()
	f()
	return over{}
}

// peer is a real server over TLS that answers in a given way, and counts questions.
type peer struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func (p *peer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

func serve(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *peer {
	t.Helper()
	p := &peer{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Errorf("the question: %v", err)
		}
		p.mu.Lock()
		p.asked = append(p.asked, string(body))
		n := len(p.asked)
		p.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func says(code int, media, text string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(code)
		fmt.Fprint(w, text)
	}
}

func status(text string) string {
	return `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":` + text + `}`
}

func (p *peer) config(c clock.WithDelayedExecution) authorize.Config {
	client := p.Client()
	client.Timeout = 200 * time.Millisecond
	return authorize.Config{Name: "peer", URL: p.URL, Client: client, Version: "v1", Allowed: time.Minute, Refused: time.Minute, OnFailure: auth.NoOpinion, Clock: c}
}

var (
	jane = auth.User{Name: "jane", Groups: []string{"ops"}, Extra: map[string][]string{"scopes": {"a"}}}
	list = auth.Attributes{Verb: "list", Version: "v1", Resource: "pods", Namespace: "default", FieldSelector: "spec.nodeName=one,status.phase!=Failed", LabelSelector: "app in (a,b),!old,n>3"}
)

// TestAnswers: what is not clearly a yes is none.
func TestAnswers(t *testing.T) {
	const broken = "error"
	for name, c := range map[string]struct {
		answer func(int, http.ResponseWriter, *http.Request)
		want   auth.Decision
		reason string
		err    string
		tries  int
	}{
		"yes":                 {says(200, "application/json", status(`{"allowed":true,"reason":"so be it"}`)), auth.Allow, "so be it", "", 1},
		"no":                  {says(201, "application/json", status(`{"allowed":false,"denied":true,"reason":"never"}`)), auth.Deny, "never", "", 1},
		"no opinion":          {says(200, "application/json", status(`{"allowed":false,"reason":"whatever"}`)), auth.NoOpinion, "whatever", "", 1},
		"both":                {says(200, "application/json", status(`{"allowed":true,"denied":true}`)), auth.Deny, "", "both allow and deny", 1},
		"without a kind":      {says(200, "application/json", `{"status":{"allowed":true}}`), auth.Allow, "", "", 1},
		"another kind":        {says(200, "application/json", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"allowed":true}}`), auth.NoOpinion, "", `"TokenReview" of "authentication.k8s.io/v1"`, 1},
		"no status":           {says(200, "application/json", `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","allowed":true}`), auth.NoOpinion, "", "no status", 1},
		"no JSON":             {says(200, "application/json", `<html>allowed: true</html>`), auth.NoOpinion, "", "no SubjectAccessReview", 1},
		"a page":              {says(200, "text/html", status(`{"allowed":true}`)), auth.NoOpinion, "", `"text/html", not JSON`, 1},
		"a list":              {says(200, "application/json", `[{"status":{"allowed":true}}]`), auth.NoOpinion, "", "no SubjectAccessReview", 1},
		"yes in words":        {says(200, "application/json", status(`{"allowed":"true"}`)), auth.NoOpinion, "", "no SubjectAccessReview", 1},
		"two answers":         {says(200, "application/json", status(`{"allowed":true}`)+status(`{"allowed":true}`)), auth.NoOpinion, "", "no SubjectAccessReview", 1},
		"nothing":             {says(200, "application/json", ""), auth.NoOpinion, "", "no SubjectAccessReview", 1},
		"too much":            {says(200, "application/json", status(`{"allowed":true,"reason":"`+strings.Repeat("x", 1<<20)+`"}`)), auth.NoOpinion, "", "more than 1048576 bytes", 1},
		"a yes with a 403":    {says(403, "application/json", status(`{"allowed":true}`)), auth.NoOpinion, "", "", 1},
		"a redirect nowhere":  {says(302, "application/json", status(`{"allowed":true}`)), auth.NoOpinion, "", "", 1},
		"500 for ever":        {says(500, "application/json", status(`{"allowed":true}`)), auth.NoOpinion, "", "", 5},
		"503 without a delay": {says(503, "text/plain", "later"), auth.NoOpinion, "", "", 1},
		"500, then yes": {func(n int, w http.ResponseWriter, r *http.Request) {
			if n < 3 {
				says(500, "text/plain", "oh")(n, w, r)
				return
			}
			says(200, "application/json", status(`{"allowed":true}`))(n, w, r)
		}, auth.Allow, "", "", 3},
		"silence":             {func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, auth.NoOpinion, "", "deadline exceeded", 1},
		"a broken connection": {func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, auth.NoOpinion, "", "EOF", 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, c.answer)
			decision, reason, err := authorize.New(p.config(&hasty{})).Authorize(t.Context(), jane, list)
			failed := c.want == auth.NoOpinion && c.reason == ""
			if decision != c.want || reason != c.reason || p.count() != c.tries || (err != nil) != (failed || c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, %q, %v after %d attempts", decision, reason, err, p.count())
			}
			strict := p.config(&hasty{})
			strict.OnFailure = auth.Deny
			if decision, _, _ := authorize.New(strict).Authorize(t.Context(), jane, list); failed && decision != auth.Deny {
				t.Errorf("%s with the failure policy Deny: got %v", broken, decision)
			}
		})
	}
}

// TestQuestion: the whole of a wish is asked, selectors too, in both versions.
func TestQuestion(t *testing.T) {
	const spec = `"resourceAttributes":{"namespace":"default","verb":"list","version":"v1","resource":"pods",` +
		`"fieldSelector":{"requirements":[{"key":"spec.nodeName","operator":"In","values":["one"]},{"key":"status.phase","operator":"NotIn","values":["Failed"]}]},` +
		`"labelSelector":{"requirements":[{"key":"app","operator":"In","values":["a","b"]},{"key":"old","operator":"DoesNotExist"}]}},"user":"jane","`
	for version, groups := range map[string]string{"v1": "groups", "v1beta1": "group"} {
		p := serve(t, says(200, "application/json", `{"status":{"allowed":true}}`))
		cfg := p.config(&hasty{})
		cfg.Version = version
		if decision, _, err := authorize.New(cfg).Authorize(t.Context(), jane, list); decision != auth.Allow || err != nil {
			t.Errorf("%s: %v, %v", version, decision, err)
		}
		if got := p.asked[0]; !strings.Contains(got, spec+groups+`":["ops"],"extra":{"scopes":["a"]}}`) || !strings.Contains(got, `"apiVersion":"authorization.k8s.io/`+version+`"`) {
			t.Errorf("%s: asked %s", version, got)
		}
	}
}

// TestMemory: answers are remembered for their time, refusals for another, failures and questions of a client's own size never.
func TestMemory(t *testing.T) {
	p := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		says(200, "application/json", status(`{"allowed":true}`))(0, w, r)
	})
	a := authorize.New(p.config(&hasty{}))
	for range 3 {
		if decision, _, err := a.Authorize(t.Context(), jane, list); decision != auth.Allow || err != nil {
			t.Fatal(decision, err)
		}
	}
	if p.count() != 1 {
		t.Errorf("the same was asked %d times", p.count())
	}
	other := jane
	other.Groups = []string{"dev"}
	huge := list
	huge.Name = strings.Repeat("x", 10_000)
	for range 2 {
		_, _, _ = a.Authorize(t.Context(), other, list)
		_, _, _ = a.Authorize(t.Context(), jane, huge)
	}
	if p.count() != 4 {
		t.Errorf("asked %d times, want once for another group and twice for what is too large to remember", p.count())
	}
}

// TestPauses: attempts come half a second apart, and half as long again each time.
func TestPauses(t *testing.T) {
	p, c := serve(t, says(500, "text/plain", "oh")), &hasty{}
	if decision, _, err := authorize.New(p.config(c)).Authorize(t.Context(), jane, list); decision != auth.NoOpinion || err == nil {
		t.Fatal(decision, err)
	}
	want := 500 * time.Millisecond
	for i, got := range c.waits {
		if got < want || got > want*12/10 {
			t.Errorf("pause %d: %v, want %v and a fifth at most", i, got, want)
		}
		want = want * 3 / 2
	}
	if len(c.waits) != 4 {
		t.Errorf("%d pauses", len(c.waits))
	}
}

// TestConditions: what does not match is not asked, and a condition that fails is a failure.
func TestConditions(t *testing.T) {
	p := serve(t, says(200, "application/json", status(`{"allowed":true}`)))
	cfg := p.config(&hasty{})
	cfg.OnFailure = auth.Deny
	for _, c := range []struct {
		matches bool
		err     error
		want    auth.Decision
		asked   int
	}{{false, nil, auth.NoOpinion, 0}, {false, errors.New("oh"), auth.Deny, 0}, {true, nil, auth.Allow, 1}} {
		cfg.Matches = func(context.Context, *authorizationv1.SubjectAccessReview) (bool, error) { return c.matches, c.err }
		if decision, _, err := authorize.New(cfg).Authorize(t.Context(), jane, list); decision != c.want || !errors.Is(err, c.err) || p.count() != c.asked {
			t.Errorf("%+v: got %v, %v, asked %d times", c, decision, err, p.count())
		}
	}
}

// TestForeignCertificate: a server with another's certificate is not believed.
func TestForeignCertificate(t *testing.T) {
	p := serve(t, says(200, "application/json", status(`{"allowed":true}`)))
	cfg := p.config(&hasty{})
	cfg.Client = &http.Client{}
	if decision, _, err := authorize.New(cfg).Authorize(t.Context(), jane, list); decision != auth.NoOpinion || err == nil || p.count() != 0 {
		t.Errorf("got %v, %v", decision, err)
	}
}
