package webhook_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/admission/webhook"
)

// credentials are users whose token is their name; the current context's is "current".
func credentials(t *testing.T, users ...string) *webhook.Credentials {
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
	c, err := webhook.ReadCredentials(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// callAs makes one call of a hook and returns what it was told of the caller.
func callAs(t *testing.T, as *webhook.Credentials) (authorization, agent string) {
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
		as   *webhook.Credentials
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

func TestUsersOfHosts(t *testing.T) {
	for host, c := range map[string]struct{ users, want string }{
		"svc.ns.svc:443":  {"svc.ns.svc:443 svc.ns.svc *.ns.svc * current", "svc.ns.svc:443"},
		"a.ns.svc:443":    {"*.ns.svc:443 *.ns.svc *.svc * current", "*.ns.svc:443"},
		"b.ns.svc:443":    {"*.svc b.ns.svc * current", "b.ns.svc"},
		"c.ns.svc:443":    {"*.svc *.ns.svc * current", "*.ns.svc"},
		"d.ns.svc:8443":   {"d.ns.svc *.svc * current", "*"},
		"e.ns.svc:8443":   {"e.ns.svc *.svc:8443 * current", "*.svc:8443"},
		"f.ns.svc:443":    {"other current", "current"},
		"g.ns.svc:443":    {"other", ""},
		"127.0.0.1:443":   {"127.0.0.1 *", "127.0.0.1"},
		"[::1]:443":       {"::1 *", "::1"},
		"h.example.com:1": {"*.com:1", "*.com:1"},
	} {
		if got := credentials(t, strings.Fields(c.users)...).Token(host); got != c.want {
			t.Errorf("%s among %s is %q, want %q", host, c.users, got, c.want)
		}
	}
}

func TestNoCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	bad, err := json.Marshal("users")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, "/nowhere"} {
		if _, err := webhook.ReadCredentials(name); err == nil || !strings.Contains(err.Error(), "kubeconfig file "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
