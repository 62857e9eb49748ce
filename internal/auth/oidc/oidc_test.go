package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	jose "gopkg.in/go-jose/go-jose.v2"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/observe"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// provider is an issuer over TLS.
type provider struct {
	*httptest.Server
	key     *ecdsa.PrivateKey
	broken  atomic.Bool // it answers nothing that is right
	fetches atomic.Int32
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{key: newKey(t)}
	answer := func(w http.ResponseWriter, v any) {
		if p.broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the test sees when nothing comes
	}
	mux := http.NewServeMux()
	mux.HandleFunc(discoveryPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("/groups", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer pass" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, p.sign(t, p.key, "k", p.says(map[string]any{"groups": []string{"far"}})))
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// says is what a good token says, with changes; a nil value takes a claim away.
func (p *provider) says(changes map[string]any) map[string]any {
	said := map[string]any{"iss": p.URL, "aud": "floe", "sub": "jane", "exp": began.Add(time.Hour).Unix(), "email": "jane@example.com"}
	for name, value := range changes {
		said[name] = value
		if value == nil {
			delete(said, name)
		}
	}
	return said
}

func (p *provider) sign(t testing.TB, key any, id string, said map[string]any) string {
	t.Helper()
	algorithm := jose.ES256
	if _, ok := key.([]byte); ok {
		algorithm = jose.HS256
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// file is a configuration with the provider as its one issuer, of which text says more.
func (p *provider) file(text string) string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	return "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    url: " + p.URL +
		"\n    audiences: [floe, other]\n    audienceMatchPolicy: MatchAny\n    certificateAuthority: |\n      " + strings.ReplaceAll(string(ca), "\n", "\n      ") + "\n" + text
}

const plain = "  claimMappings:\n    username: {claim: sub, prefix: ''}\n    groups: {claim: groups, prefix: 'g:'}\n"

// newSet is the set of a file's text.
func newSet(t testing.TB, text string) (*Set, *Metrics, string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	spec, content, err := Read(file, []string{"https://ours"})
	if err != nil {
		return nil, nil, "", err
	}
	m := NewMetrics("me")
	s, err := New(Config{Algorithms: Algorithms[:], Disallowed: []string{"https://ours"}, Clock: clocktesting.NewFakeClock(began), Log: observe.Discard(), Metrics: m}, spec, file, content)
	return s, m, file, err
}

// running is newSet whose issuers are found.
func running(t *testing.T, text string) (*Set, *Metrics, string) {
	t.Helper()
	s, m, file, err := newSet(t, text)
	if err != nil {
		t.Fatal(err)
	}
	first := s.now.Load()
	first.run(t.Context())
	t.Cleanup(func() { s.now.Load().end() })
	found(t, s)
	return s, m, file
}

func found(t *testing.T, s *Set) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.now.Load().wait(ctx, s.cfg); err != nil {
		t.Fatal(err)
	}
}

func TestTokens(t *testing.T) {
	p := newProvider(t)
	s, m, _ := running(t, p.file(plain))
	public, err := p.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		token   string
		want    *auth.User
		wantErr string
	}{
		{"good", p.sign(t, p.key, "k", p.says(nil)), &auth.User{Name: "jane"}, ""},
		{"groups", p.sign(t, p.key, "k", p.says(map[string]any{"groups": []string{"a", "b"}, "jti": "7"})),
			&auth.User{Name: "jane", Groups: []string{"g:a", "g:b"}, Extra: map[string][]string{auth.CredentialID: {"JTI=7"}}}, ""},
		{"one group", p.sign(t, p.key, "k", p.says(map[string]any{"groups": "a"})), &auth.User{Name: "jane", Groups: []string{"g:a"}}, ""},
		{"another audience of ours", p.sign(t, p.key, "k", p.says(map[string]any{"aud": []string{"x", "other"}})), &auth.User{Name: "jane"}, ""},
		{"groups that are none", p.sign(t, p.key, "k", p.says(map[string]any{"groups": 7})), nil, `oidc: parse groups claim "groups"`},
		{"for others", p.sign(t, p.key, "k", p.says(map[string]any{"aud": "x"})), nil, `oidc: verify token: oidc: expected audience in ["floe" "other"] got ["x"]`},
		{"for nobody", p.sign(t, p.key, "k", p.says(map[string]any{"aud": nil})), nil, "oidc: expected audience in"},
		{"expired", p.sign(t, p.key, "k", p.says(map[string]any{"exp": began.Unix() - 1})), nil, "oidc: verify token: oidc: token is expired"},
		{"never expires", p.sign(t, p.key, "k", p.says(map[string]any{"exp": nil})), nil, "oidc: token is expired"},
		{"too early", p.sign(t, p.key, "k", p.says(map[string]any{"nbf": began.Unix() + 90})), nil, "before the nbf (not before) time"},
		{"another key", p.sign(t, newKey(t), "k", p.says(nil)), nil, "failed to verify signature: failed to verify id token signature"},
		{"another key's name", p.sign(t, p.key, "j", p.says(nil)), nil, "failed to verify id token signature"},
		{"a public key as a secret", p.sign(t, public, "k", p.says(nil)), nil, "oidc: id token signed with unsupported algorithm"},
		{"nobody's name", p.sign(t, p.key, "k", p.says(map[string]any{"sub": nil})), nil, `oidc: parse username claims "sub": claim not present`},
		{"of another issuer", p.sign(t, p.key, "k", p.says(map[string]any{"iss": "https://else"})), nil, ""},
		{"no token", "x", nil, ""},
		{"no JSON", "a.b.c", nil, ""},
		{"somewhere else", p.sign(t, p.key, "k", p.says(map[string]any{
			"_claim_names": map[string]string{"groups": "a"}, "_claim_sources": map[string]any{"a": map[string]string{"endpoint": p.URL + "/groups", "access_token": "pass"}},
		})), &auth.User{Name: "jane", Groups: []string{"g:far"}}, ""},
		{"somewhere else, refused", p.sign(t, p.key, "k", p.says(map[string]any{
			"_claim_names": map[string]string{"groups": "a"}, "_claim_sources": map[string]any{"a": map[string]string{"endpoint": p.URL + "/groups"}},
		})), nil, "error while getting distributed claim JWT: 403 Forbidden"},
		{"somewhere unknown", p.sign(t, p.key, "k", p.says(map[string]any{"_claim_names": map[string]string{"groups": "a"}, "_claim_sources": map[string]any{}})), nil,
			"oidc: source does not exist"},
	} {
		id, ok, err := s.Check(t.Context(), c.token, nil)
		if ok != (c.want != nil) || ok && !reflect.DeepEqual(&id.User, c.want) || (err != nil) != (c.wantErr != "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
			t.Errorf("%s: got %+v, %v, %v; want %+v, %q", c.name, id.User, ok, err, c.want, c.wantErr)
		}
	}
	if n := testutil.CollectAndCount(m, "apiserver_authentication_jwt_authenticator_latency_seconds", "apiserver_authentication_jwt_authenticator_jwks_fetch_last_key_set_info",
		"apiserver_authentication_config_controller_last_config_info"); n != 4 {
		t.Errorf("%d metrics, want the latencies of good and bad, the keys and the configuration", n)
	}
}

func TestExpressions(t *testing.T) {
	p := newProvider(t)
	s, _, _ := running(t, p.file(`  claimValidationRules:
  - {claim: hd, requiredValue: example.com}
  - {expression: "claims.level >= 3", message: level too low}
  claimMappings:
    username: {expression: "'oidc:' + claims.name"}
    groups: {expression: claims.roles}
    uid: {expression: 'claims.deep.list[0].a__dot__b'}
    extra:
    - {key: example.com/tenant, valueExpression: claims.tenant}
    - {key: example.com/none, valueExpression: "''"}
  userValidationRules:
  - {expression: "!user.username.endsWith('@evil.com') && user.groups.all(g, g != 'root')", message: not you}
`))
	for _, c := range []struct {
		name    string
		changes map[string]any
		wantErr string
	}{
		{"good", nil, ""},
		{"level", map[string]any{"level": 2}, "oidc: error evaluating claim validation expression: validation expression 'claims.level >= 3' failed: level too low"},
		{"level is text", map[string]any{"level": "9"}, "oidc: error evaluating claim validation expression"},
		{"no level", map[string]any{"level": nil}, "no such key: level"},
		{"claim", map[string]any{"hd": "evil.com"}, "oidc: required claim hd value does not match. Got = evil.com, want = example.com"},
		{"no claim", map[string]any{"hd": nil}, "oidc: required claim hd not present in ID token"},
		{"claim is a number", map[string]any{"hd": 3}, "oidc: parse claim hd"},
		{"group", map[string]any{"roles": "root"}, "failed: not you"},
		{"user", map[string]any{"name": "a@evil.com"}, "oidc: error evaluating user info validation rule: validation expression '!user.username.endsWith('@evil.com') && user.groups.all(g, g != 'root')' failed: not you"},
		{"uid", map[string]any{"deep": 3}, "oidc: error evaluating uid claim expression"},
		{"name", map[string]any{"name": 3}, "oidc: error evaluating username claim expression"},
		{"tenant", map[string]any{"tenant": map[string]string{"a": "b"}}, "expression must return a string or a list of strings"},
	} {
		said := p.says(map[string]any{"hd": "example.com", "level": 3, "roles": []string{"dev", "ops"}, "deep": map[string]any{"list": []any{map[string]any{"a.b": "x"}}}, "name": "jane", "tenant": []string{"t", ""}})
		for name, value := range c.changes {
			said[name] = value
			if value == nil {
				delete(said, name)
			}
		}
		id, ok, err := s.Check(t.Context(), p.sign(t, p.key, "k", said), nil)
		if (err != nil) != (c.wantErr != "") || ok == (err != nil) || err != nil && !strings.Contains(err.Error(), c.wantErr) {
			t.Errorf("%s: got %v, %v, want %q", c.name, ok, err, c.wantErr)
		}
		want := auth.User{Name: "oidc:jane", UID: "x", Groups: []string{"dev", "ops"}, Extra: map[string][]string{"example.com/tenant": {"t"}}}
		if ok && !reflect.DeepEqual(id.User, want) {
			t.Errorf("%s: got %+v, want %+v", c.name, id.User, want)
		}
	}
}

func TestConfigurations(t *testing.T) {
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"
	issuer := func(url, rest string) string {
		return head + "jwt:\n- issuer: {url: '" + url + "', audiences: [a]}\n  claimMappings: {username: {claim: sub, prefix: ''}}\n" + rest
	}
	for _, c := range []struct{ name, text, want string }{
		{"good", issuer("https://a", ""), ""},
		{"of before", strings.Replace(issuer("https://a", ""), "/v1\n", "/v1beta1\n", 1), ""},
		{"none", head, ""},
		{"anonymous", head + "anonymous: {enabled: true, conditions: [{path: /livez}]}\n", ""},
		{"empty", "", "EOF"},
		{"another kind", strings.Replace(head, "AuthenticationConfiguration", "EncryptionConfiguration", 1), `kind "EncryptionConfiguration": must be apiserver.config.k8s.io/v1 AuthenticationConfiguration`},
		{"no kind", "apiVersion: apiserver.config.k8s.io/v1\n", `kind "": must be`},
		{"another version", strings.Replace(head, "/v1", "/v9", 1), `apiVersion "apiserver.config.k8s.io/v9"`},
		{"an unknown field", head + "jvt: []\n", `auth.yaml:3: unknown field "jvt"`},
		{"a field twice", head + "jwt: []\njwt: []\n", `already`},
		{"not secret", issuer("http://a", ""), "jwt[0].issuer.url: Invalid value: \"http://a\": URL scheme must be https"},
		{"ours", issuer("https://ours", ""), "jwt[0].issuer.url: Invalid value: \"https://ours\": URL must not overlap with disallowed issuers"},
		{"twice", issuer("https://a", strings.TrimPrefix(issuer("https://a", ""), head+"jwt:\n")), `jwt[1].issuer.url: Duplicate value: "https://a"`},
		{"no CEL", issuer("https://a", "  userValidationRules: [{expression: 'user.'}]\n"), "jwt[0].userValidationRules[0].expression: Invalid value: \"user.\": compilation failed"},
		{"endless CEL is bounded", issuer("https://a", "  userValidationRules: [{expression: '1'}]\n"), "must evaluate to bool"},
		{"conditions of nothing", head + "anonymous: {enabled: false, conditions: [{path: /livez}]}\n", "enabled should be set to true when conditions are defined"},
		{"egress", head + "jwt:\n- issuer: {url: 'https://a', audiences: [a], egressSelectorType: cluster}\n  claimMappings: {username: {claim: sub, prefix: ''}}\n", "egress"},
	} {
		if _, _, _, err := newSet(t, c.text); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestFileChanges: what is right holds once its issuers are found, what is wrong never does.
func TestFileChanges(t *testing.T) {
	p, q := newProvider(t), newProvider(t)
	s, m, file := running(t, p.file(plain))
	good := func(what string, of *provider, want bool) {
		t.Helper()
		if _, ok, err := s.Check(t.Context(), of.sign(t, of.key, "k", of.says(nil)), nil); ok != want {
			t.Errorf("%s: got %v, %v, want %t", what, ok, err, want)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.look(t.Context())
	}
	counts := func(what string, success, failure float64) {
		t.Helper()
		if a, b := testutil.ToFloat64(m.reloads.WithLabelValues("success", m.server)), testutil.ToFloat64(m.reloads.WithLabelValues("failure", m.server)); a != success || b != failure {
			t.Errorf("%s: %v successes and %v failures, want %v and %v", what, a, b, success, failure)
		}
	}
	s.look(t.Context())
	counts("the same", 0, 0)
	write("nonsense")
	write("nonsense")
	counts("nonsense is told once", 0, 1)
	good("nonsense", p, true)
	write(p.file(plain) + "anonymous: {enabled: true}\n")
	counts("strangers", 0, 2)
	write(q.file(plain))
	counts("another issuer", 1, 2)
	good("the one before", p, false)
	good("the one now", q, true)
	if len(s.old) != 1 {
		t.Fatalf("%d generations wait for their end", len(s.old))
	}
	s.cfg.Clock.(*clocktesting.FakeClock).Step(retireAfter)
	s.retire()
	if len(s.old) != 0 || len(m.keysHash) != 1 {
		t.Errorf("%d generations, and keys of %d issuers are left", len(s.old), len(m.keysHash))
	}
	good("still", q, true)
}

// TestIssuerIsFoundLater: until then its tokens are refused.
func TestIssuerIsFoundLater(t *testing.T) {
	p := newProvider(t)
	p.broken.Store(true)
	s, _, _, err := newSet(t, p.file(plain))
	if err != nil {
		t.Fatal(err)
	}
	token := p.sign(t, p.key, "k", p.says(map[string]any{"exp": began.AddDate(9, 0, 0).Unix()})) // time goes fast below
	clock := s.cfg.Clock.(*clocktesting.FakeClock)
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { done <- s.Run(ctx) }()
	for waits := clock.HasWaiters(); !waits || strings.Contains(s.now.Load().issuers[0].health().Error(), "not looked for"); waits = clock.HasWaiters() {
		clock.Sleep(0)
	}
	if _, ok, err := s.Check(t.Context(), token, nil); ok || err == nil || err.Error() != "oidc: authenticator not initialized" {
		t.Errorf("got %v, %v", ok, err)
	}
	p.broken.Store(false)
	for s.now.Load().issuers[0].verifier.Load() == nil {
		clock.Step(discoveryWait)
	}
	if _, ok, err := s.Check(t.Context(), token, nil); !ok {
		t.Errorf("found: %v", err)
	}
	stop()
	if err := <-done; err != context.Canceled { //nolint:errorlint // it is handed through
		t.Errorf("Run returned %v", err)
	}
}

// FuzzDecode: no file makes anything panic.
func FuzzDecode(f *testing.F) {
	p := newProvider(f)
	for _, seed := range []string{p.file(plain), "", "{}", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {enabled: true}\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if cfg, err := decode("f", []byte(text), func(spec *apiserver.AuthenticationConfiguration) field.ErrorList { return check(spec, nil) }); (cfg == nil) == (err == nil) {
			t.Errorf("got %v, %v", cfg, err)
		}
	})
}
