package cluster

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/auth/token/external/externaltest"
	"github.com/floe-k8s/floe/internal/controller/accounttokens"
)

// TestSignedElsewhere: a whole server with a program that signs: tokens are good, others find their keys, new keys are known at once, and no token lives longer
// than the program says.
func TestSignedElsewhere(t *testing.T) {
	p := externaltest.Start(t)
	hidden := p.Key("first", true)
	p.Add(t, "second")
	p.Change(func(s *externaltest.Says) { s.Keys = append(s.Keys, hidden) })
	second := p.Key("second", false)
	p.Change(func(s *externaltest.Says) { s.Keys = append(s.Keys, second) })
	c := serveClusterAs(t, func(cfg *Config) { cfg.Authentication.ServiceAccounts.SigningEndpoint = p.Socket })
	client := must(kubernetes.NewForConfig(c.config))(t)
	ask := func(seconds int64) *authenticationv1.TokenRequest {
		t.Helper()
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
		return must(client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", request, metav1.CreateOptions{}))(t)
	}
	user := func(text string) string {
		t.Helper()
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: text}}
		return must(client.AuthenticationV1().TokenReviews().Create(t.Context(), review, metav1.CreateOptions{}))(t).Status.User.Username
	}
	until(t, "the default account is made", func() (bool, error) {
		_, err := client.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil, nil
	})
	made := ask(9000)
	if got := ptr.Deref(made.Spec.ExpirationSeconds, 0); got != 7200 {
		t.Errorf("a token lives for %d s, want the 7200 of its signer", got)
	}
	const robot = "system:serviceaccount:default:default"
	if got := user(made.Status.Token); got != robot {
		t.Errorf("the token is %q's, want %s", got, robot)
	}
	if got := kids(t, c); !slices.Equal(got, []string{"second"}) {
		t.Errorf("others are told of the keys %v, want the second only", got)
	}
	p.Add(t, "third")
	p.Change(func(s *externaltest.Says) { s.Keys = nil })
	if got := user(ask(600).Status.Token); got != robot {
		t.Errorf("the token with a new key is %q's, want %s", got, robot)
	}
	if got := kids(t, c); len(got) != 3 {
		t.Errorf("others are told of the keys %v, want all three", got)
	}
	text := string(must(client.RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context()))(t))
	for _, want := range []string{
		`apiserver_externaljwt_sign_request_total{code="OK"} 2`, `apiserver_externaljwt_fetch_keys_request_total{code="OK"} 2`, "apiserver_externaljwt_fetch_keys_data_timestamp 1.7e+09",
		`apiserver_externaljwt_request_duration_seconds_count{code="OK",method="/v1.ExternalJWTSigner/Metadata"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if _, err := os.Stat(filepath.Join(c.env.Config.DataDir, "pki", "sa.key")); !os.IsNotExist(err) {
		t.Errorf("a key was made that signs nothing: %v", err)
	}
}

// TestNobodyFillsSecrets: without a key that signs tokens that do not end, their controller does not run.
func TestNobodyFillsSecrets(t *testing.T) {
	s := &server{Environment: Environment{Config: DefaultConfig()}}
	if s.runs(accounttokens.Name) || !s.runs("serviceaccount") {
		t.Error("secrets would be filled, or accounts not made")
	}
	s.lasting = func(*corev1.ServiceAccount, *corev1.Secret) (string, error) { return "", nil }
	if !s.runs(accounttokens.Name) {
		t.Error("secrets would not be filled, though there is a key")
	}
}

// kids are the ids of the keys that others are told of.
func kids(t *testing.T, c *servedCluster) (list []string) {
	t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	data := must(must(kubernetes.NewForConfig(c.config))(t).RESTClient().Get().AbsPath(token.KeysPath).DoRaw(t.Context()))(t)
	if err := json.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		list = append(list, k.Kid)
	}
	return list
}

// TestSignerDoesNotSuit: the start ends with what is wrong.
func TestSignerDoesNotSuit(t *testing.T) {
	for name, c := range map[string]struct {
		config func(*ServiceAccounts)
		change func(*externaltest.Says)
		want   string
	}{
		"longer than it can": {
			func(a *ServiceAccounts) { a.MaxTokenExpiration.Duration = 3 * 3600e9 }, func(*externaltest.Says) {},
			"service-account-max-token-expiration cannot be set longer than the token expiration supported by service-account-signing-endpoint: 3h0m0s > 2h0m0s",
		},
		"no keys": {
			func(*ServiceAccounts) {}, func(s *externaltest.Says) { s.Hint = -1 },
			"while setting up external-jwt-signer: while initially filling key cache: while performing initial cache fill: while fetching token verification keys: found invalid refresh hint (-1s)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := externaltest.Start(t)
			p.Change(c.change)
			env := alone(filepath.Join(t.TempDir(), "data"))
			env.Config.Authentication.ServiceAccounts.SigningEndpoint = p.Socket
			c.config(&env.Config.Authentication.ServiceAccounts)
			if err := env.Config.Complete(); err != nil {
				t.Fatal(err)
			}
			if err := Run(context.WithoutCancel(t.Context()), env); err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}
