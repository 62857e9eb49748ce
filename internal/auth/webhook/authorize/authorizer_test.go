package authorize_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/webhook/authorize"
	"github.com/floe-k8s/floe/internal/auth/webhook/webhooktest"
)

func status(text string) string {
	return `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":` + text + `}`
}

func configOf(p *webhooktest.Peer, c clock.WithDelayedExecution) authorize.Config {
	return authorize.Config{Name: "peer", URL: p.URL, Client: p.Impatient(), Version: "v1", Allowed: time.Minute, Refused: time.Minute, OnFailure: auth.NoOpinion, Clock: c}
}

var (
	jane = auth.User{Name: "jane", Groups: []string{"ops"}, Extra: map[string][]string{"scopes": {"a"}}}
	list = auth.Attributes{Verb: "list", Version: "v1", Resource: "pods", Namespace: "default", FieldSelector: "spec.nodeName=one,status.phase!=Failed", LabelSelector: "app in (a,b),!old,n>3"}
)

// TestAnswers: what is not clearly a yes is none.
func TestAnswers(t *testing.T) {
	const broken = "error"
	for name, c := range map[string]struct {
		answer webhooktest.Answer
		want   auth.Decision
		reason string
		err    string
		tries  int
	}{
		"yes":                 {webhooktest.Says(200, "application/json", status(`{"allowed":true,"reason":"so be it"}`)), auth.Allow, "so be it", "", 1},
		"no":                  {webhooktest.Says(201, "application/json", status(`{"allowed":false,"denied":true,"reason":"never"}`)), auth.Deny, "never", "", 1},
		"no opinion":          {webhooktest.Says(200, "application/json", status(`{"allowed":false,"reason":"whatever"}`)), auth.NoOpinion, "whatever", "", 1},
		"both":                {webhooktest.Says(200, "application/json", status(`{"allowed":true,"denied":true}`)), auth.Deny, "", "both allow and deny", 1},
		"without a kind":      {webhooktest.Says(200, "application/json", `{"status":{"allowed":true}}`), auth.Allow, "", "", 1},
		"another kind":        {webhooktest.Says(200, "application/json", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"allowed":true}}`), auth.NoOpinion, "", `"TokenReview" of "authentication.k8s.io/v1"`, 1},
		"no status":           {webhooktest.Says(200, "application/json", `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","allowed":true}`), auth.NoOpinion, "", "no status", 1},
		"no JSON":             {webhooktest.Says(200, "application/json", `<html>allowed: true</html>`), auth.NoOpinion, "", "no SubjectAccessReview", 1},
		"a page":              {webhooktest.Says(200, "text/html", status(`{"allowed":true}`)), auth.NoOpinion, "", `"text/html", not JSON`, 1},
		"a list":              {webhooktest.Says(200, "application/json", `[{"status":{"allowed":true}}]`), auth.NoOpinion, "", "no SubjectAccessReview", 1},
		"yes in words":        {webhooktest.Says(200, "application/json", status(`{"allowed":"true"}`)), auth.NoOpinion, "", "no SubjectAccessReview", 1},
		"two answers":         {webhooktest.Says(200, "application/json", status(`{"allowed":true}`)+status(`{"allowed":true}`)), auth.NoOpinion, "", "no SubjectAccessReview", 1},
		"nothing":             {webhooktest.Says(200, "application/json", ""), auth.NoOpinion, "", "no SubjectAccessReview", 1},
		"too much":            {webhooktest.Says(200, "application/json", status(`{"allowed":true,"reason":"`+strings.Repeat("x", 1<<20)+`"}`)), auth.NoOpinion, "", "more than 1048576 bytes", 1},
		"a yes with a 403":    {webhooktest.Says(403, "application/json", status(`{"allowed":true}`)), auth.NoOpinion, "", "", 1},
		"a redirect nowhere":  {webhooktest.Says(302, "application/json", status(`{"allowed":true}`)), auth.NoOpinion, "", "", 1},
		"500 for ever":        {webhooktest.Says(500, "application/json", status(`{"allowed":true}`)), auth.NoOpinion, "", "", 5},
		"503 without a delay": {webhooktest.Says(503, "text/plain", "later"), auth.NoOpinion, "", "", 1},
		"500, then yes": {func(n int, w http.ResponseWriter, r *http.Request) {
			if n < 3 {
				webhooktest.Says(500, "text/plain", "oh")(n, w, r)
				return
			}
			webhooktest.Says(200, "application/json", status(`{"allowed":true}`))(n, w, r)
		}, auth.Allow, "", "", 3},
		"silence":             {webhooktest.Hangs, auth.NoOpinion, "", "deadline exceeded", 1},
		"a broken connection": {webhooktest.Breaks, auth.NoOpinion, "", "EOF", 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := webhooktest.Serve(t, c.answer)
			decision, reason, err := authorize.New(configOf(p, &webhooktest.Clock{})).Authorize(t.Context(), jane, list)
			failed := c.want == auth.NoOpinion && c.reason == ""
			if decision != c.want || reason != c.reason || len(p.Asked()) != c.tries || (err != nil) != (failed || c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, %q, %v after %d attempts", decision, reason, err, len(p.Asked()))
			}
			strict := configOf(p, &webhooktest.Clock{})
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
		p := webhooktest.Serve(t, webhooktest.Says(200, "application/json", `{"status":{"allowed":true}}`))
		cfg := configOf(p, &webhooktest.Clock{})
		cfg.Version = version
		if decision, _, err := authorize.New(cfg).Authorize(t.Context(), jane, list); decision != auth.Allow || err != nil {
			t.Errorf("%s: %v, %v", version, decision, err)
		}
		if got := p.Asked()[0]; !strings.Contains(got, spec+groups+`":["ops"],"extra":{"scopes":["a"]}}`) || !strings.Contains(got, `"apiVersion":"authorization.k8s.io/`+version+`"`) {
			t.Errorf("%s: asked %s", version, got)
		}
	}
}

// TestMemory: answers are remembered for their time, refusals for another, failures and questions of a client's own size never.
func TestMemory(t *testing.T) {
	p := webhooktest.Serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		webhooktest.Says(200, "application/json", status(`{"allowed":true}`))(0, w, r)
	})
	a := authorize.New(configOf(p, &webhooktest.Clock{}))
	for range 3 {
		if decision, _, err := a.Authorize(t.Context(), jane, list); decision != auth.Allow || err != nil {
			t.Fatal(decision, err)
		}
	}
	if len(p.Asked()) != 1 {
		t.Errorf("the same was asked %d times", len(p.Asked()))
	}
	other := jane
	other.Groups = []string{"dev"}
	huge := list
	huge.Name = strings.Repeat("x", 10_000)
	for range 2 {
		_, _, _ = a.Authorize(t.Context(), other, list)
		_, _, _ = a.Authorize(t.Context(), jane, huge)
	}
	if len(p.Asked()) != 4 {
		t.Errorf("asked %d times, want once for another group and twice for what is too large to remember", len(p.Asked()))
	}
}

