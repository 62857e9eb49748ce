package reach_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		if _, err := reach.ReadCredentials(name); err == nil || !strings.Contains(err.Error(), "kubeconfig file "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
