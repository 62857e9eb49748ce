package authorization_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/authorization"
	"github.com/floe-k8s/floe/internal/observe"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const header = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n"

// hook is a webhook in a file, with lines to add to its settings.
func hook(name, kubeconfig string, more ...string) string {
	text := "- type: Webhook\n  name: " + name + "\n  webhook:\n    timeout: 3s\n    subjectAccessReviewVersion: v1\n    matchConditionSubjectAccessReviewVersion: v1\n" +
		"    failurePolicy: Deny\n    connectionInfo:\n      type: KubeConfigFile\n      kubeConfigFile: " + kubeconfig + "\n"
	for _, line := range more {
		text += "    " + line + "\n"
	}
	return text
}

// TestWrongFiles: an error names the file, the line and the field.
func TestWrongFiles(t *testing.T) {
	kubeconfig := write(t, "kubeconfig", "")
	for name, c := range map[string]struct{ text, want string }{
		"empty":              {"", ": the file is empty"},
		"no YAML":            {"a: [", "yaml: line 1"},
		"another kind":       {"apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: []\n", "expected AuthorizationConfiguration"},
		"another version":    {"apiVersion: apiserver.config.k8s.io/v9\nkind: AuthorizationConfiguration\n", "no kind"},
		"nothing":            {header, ": authorizers: Required value: at least one authorization mode must be defined"},
		"an unknown field":   {header + "authorizers:\n- type: RBAC\n  name: rbac\n  weight: 3\n", `:6: unknown field "authorizers[0].weight"`},
		"a field twice":      {header + "authorizers:\n- type: RBAC\n  name: rbac\n  name: rbac\n", `already set`},
		"an unknown mode":    {header + "authorizers:\n- type: Magic\n  name: magic\n", `:4: authorizers[0].type: Unsupported value: "Magic"`},
		"ABAC":               {header + "authorizers:\n- type: ABAC\n  name: abac\n", `:4: authorizers[0].type: Forbidden: floe does not have ABAC`},
		"a mode twice":       {header + "authorizers:\n- type: RBAC\n  name: rbac\n- type: RBAC\n  name: again\n", `:6: authorizers[1].type: Duplicate value: "RBAC"`},
		"another name":       {header + "authorizers:\n- type: RBAC\n  name: mine\n", `:5: authorizers[0].name: Invalid value: "mine": expected name rbac for authorizer RBAC instead of mine`},
		"no webhook":         {header + "authorizers:\n- type: Webhook\n  name: a\n", `:4: authorizers[0].webhook: Required value: required when type=Webhook`},
		"too long a timeout": {header + "authorizers:\n- type: RBAC\n  name: rbac\n" + strings.Replace(hook("a", kubeconfig), "3s", "31s", 1), `:9: authorizers[1].timeout: Invalid value: "31s": must be > 0s and <= 30s`},
		"no such kubeconfig": {header + "authorizers:\n" + hook("a", "/none"), `:13: authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "/none": error loading file`},
		"in a cluster":       {header + "authorizers:\n" + strings.Replace(hook("a", kubeconfig), "type: KubeConfigFile\n      kubeConfigFile: "+kubeconfig, "type: InClusterConfig", 1), `:12: authorizers[0].connectionInfo.type: Forbidden: the server is in no pod`},
		"a wrong condition":  {header + "authorizers:\n" + hook("a", kubeconfig, "matchConditions:", "- expression: request.nothing == 'x'"), `:15: authorizers[0].matchConditions[0].expression: Invalid value`},
		"no condition":       {header + "authorizers:\n" + hook("a", kubeconfig, "matchConditions:", "- expression: request.user"), `must evaluate to bool`},
		"a name twice":       {header + "authorizers:\n" + hook("a", kubeconfig) + hook("a", kubeconfig), `authorizers[1].name: Duplicate value: "a"`},
	} {
		path := write(t, "authorization.yaml", c.text)
		if cfg, err := authorization.Load(path); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: got %v, %v, want %s%s", name, cfg, err, path, c.want)
		}
	}
}

// TestFlags: modes are upstream's, and so are the words for wrong ones.
func TestFlags(t *testing.T) {
	for modes, want := range map[string]string{
		"Node,RBAC": "", "AlwaysAllow": "", "Webhook": "config file not passed", "RBAC,RBAC": "more than once", "Magic": `"Magic" is not a valid mode`, "ABAC": "floe does not have ABAC",
		"rbac": `"rbac" is not a valid mode`, "": "at least one authorization-mode must be passed",
	} {
		flags := authorization.Flags{WebhookVersion: "v1"}
		if modes != "" {
			flags.Modes = strings.Split(modes, ",")
		}
		if _, err := flags.Configuration(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", modes, err, want)
		}
	}
}

