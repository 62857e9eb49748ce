package authenticate_test

import (
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/webhook/authenticate"
	"github.com/floe-k8s/floe/internal/auth/webhook/webhooktest"
)

const asJSON = "application/json"

// says is a review of the status.
func says(status string) webhooktest.Answer {
	return webhooktest.Says(201, asJSON, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":`+status+`}`)
}

const janes = `{"authenticated":true,"user":{"username":"jane","uid":"7","groups":["ops"],"extra":{"scopes":["a"]}}}`

func configOf(p *webhooktest.Peer) authenticate.Config {
	return authenticate.Config{
		URL: p.URL, Client: p.Impatient(), Version: "v1", Audiences: []string{"api", "here"}, Clock: &webhooktest.Clock{}, Log: slog.New(slog.DiscardHandler),
	}
}

// TestAnswers: what is not clearly somebody's is nobody's, however the server behaves.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer webhooktest.Answer
		user   string // "" is nobody
		err    string // a part of it; "" is none
		tries  int
	}{
		"hers":                {says(janes), "jane", "", 1},
		"nobody's":            {says(`{"authenticated":false}`), "", "", 1},
		"a user, but no yes":  {says(`{"user":{"username":"admin","groups":["system:masters"]}}`), "", "", 1},
		"a reason":            {says(`{"authenticated":false,"error":"it has expired"}`), "", "it has expired", 1},
		"for others":          {says(strings.Replace(janes, "{", `{"audiences":["vault"],`, 1)), "", "", 1},
		"no kind":             {webhooktest.Says(200, asJSON, `{"status":`+janes+`}`), "jane", "", 1},
		"another kind":        {webhooktest.Says(200, asJSON, `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":`+janes+`}`), "", `"SubjectAccessReview" of "authorization.k8s.io/v1"`, 1},
		"another version":     {webhooktest.Says(200, asJSON, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1","status":`+janes+`}`), "", "not a TokenReview of", 1},
		"no status":           {webhooktest.Says(200, asJSON, `{"kind":"TokenReview","authenticated":true,"user":{"username":"admin"}}`), "", "no status", 1},
		"a null status":       {says("null"), "", "no status", 1},
		"yes in words":        {says(`{"authenticated":"true","user":{"username":"admin"}}`), "", "no TokenReview", 1},
		"no JSON":             {webhooktest.Says(200, asJSON, `<html>authenticated: true</html>`), "", "no TokenReview", 1},
		"two answers":         {webhooktest.Says(200, asJSON, `{"status":`+janes+`}{}`), "", "no TokenReview", 1},
		"a page":              {webhooktest.Says(200, "text/html", `{"status":`+janes+`}`), "", "not JSON", 1},
		"nothing":             {webhooktest.Says(200, asJSON, ""), "", "no TokenReview", 1},
		"too much":            {says(strings.Replace(janes, "jane", strings.Repeat("x", 1<<20), 1)), "", "more than 1048576 bytes", 1},
		"a yes with a 401":    {webhooktest.Says(401, asJSON, `{"status":`+janes+`}`), "", "asked for the client to provide credentials", 1},
		"a redirect":          {webhooktest.Says(307, asJSON, `{"status":`+janes+`}`), "", "307", 1},
		"500 for ever":        {webhooktest.Says(500, asJSON, `{"status":`+janes+`}`), "", "an error on the server", 5},
		"silence":             {webhooktest.Hangs, "", "deadline exceeded", 1},
		"a broken connection": {webhooktest.Breaks, "", "EOF", 1},
		"429, then hers": {func(n int, w http.ResponseWriter, r *http.Request) {
			if n < 3 {
				webhooktest.Says(429, "text/plain", "later")(n, w, r)
				return
			}
			says(janes)(n, w, r)
		}, "jane", "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			p := webhooktest.Serve(t, c.answer)
			id, ok, err := authenticate.New(configOf(p))(t.Context(), "a-token-5c1d", nil)
			if ok != (c.user != "") || id.User.Name != c.user || (err != nil) != (c.err != "") || err != nil && !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.err)) {
				t.Errorf("got %+v, %t, %v", id, ok, err)
			}
			if err != nil && strings.Contains(err.Error(), "a-token-5c1d") {
				t.Errorf("the error tells the token: %v", err)
			}
			if tries := len(p.Asked()); tries != c.tries {
				t.Errorf("asked %d times, want %d", tries, c.tries)
			}
			if ok {
				want := auth.User{Name: "jane", UID: "7", Groups: []string{"ops", auth.Authenticated}, Extra: map[string][]string{"scopes": {"a"}}}
				if !reflect.DeepEqual(id.User, want) || !slices.Equal(id.Audiences, []string{"api", "here"}) {
					t.Errorf("got %+v", id)
				}
			}
		})
	}
}

