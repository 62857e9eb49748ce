package cluster

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"
)

// Authentication says how the API knows its users. Its fields are kube-apiserver's flags.
type Authentication struct {
	// APIAudiences are names of the API: a token of a service account must be for one of them. Default: the issuers.
	APIAudiences []string `json:"apiAudiences,omitempty"`
	// Anonymous takes requests that show no credential, as system:anonymous. Default true.
	Anonymous bool `json:"anonymous"`
	// ClientCAFile holds authorities (PEM) whose client certificates name users, besides the cluster's own. It is read again when it changes.
	ClientCAFile string `json:"clientCAFile,omitempty"`
	// BootstrapTokens takes the tokens of secrets of type bootstrap.kubernetes.io/token in kube-system, with which machines join.
	BootstrapTokens bool `json:"bootstrapTokens,omitempty"`
	// TokenFile is a CSV file of tokens: TOKEN,USER,UID,"GROUP,GROUP". It is read once.
	TokenFile string `json:"tokenFile,omitempty"`
	// ConfigFile is an AuthenticationConfiguration (apiserver.config.k8s.io/v1): issuers of tokens outside of the cluster, and where strangers are let in. It is read
	// again when it changes. Not with OIDC.
	ConfigFile string `json:"configFile,omitempty"`
	// OIDC is one issuer of tokens outside of the cluster.
	OIDC OIDC `json:"oidc,omitempty"`
	// Webhook is another server that is asked whose a token is, after everybody else.
	Webhook TokenWebhook `json:"webhook,omitempty"`
	// RequestHeader says which front proxies are believed.
	RequestHeader RequestHeader `json:"requestHeader,omitempty"`
	// ServiceAccounts says how tokens of service accounts are made and checked.
	ServiceAccounts ServiceAccounts `json:"serviceAccounts,omitempty"`
}

// OIDC says whose tokens are taken, and how users are made of them. IssuerURL and ClientID go together; without them nothing else may be said.
type OIDC struct {
	// IssuerURL is the issuer, an https URL, and ClientID the audience that its tokens must be for.
	IssuerURL string `json:"issuerURL,omitempty"`
	ClientID  string `json:"clientID,omitempty"`
	// CAFile holds the authorities (PEM) of the issuer's own certificate. Default: the host's.
	CAFile string `json:"caFile,omitempty"`
	// UsernameClaim is the claim that names the user. Default sub.
	UsernameClaim string `json:"usernameClaim,omitempty"`
	// UsernamePrefix comes before each name; "-": nothing does. Default: the issuer's URL and #, but for the claim email nothing.
	UsernamePrefix string `json:"usernamePrefix,omitempty"`
	// GroupsClaim is the claim that lists groups, and GroupsPrefix what comes before each.
	GroupsClaim  string `json:"groupsClaim,omitempty"`
	GroupsPrefix string `json:"groupsPrefix,omitempty"`
	// SigningAlgs are the algorithms that tokens may be signed by. Default RS256.
	SigningAlgs []string `json:"signingAlgs,omitempty"`
	// RequiredClaims must stand in a token: NAME=VALUE.
	RequiredClaims []string `json:"requiredClaims,omitempty"`
}

func defaultOIDC() OIDC { return OIDC{UsernameClaim: "sub", SigningAlgs: []string{"RS256"}} }

// said is whether anything is configured.
func (o *OIDC) said() bool { return !reflect.DeepEqual(*o, defaultOIDC()) }

// spec is what an AuthenticationConfiguration would say; nil: there is no issuer.
func (o *OIDC) spec() (*apiserver.JWTAuthenticator, error) {
	if o.IssuerURL == "" {
		return nil, nil
	}
	prefix := o.UsernamePrefix
	switch {
	case prefix == "-":
		prefix = ""
	case prefix == "" && o.UsernameClaim != "email":
		prefix = o.IssuerURL + "#"
	}
	spec := &apiserver.JWTAuthenticator{
		Issuer:        apiserver.Issuer{URL: o.IssuerURL, Audiences: []string{o.ClientID}},
		ClaimMappings: apiserver.ClaimMappings{Username: apiserver.PrefixedClaimOrExpression{Prefix: &prefix, Claim: o.UsernameClaim}},
	}
	if o.GroupsClaim != "" {
		spec.ClaimMappings.Groups = apiserver.PrefixedClaimOrExpression{Prefix: &o.GroupsPrefix, Claim: o.GroupsClaim}
	}
	if o.CAFile != "" {
		data, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("authentication.oidc.caFile: %w", err)
		}
		spec.Issuer.CertificateAuthority = string(data)
	}
	for _, text := range o.RequiredClaims {
		name, value, _ := strings.Cut(text, "=")
		spec.ClaimValidationRules = append(spec.ClaimValidationRules, apiserver.ClaimValidationRule{Claim: name, RequiredValue: value})
	}
	return spec, nil
}

