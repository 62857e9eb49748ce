package cluster

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/pki"
)

// completed is the configuration of a file with text under authentication.
func completed(t *testing.T, text string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	text = "apiVersion: " + ConfigAPIVersion + "\nkind: " + ConfigKind + "\nnode: {disabled: true}\nauthentication: {" + text + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	err := cfg.LoadFile(file)
	if err == nil {
		err = cfg.Complete()
	}
	return cfg, err
}

func TestAuthenticationIsChecked(t *testing.T) {
	for given, want := range map[string]string{
		"": "",
		"serviceAccounts: {issuers: ['https://a', me]}":                                "",
		"serviceAccounts: {issuers: ['']}":                                             "authentication.serviceAccounts.issuers: service-account-issuer should not be an empty string",
		"serviceAccounts: {issuers: [a, a]}":                                           `service-account-issuer "a" is already specified`,
		"serviceAccounts: {issuers: ['https://a%z']}":                                  `service-account-issuer "https://a%z" contained a ':' but was not a valid URL`,
		"serviceAccounts: {jwksURI: 'https://a%z'}":                                    "service-account-jwks-uri must be a valid URL",
		"serviceAccounts: {jwksURI: 'http://a'}":                                       "service-account-jwks-uri requires https scheme, parsed as: http://a",
		"serviceAccounts: {maxTokenExpiration: 59m59s}":                                "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds",
		"serviceAccounts: {maxTokenExpiration: 1h, lookup: false}":                     "",
		"serviceAccounts: {maxTokenExpiration: 1193047h}":                              "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds",
		"serviceAccounts: {signingEndpoint: /run/signer.sock, maxTokenExpiration: 1h}": "",
		"serviceAccounts: {signingEndpoint: '@a.b-c'}":                                 "",
		"serviceAccounts: {signingEndpoint: '@a/b'}":                                   `invalid value "@a/b" passed for ` + "`--service-account-signing-endpoint`, when prefixed with @ must be a valid abstract socket name",
		"serviceAccounts: {signingEndpoint: /s, signingKeyFile: /k}":                   "can't set `--service-account-signing-key-file` and/or `--service-account-key-file` with `--service-account-signing-endpoint` (They are mutually exclusive)",
		"serviceAccounts: {signingEndpoint: /s, keyFiles: [/k]}":                       "(They are mutually exclusive)",
		"configFile: /x": "",
		"oidc: {issuerURL: 'https://a', clientID: b}":                            "",
		"oidc: {issuerURL: 'https://a'}":                                         "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set",
		"oidc: {groupsClaim: a}":                                                 "oidc-issuer-url and oidc-client-id must be specified together",
		"configFile: /x, oidc: {groupsClaim: a}":                                 "authentication-config file and oidc-* flags are mutually exclusive",
		"oidc: {issuerURL: 'https://a', clientID: b, requiredClaims: [x]}":       `malformed pair, expect string=string: "x"`,
		"requestHeader: {usernameHeaders: [X-User], uidHeaders: [x-remote-uid]}": "",
		"requestHeader: {usernameHeaders: [' ']}":                                `authentication.requestHeader.usernameHeaders: empty value in "requestheader-username-headers"`,
		"requestHeader: {allowedNames: [a, '']}":                                 `empty value in "requestheader-allowed-names"`,
		"requestHeader: {uidHeaders: [X-Uid]}":                                   "--requestheader-uid-headers is set without specifying the standard X-Remote-Uid header - API aggregation will not work",
	} {
		if _, err := completed(t, given); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", given, err, want)
		}
	}
}

// keyFile writes a new key that signs tokens, and its public half.
func keyFile(t *testing.T) (private, public string, key token.Key) {
	t.Helper()
	dir := t.TempDir()
	data, err := pki.TokenKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.ParseSigner(data)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public)
	if err != nil {
		t.Fatal(err)
	}
	public = filepath.Join(dir, "sa.pub")
	if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "sa.key"), public, signer.Key
}

// TestTokenKeysChange: keys of one's own sign and check, the ones before are still taken, and both can be found by others.
func TestTokenKeysChange(t *testing.T) {
	private, _, key := keyFile(t)
	_, public, before := keyFile(t)
	c := serveClusterAs(t, func(cfg *Config) {
		cfg.Authentication.ServiceAccounts.SigningKeyFile, cfg.Authentication.ServiceAccounts.KeyFiles = private, []string{public}
		cfg.Authentication.ServiceAccounts.Issuers = []string{"https://new", "https://old"}
	})
	client := must(kubernetes.NewForConfig(c.config))(t)
	accounts := client.CoreV1().ServiceAccounts("default")
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	made := must(accounts.CreateToken(t.Context(), "robot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{}))(t)
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: made.Status.Token}}
	seen := must(client.AuthenticationV1().TokenReviews().Create(t.Context(), review, metav1.CreateOptions{}))(t)
	if want := "system:serviceaccount:default:robot"; seen.Status.User.Username != want || strings.Join(seen.Status.Audiences, ",") != "https://new,https://old" {
		t.Errorf("got %+v, want %s for both issuers", seen.Status, want)
	}
	var found struct{ Issuer string }
	keptForAnHour(t, c, token.DiscoveryPath, "application/json", &found)
	var set struct {
		Keys []struct{ Kid string }
	}
	keptForAnHour(t, c, token.KeysPath, "application/jwk-set+json", &set)
	if found.Issuer != "https://new" || len(set.Keys) != 2 || set.Keys[0].Kid != before.ID || set.Keys[1].Kid != key.ID {
		t.Errorf("issuer %q, keys %v; want https://new, %s and %s", found.Issuer, set.Keys, before.ID, key.ID)
	}
}

// keptForAnHour reads a JSON document that anybody may keep for an hour.
func keptForAnHour(t *testing.T, c *servedCluster, path, media string, into any) {
	t.Helper()
	answer, err := must(rest.HTTPClientFor(c.config))(t).Get(c.config.Host + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if h := answer.Header; answer.StatusCode != 200 || h.Get("Content-Type") != media || h.Get("Cache-Control") != "public, max-age=3600" {
		t.Errorf("%s: %s, %s, %s: %s", path, answer.Status, h.Get("Content-Type"), h.Get("Cache-Control"), data)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Errorf("%s: %v: %s", path, err, data)
	}
}
