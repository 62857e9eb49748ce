package webhook_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
)

// credentials are users whose token is their name; the current context's is "current".
func credentials(t *testing.T, users ...string) *reach.Credentials {
	t.Helper()
	var text strings.Builder
	text.WriteString("apiVersion: v1\nkind: Config\ncontexts: [{name: x, context: {cluster: c, user: current}}]\ncurrent-context: x\nusers:\n")
	for _, user := range users {
		text.WriteString("- {name: \"" + user + "\", user: {token: \"" + user + "\"}}\n")
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := reach.ReadCredentials(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// callAs makes one call of a hook and returns what it was told of the caller.
func callAs(t *testing.T, as *reach.Credentials) (authorization, agent string) {
	t.Helper()
	b := newBenchAs(t, as)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization, agent = r.Header.Get("Authorization"), r.UserAgent()
		review(t, func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
			return &reviewv1.AdmissionResponse{Allowed: true}
		})(w, r)
	}))
	b.put(validatingConfig("v", hook("h.example.com", s)))
	if err := b.pass(context.Background(), b.wish(pod("web"))); err != nil {
		t.Fatal(err)
	}
	return authorization, agent
}

// TestHooksAreToldWhoCalls: nobody, without a file; the user of the current context, of all hosts, or of theirs.
func TestHooksAreToldWhoCalls(t *testing.T) {
	for name, c := range map[string]struct {
		as   *reach.Credentials
		want string
	}{
		"nobody":              {nil, ""},
		"no user":             {credentials(t), ""},
		"the current one":     {credentials(t, "current"), "Bearer current"},
		"that of all":         {credentials(t, "current", "*"), "Bearer *"},
		"that of other hosts": {credentials(t, "*.example.com", "127.0.0.1"), ""},
	} {
		if authorization, agent := callAs(t, c.as); authorization != c.want || agent != "kube-apiserver-admission" {
			t.Errorf("%s: the hook was called as %q by %q, want %q", name, authorization, agent, c.want)
		}
	}
}

// TestCredentialsStayWithTheirHost: where a hook leads elsewhere, its token does not go along.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	var told []string
	elsewhere := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = append(told, "elsewhere "+r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusTeapot)
	}))
	first := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = append(told, "first "+r.Header.Get("Authorization"))
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	b := newBenchAs(t, credentials(t, "*"))
	h := hook("h.example.com", first)
	h.ClientConfig.CABundle = append(trust(first), trust(elsewhere)...)
	b.put(mutatingConfig("m", h))
	if err := b.pass(context.Background(), b.wish(pod("web"))); !apierrors.IsInternalError(err) {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(told, ", "); got != "first Bearer *, elsewhere " {
		t.Errorf("told was %q", got)
	}
}