func (a *Authentication) validateOIDC() (errs []error) {
	switch said := a.OIDC.said(); {
	case said && a.ConfigFile != "":
		errs = append(errs, errors.New("authentication.oidc: authentication-config file and oidc-* flags are mutually exclusive"))
	case said && (a.OIDC.IssuerURL == "" || a.OIDC.ClientID == ""):
		errs = append(errs, errors.New("authentication.oidc: oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set"))
	}
	for _, text := range a.OIDC.RequiredClaims {
		if !strings.Contains(text, "=") {
			errs = append(errs, fmt.Errorf("authentication.oidc.requiredClaims: malformed pair, expect string=string: %q", text))
		}
	}
	return errs
}

// TokenWebhook says which server is asked whose a token is.
type TokenWebhook struct {
	// ConfigFile is a kubeconfig file that names the server. Empty: none is asked. It is read once.
	ConfigFile string `json:"configFile,omitempty"`
	// Version of the TokenReviews that are sent and expected: v1 or v1beta1, the default.
	Version string `json:"version,omitempty"`
	// CacheTTL is how long an answer is remembered; 0: not at all. Default 2m.
	CacheTTL metav1.Duration `json:"cacheTTL,omitempty"`
}

func defaultTokenWebhook() TokenWebhook {
	return TokenWebhook{Version: "v1beta1", CacheTTL: metav1.Duration{Duration: 2 * time.Minute}}
}

func (w *TokenWebhook) validate() error {
	if w.ConfigFile != "" && w.Version != "v1" && w.Version != "v1beta1" {
		return fmt.Errorf(`authentication.webhook.version: unsupported authentication webhook version %q, supported versions are "v1", "v1beta1"`, w.Version)
	}
	return nil
}

// RequestHeader says which front proxies are believed, and what they say in which headers.
type RequestHeader struct {
	// ClientCAFile holds the authorities (PEM) of proxies' certificates. It is read again when it changes. Empty: no proxy is believed.
	ClientCAFile string `json:"clientCAFile,omitempty"`
	// AllowedNames are the common names that proxies' certificates may have; none: all.
	AllowedNames []string `json:"allowedNames,omitempty"`
	// UsernameHeaders, UIDHeaders and GroupHeaders are names of headers, ExtraHeadersPrefix prefixes of names.
	UsernameHeaders    []string `json:"usernameHeaders,omitempty"`
	UIDHeaders         []string `json:"uidHeaders,omitempty"`
	GroupHeaders       []string `json:"groupHeaders,omitempty"`
	ExtraHeadersPrefix []string `json:"extraHeadersPrefix,omitempty"`
}

// ServiceAccounts says how tokens of service accounts are made and checked.
type ServiceAccounts struct {
	// SigningKeyFile holds the private key (PEM; RSA or ECDSA) that signs tokens. Default DataDir/pki/sa.key, which the first start makes.
	SigningKeyFile string `json:"signingKeyFile,omitempty"`
	// SigningEndpoint is the unix socket of a program that signs tokens and knows their keys (k8s.io/externaljwt v1), "@NAME" an abstract one; then there are no
	// SigningKeyFile and KeyFiles. "": keys of this machine sign.
	SigningEndpoint string `json:"signingEndpoint,omitempty"`
	// KeyFiles hold further keys, private or public, whose tokens are taken. The public half of what signs is always one of them.
	KeyFiles []string `json:"keyFiles,omitempty"`
	// Issuers are the names, best https URLs, that tokens may come from; new ones have the first. Default https://kubernetes.default.svc.CLUSTER-DOMAIN.
	Issuers []string `json:"issuers,omitempty"`
	// JWKSURI is where others find the public keys, an https URL. Default: the API's external address.
	JWKSURI string `json:"jwksURI,omitempty"`
	// Lookup: a token that stands in a secret is good only while that secret is there. Default true.
	Lookup bool `json:"lookup"`
	// MaxTokenExpiration is how long a token may live, 1 hour to 2^32 seconds; 0: as long as was asked for.
	MaxTokenExpiration metav1.Duration `json:"maxTokenExpiration,omitempty"`
	// ExtendTokenExpiration lets the tokens that admission gives pods live a year, whatever MaxTokenExpiration says. Default true.
	ExtendTokenExpiration bool `json:"extendTokenExpiration"`
}