// TestPauses: attempts come half a second apart, and half as long again each time.
func TestPauses(t *testing.T) {
	p, c := webhooktest.Serve(t, webhooktest.Says(500, "text/plain", "oh")), &webhooktest.Clock{}
	if decision, _, err := authorize.New(configOf(p, c)).Authorize(t.Context(), jane, list); decision != auth.NoOpinion || err == nil {
		t.Fatal(decision, err)
	}
	want := 500 * time.Millisecond
	for i, got := range c.Waits() {
		if got < want || got > want*12/10 {
			t.Errorf("pause %d: %v, want %v and a fifth at most", i, got, want)
		}
		want = want * 3 / 2
	}
	if len(c.Waits()) != 4 {
		t.Errorf("%d pauses", len(c.Waits()))
	}
}

// TestConditions: what does not match is not asked, and a condition that fails is a failure.
func TestConditions(t *testing.T) {
	p := webhooktest.Serve(t, webhooktest.Says(200, "application/json", status(`{"allowed":true}`)))
	cfg := configOf(p, &webhooktest.Clock{})
	cfg.OnFailure = auth.Deny
	for _, c := range []struct {
		matches bool
		err     error
		want    auth.Decision
		asked   int
	}{{false, nil, auth.NoOpinion, 0}, {false, errors.New("oh"), auth.Deny, 0}, {true, nil, auth.Allow, 1}} {
		cfg.Matches = func(context.Context, *authorizationv1.SubjectAccessReview) (bool, error) { return c.matches, c.err }
		if decision, _, err := authorize.New(cfg).Authorize(t.Context(), jane, list); decision != c.want || !errors.Is(err, c.err) || len(p.Asked()) != c.asked {
			t.Errorf("%+v: got %v, %v, asked %d times", c, decision, err, len(p.Asked()))
		}
	}
}

// TestForeignCertificate: a server with another's certificate is not believed.
func TestForeignCertificate(t *testing.T) {
	p := webhooktest.Serve(t, webhooktest.Says(200, "application/json", status(`{"allowed":true}`)))
	cfg := configOf(p, &webhooktest.Clock{})
	cfg.Client = &http.Client{}
	if decision, _, err := authorize.New(cfg).Authorize(t.Context(), jane, list); decision != auth.NoOpinion || err == nil || len(p.Asked()) != 0 {
		t.Errorf("got %v, %v", decision, err)
	}
}
