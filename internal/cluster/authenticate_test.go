package cluster

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/auth/webhook/webhooktest"
	"github.com/floe-k8s/floe/internal/pki"
)

// trusted makes an authority, and writes its certificate to a file.
func trusted(t *testing.T) (*pki.Authority, string) {
	t.Helper()
	dir := t.TempDir()
	a, err := pki.Open(dir, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	return a, filepath.Join(dir, "ca.crt")
}

// identity is a client's certificate.
func identity(t *testing.T, a *pki.Authority, name string, groups ...string) *tls.Certificate {
	t.Helper()
	id, err := a.Client(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	cert := must(id.TLS())(t)
	return &cert
}

// asker asks a server who it is taken for.
type asker struct {
	url  string
	base *tls.Config
}

func newAsker(t *testing.T, c *servedCluster) asker {
	t.Helper()
	config := rest.CopyConfig(c.config)
	config.CertData, config.KeyData = nil, nil
	return asker{c.config.Host, must(rest.TLSConfigFor(config))(t)}
}

// whoami is the user's name and groups, or the answer's status.
func (a asker) whoami(t *testing.T, cert *tls.Certificate, headers map[string]string) string {
	t.Helper()
	config := a.base.Clone()
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	body := strings.NewReader(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.url+"/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var review authenticationv1.SelfSubjectReview
	if answer.StatusCode != http.StatusCreated {
		return answer.Status
	}
	if err := json.NewDecoder(answer.Body).Decode(&review); err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo.Username + " " + strings.Join(review.Status.UserInfo.Groups, ",")
}

// TestUsers: every credential that a server can be told to take, and what forges one.
func TestUsers(t *testing.T) {
	people, peopleFile := trusted(t)
	proxies, proxiesFile := trusted(t)
	strangers, _ := trusted(t)
	tokens := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(tokens, []byte("secret,jane,1,\"a,b\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := serveClusterAs(t, func(cfg *Config) {
		cfg.Authentication.ClientCAFile, cfg.Authentication.TokenFile, cfg.Authentication.BootstrapTokens, cfg.Authentication.Anonymous = peopleFile, tokens, true, false
		cfg.Authentication.RequestHeader = RequestHeader{
			ClientCAFile: proxiesFile, AllowedNames: []string{"front"}, UsernameHeaders: []string{"X-Remote-User"}, GroupHeaders: []string{"X-Remote-Group"},
		}
	})
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"}, Type: "bootstrap.kubernetes.io/token",
		StringData: map[string]string{"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"},
	}
	client := must(kubernetes.NewForConfig(c.config))(t)
	must(client.CoreV1().Secrets("kube-system").Create(t.Context(), secret, metav1.CreateOptions{}))(t)
	a := newAsker(t, c)
	token := func(s string) map[string]string { return map[string]string{"Authorization": "Bearer " + s} }
	words := map[string]string{"X-Remote-User": "jim", "X-Remote-Group": "c"}
	const refused = "401 Unauthorized"
	for _, test := range []struct {
		name    string
		cert    *tls.Certificate
		headers map[string]string
		want    string
	}{
		{"nothing", nil, nil, refused},
		{"a certificate", identity(t, people, "joe", "team"), nil, "joe team,system:authenticated"},
		{"a stranger's certificate", identity(t, strangers, "joe", "system:masters"), nil, refused},
		{"a proxy's certificate alone", identity(t, proxies, "front", "system:masters"), nil, refused},
		{"a stranger's certificate and a good token", identity(t, strangers, "joe"), token("secret"), "jane a,b,system:authenticated"},
		{"a token of the file", nil, token("secret"), "jane a,b,system:authenticated"},
		{"no token of the file", nil, token("secre"), refused},
		{"a bootstrap token", nil, token("abcdef.0123456789abcdef"), "system:bootstrap:abcdef system:bootstrappers,system:authenticated"},
		{"no bootstrap token", nil, token("abcdef.0123456789abcdee"), refused},
		{"a proxy", identity(t, proxies, "front"), words, "jim c,system:authenticated"},
		{"a proxy of another name", identity(t, proxies, "back"), words, refused},
		{"a user who plays proxy", identity(t, people, "front"), words, "front system:authenticated"},
		{"nobody who plays proxy", nil, words, refused},
	} {
		if got := a.whoami(t, test.cert, test.headers); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// TestProxiesAndUsersAreToldApart: without names, an authority of both lets every user name others.
func TestProxiesAndUsersAreToldApart(t *testing.T) {
	own, file := trusted(t)
	s := &server{authority: own, Environment: Environment{Clock: clock.RealClock{}}}
	s.Config.Authentication.RequestHeader.ClientCAFile = file
	if _, err := s.users(&accountTokens{}); err == nil || !strings.Contains(err.Error(), "contain overlapping certificates; --requestheader-allowed-names must be specified") {
		t.Errorf("got %v", err)
	}
}

// TestAuthenticationFile: strangers are let in where the file says, and an issuer that is not there keeps nothing else from working.
func TestAuthenticationFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth.yaml")
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {enabled: true, conditions: [{path: /livez}]}\n" +
		"jwt:\n- issuer: {url: 'https://127.0.0.1:1', audiences: [a]}\n  claimMappings: {username: {claim: sub, prefix: ''}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := serveClusterAs(t, func(cfg *Config) { cfg.Authentication.ConfigFile = file })
	a := newAsker(t, c)
	if got := a.whoami(t, nil, nil); got != "401 Unauthorized" {
		t.Errorf("a stranger: %s", got)
	}
	transport := &http.Transport{TLSClientConfig: a.base}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get(a.url + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("a stranger at /livez: %s", answer.Status)
	}
	if got := a.whoami(t, nil, map[string]string{"Authorization": "Bearer e30.eyJpc3MiOiJodHRwczovLzEyNy4wLjAuMToxIn0.AA"}); got != "401 Unauthorized" {
		t.Errorf("a token of an issuer that is not there: %s", got)
	}
	client := must(kubernetes.NewForConfig(c.config))(t)
	must(client.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{}))(t)

	s := &server{Environment: Environment{Clock: clock.RealClock{}, Log: c.env.Log}}
	s.Config.Authentication.ConfigFile = file
	if _, _, err := s.outside(&accountTokens{Checker: &token.Checker{}}); err == nil || !strings.Contains(err.Error(), "--anonymous-auth flag cannot be set when anonymous field is configured") {
		t.Errorf("both: %v", err)
	}
	s.Config.Authentication.ConfigFile += "x"
	if _, _, err := s.outside(&accountTokens{Checker: &token.Checker{}}); err == nil || !strings.Contains(err.Error(), "failed to load authentication configuration from file") {
		t.Errorf("no file: %v", err)
	}
}

// TestTokenWebhook: who shows a token that nobody else knows is who another server says, with its audiences; one that hangs, or is another, lets nobody in,
// and keeps nobody out whom others know.
func TestTokenWebhook(t *testing.T) {
	good := webhooktest.Serve(t, webhooktest.Says(http.StatusCreated, "application/json",
		`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":true,"user":{"username":"jane","groups":["ops"]}}}`))
	other := webhooktest.Serve(t, webhooktest.Breaks)
	for name, test := range map[string]struct {
		at, trusts *webhooktest.Peer
		want       string
	}{
		"good": {good, good, "jane ops,system:authenticated"}, "breaks": {other, other, "401 Unauthorized"}, "foreign": {good, nil, "401 Unauthorized"},
	} {
		dir := t.TempDir()
		file, tokens := filepath.Join(dir, "webhook.yaml"), filepath.Join(dir, "tokens.csv")
		config := clientcmdapi.NewConfig()
		config.Clusters["c"] = &clientcmdapi.Cluster{Server: test.at.URL + "/review"}
		if test.trusts != nil {
			config.Clusters["c"].CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: test.trusts.Certificate().Raw})
		}
		config.Contexts["x"], config.CurrentContext = &clientcmdapi.Context{Cluster: "c"}, "x"
		if err := errors.Join(clientcmd.WriteToFile(*config, file), os.WriteFile(tokens, []byte("secret,joe,1\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		c := serveClusterAs(t, func(cfg *Config) {
			cfg.Authentication.TokenFile, cfg.Authentication.Webhook.ConfigFile, cfg.Authentication.Webhook.Version = tokens, file, "v1"
		})
		a, before := newAsker(t, c), len(good.Asked())
		for range 2 {
			if got := a.whoami(t, nil, map[string]string{"Authorization": "Bearer of-elsewhere"}); got != test.want {
				t.Errorf("%s: a token that nobody else knows: got %s, want %s", name, got, test.want)
			}
		}
		if got := a.whoami(t, nil, map[string]string{"Authorization": "Bearer secret"}); got != "joe system:authenticated" {
			t.Errorf("%s: a token of the file: %s", name, got)
		}
		if asked := good.Asked()[before:]; name == "good" && (len(asked) != 1 || !strings.Contains(asked[0], `"spec":{"token":"of-elsewhere","audiences":["https://kubernetes.default.svc.cluster.local"]}`)) {
			t.Errorf("%s: asked %q", name, asked)
		}
	}
	cfg := DefaultConfig()
	cfg.Authentication.Webhook.ConfigFile, cfg.Authentication.Webhook.Version = "x", "v2"
	if err := errors.Join(cfg.Authentication.validate()...); err == nil || !strings.Contains(err.Error(), `unsupported authentication webhook version "v2", supported versions are "v1", "v1beta1"`) {
		t.Errorf("another version: %v", err)
	}
	s := &server{Environment: Environment{Config: cfg, Clock: clock.RealClock{}}}
	if _, err := s.tokenWebhook(nil); err == nil || !strings.Contains(err.Error(), "authentication.webhook.configFile: kubeconfig file x: ") {
		t.Errorf("no file: %v", err)
	}
}