func defaultAuthentication() Authentication {
	return Authentication{Anonymous: true, OIDC: defaultOIDC(), Webhook: defaultTokenWebhook(), ServiceAccounts: ServiceAccounts{Lookup: true, ExtendTokenExpiration: true}}
}

func (a *Authentication) validate() (errs []error) {
	for _, err := range a.ServiceAccounts.validate() {
		errs = append(errs, fmt.Errorf("authentication.serviceAccounts.%w", err))
	}
	errs = append(errs, a.validateOIDC()...)
	if err := a.Webhook.validate(); err != nil {
		errs = append(errs, err)
	}
	for _, err := range a.RequestHeader.validate() {
		errs = append(errs, fmt.Errorf("authentication.requestHeader.%w", err))
	}
	return errs
}

func (h *RequestHeader) validate() (errs []error) {
	for _, list := range []struct {
		field, flag string
		values      []string
	}{
		{"usernameHeaders", "requestheader-username-headers", h.UsernameHeaders}, {"groupHeaders", "requestheader-group-headers", h.GroupHeaders},
		{"extraHeadersPrefix", "requestheader-extra-headers-prefix", h.ExtraHeadersPrefix}, {"allowedNames", "requestheader-allowed-names", h.AllowedNames},
		{"uidHeaders", "requestheader-uid-headers", h.UIDHeaders},
	} {
		if slices.ContainsFunc(list.values, func(s string) bool { return strings.TrimSpace(s) == "" }) {
			errs = append(errs, fmt.Errorf("%s: empty value in %q", list.field, list.flag))
		}
	}
	if len(h.UIDHeaders) > 0 && !slices.ContainsFunc(h.UIDHeaders, func(s string) bool { return strings.EqualFold(s, "X-Remote-Uid") }) {
		errs = append(errs, errors.New("uidHeaders: --requestheader-uid-headers is set without specifying the standard X-Remote-Uid header - API aggregation will not work"))
	}
	return errs
}

// maxTokenLife is upstream's.
const maxTokenLife = time.Duration(1<<32) * time.Second

func (a *ServiceAccounts) validate() (errs []error) {
	seen := map[string]bool{}
	for _, issuer := range a.Issuers {
		_, err := url.Parse(issuer)
		switch {
		case issuer == "":
			errs = append(errs, errors.New("issuers: service-account-issuer should not be an empty string"))
		case strings.Contains(issuer, ":") && err != nil:
			errs = append(errs, fmt.Errorf("issuers: service-account-issuer %q contained a ':' but was not a valid URL: %w", issuer, err))
		case seen[issuer]:
			errs = append(errs, fmt.Errorf("issuers: service-account-issuer %q is already specified", issuer))
		}
		seen[issuer] = true
	}
	if u, err := url.Parse(a.JWKSURI); err != nil {
		errs = append(errs, fmt.Errorf("jwksURI: service-account-jwks-uri must be a valid URL: %w", err))
	} else if a.JWKSURI != "" && u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("jwksURI: service-account-jwks-uri requires https scheme, parsed as: %v", u))
	}
	errs = append(errs, a.validateEndpoint()...)
	if life := a.MaxTokenExpiration.Duration; life != 0 && (life < time.Hour || life > maxTokenLife) {
		errs = append(errs, fmt.Errorf("maxTokenExpiration: %v: the service-account-max-token-expiration must be between 1 hour and 2^32 seconds", life))
	}
	return errs
}

func (a *ServiceAccounts) validateEndpoint() (errs []error) {
	abstract := regexp.MustCompile(`^@([a-zA-Z0-9_-]+\.)*[a-zA-Z0-9_-]+$`) // upstream's
	if a.SigningEndpoint != "" && (a.SigningKeyFile != "" || len(a.KeyFiles) > 0) {
		errs = append(errs, errors.New("signingEndpoint: can't set `--service-account-signing-key-file` and/or `--service-account-key-file` with `--service-account-signing-endpoint` "+
			"(They are mutually exclusive)"))
	}
	if strings.HasPrefix(a.SigningEndpoint, "@") && !abstract.MatchString(a.SigningEndpoint) {
		errs = append(errs, fmt.Errorf("signingEndpoint: invalid value %q passed for `--service-account-signing-endpoint`, when prefixed with @ must be a valid abstract socket name",
			a.SigningEndpoint))
	}
	return errs
}