// TestAudiences: what is asked for, what the server says and what the API is decide together, in both versions.
func TestAudiences(t *testing.T) {
	for _, c := range []struct{ wanted, named, want, sent string }{
		{"", "", "api here", `"api","here"`}, {"", "here vault", "here", `"api","here"`}, {"", "vault", "", `"api","here"`},
		{"vault", "", "", `"vault"`}, {"vault api", "", "api", `"vault","api"`}, {"vault", "vault", "vault", `"vault"`}, {"vault", "api", "", `"vault"`},
	} {
		for _, version := range []string{"v1", "v1beta1"} {
			named := ""
			if c.named != "" {
				named = `"audiences":["` + strings.ReplaceAll(c.named, " ", `","`) + `"],`
			}
			p := webhooktest.Serve(t, webhooktest.Says(200, asJSON, `{"status":`+strings.Replace(janes, "{", "{"+named, 1)+`}`))
			cfg := configOf(p)
			cfg.Version = version
			id, ok, err := authenticate.New(cfg)(t.Context(), "token", strings.Fields(c.wanted))
			if err != nil || ok != (c.want != "") || strings.Join(id.Audiences, " ") != c.want {
				t.Errorf("%+v: got %+v, %t, %v", c, id, ok, err)
			}
			const head = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/`
			if asked := p.Asked()[0]; !strings.HasPrefix(asked, head+version+`"`) || !strings.Contains(asked, `"spec":{"token":"token","audiences":[`+c.sent+`]}`) {
				t.Errorf("%+v: asked %s", c, asked)
			}
		}
	}
}

// TestMemory: good tokens and those of nobody are remembered for the same time, errors not at all, and nothing where that was said.
func TestMemory(t *testing.T) {
	for status, errs := range map[string]bool{janes: false, `{"authenticated":false}`: false, `{"authenticated":false,"error":"oh"}`: true} {
		p := webhooktest.Serve(t, says(status))
		clk := clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		cfg := configOf(p)
		cfg.Clock, cfg.Keep = clk, time.Minute
		check := authenticate.New(cfg)
		ask := func(token string, audiences ...string) {
			t.Helper()
			if _, ok, err := check(t.Context(), token, audiences); ok != (status == janes) || (err != nil) != errs {
				t.Fatalf("%s: got %t, %v", status, ok, err)
			}
		}
		for range 3 {
			ask("a")
		}
		first := len(p.Asked())
		clk.Step(59 * time.Second)
		ask("a")
		ask("b")
		ask("a", "here")
		second := len(p.Asked())
		clk.Step(2 * time.Second)
		ask("a")
		if got, want := []int{first, second, len(p.Asked())}, map[bool][]int{false: {1, 3, 4}, true: {3, 6, 7}}[errs]; !slices.Equal(got, want) {
			t.Errorf("%s: asked %v times, want %v", status, got, want)
		}
	}
	p := webhooktest.Serve(t, says(janes))
	check := authenticate.New(configOf(p))
	for range 2 {
		if _, ok, err := check(t.Context(), "a", nil); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if n := len(p.Asked()); n != 2 {
		t.Errorf("asked %d times, want 2: nothing is to be kept", n)
	}
}

// TestForeignCertificate: a server with another's certificate is told no token.
func TestForeignCertificate(t *testing.T) {
	p := webhooktest.Serve(t, says(janes))
	cfg := configOf(p)
	cfg.Client = &http.Client{}
	if _, ok, err := authenticate.New(cfg)(t.Context(), "a", nil); ok || err == nil || len(p.Asked()) != 0 {
		t.Errorf("got %t, %v, asked %d times", ok, err, len(p.Asked()))
	}
}