func says(decision auth.Decision) auth.Authorizer {
	return func(context.Context, auth.User, auth.Attributes) (auth.Decision, string, error) {
		return decision, "own", nil
	}
}

func builder(own auth.Decision) authorization.Builder {
	none := func(auth.User, string) ([]rbacv1.PolicyRule, bool, error) { return nil, false, nil }
	return authorization.Builder{Own: authorization.Own{Node: says(auth.NoOpinion), RBAC: says(own), NodeRules: none, RBACRules: none}, Clock: clock.RealClock{}}
}

// peer is a real server over TLS that denies mallory and has no opinion of others, and the kubeconfig file for it.
func peer(t *testing.T, asked *[]string) (kubeconfig string) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		*asked = append(*asked, review.Spec.User)
		review.Status = authorizationv1.SubjectAccessReviewStatus{Denied: review.Spec.User == "mallory", Reason: "I know them"}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	authority := write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	return write(t, "kubeconfig", fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]\n"+
		"users: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n", server.URL+"/authorize", authority))
}

// TestWebhooks: several are asked in their order, each for what it is for; masters are asked about nowhere.
func TestWebhooks(t *testing.T) {
	var first, second []string
	path := write(t, "authorization.yaml", header+"authorizers:\n"+
		hook("first", peer(t, &first), "matchConditions:", "- expression: has(request.resourceAttributes) && request.resourceAttributes.resource == 'secrets'")+
		hook("second", peer(t, &second))+"- type: RBAC\n  name: rbac\n")
	cfg, err := authorization.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	b := builder(auth.Allow)
	b.Metrics = authorization.NewMetrics()
	chain, err := b.Build(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user     auth.User
		resource string
		want     auth.Decision
		asked    string
	}{
		{auth.User{Name: "jane"}, "pods", auth.Allow, "[] [jane]"},
		{auth.User{Name: "jane"}, "secrets", auth.Allow, "[jane] [jane]"},
		{auth.User{Name: "mallory"}, "secrets", auth.Deny, "[mallory] []"},
		{auth.User{Name: "mallory"}, "pods", auth.Deny, "[] [mallory]"},
		{auth.User{Name: "mallory", Groups: []string{auth.Masters}}, "secrets", auth.Allow, "[] []"},
	} {
		first, second = nil, nil
		decision, _, err := chain.Authorize(t.Context(), c.user, auth.Attributes{Verb: "get", Version: "v1", Resource: c.resource})
		if got := fmt.Sprint(first, " ", second); decision != c.want || err != nil || got != c.asked {
			t.Errorf("%+v: got %v, %v, asked %s", c, decision, err, got)
		}
	}
	const want = `# HELP apiserver_authorization_decisions_total Decisions of each authorizer that has one.
# TYPE apiserver_authorization_decisions_total counter
apiserver_authorization_decisions_total{decision="allowed",name="first",type="Webhook"} 0
apiserver_authorization_decisions_total{decision="allowed",name="rbac",type="RBAC"} 2
apiserver_authorization_decisions_total{decision="allowed",name="second",type="Webhook"} 0
apiserver_authorization_decisions_total{decision="denied",name="first",type="Webhook"} 1
apiserver_authorization_decisions_total{decision="denied",name="rbac",type="RBAC"} 0
apiserver_authorization_decisions_total{decision="denied",name="second",type="Webhook"} 1
`
	if err := testutil.CollectAndCompare(b.Metrics, strings.NewReader(want), "apiserver_authorization_decisions_total"); err != nil {
		t.Error(err)
	}
	if _, incomplete, err := chain.Rules(auth.User{Name: "jane"}, "default"); !incomplete || err == nil {
		t.Error("rules that a webhook gives are said to be known")
	}
}

// TestReload: a change counts, a wrong one does not.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rbac = header + "authorizers:\n- type: RBAC\n  name: rbac\n"
		path := write(t, "authorization.yaml", rbac)
		f, err := authorization.Follow(path, builder(auth.Allow), observe.Discard())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx, clock.RealClock{}) }()
		for _, c := range []struct {
			name, text string
			want       auth.Decision
		}{
			{"as it was", rbac, auth.Allow},
			{"deny", header + "authorizers:\n- type: AlwaysDeny\n  name: alwaysdeny\n", auth.NoOpinion},
			{"wrong", "nonsense", auth.NoOpinion},
			{"empty", "", auth.NoOpinion},
			{"right again", rbac, auth.Allow},
		} {
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			<-time.After(6 * time.Second)
			if got, _, _ := f.Authorize(ctx, auth.User{Name: "jane"}, auth.Attributes{Verb: "get", Resource: "pods"}); got != c.want {
				t.Errorf("%s: got %v, want %v", c.name, got, c.want)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
