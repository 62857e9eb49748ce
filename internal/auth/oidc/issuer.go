package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	gooidc "github.com/coreos/go-oidc"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
)

const (
	requestLimit  = 30 * time.Second
	maxAnswer     = 4 << 20 // bytes
	discoveryWait = 10 * time.Second
	discoveryPath = "/.well-known/openid-configuration"
)

// Algorithms are all by which tokens may be signed; with none configured it is the first.
var Algorithms = [...]string{
	gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.ES256, gooidc.ES384, gooidc.ES512, gooidc.PS256, gooidc.PS384, gooidc.PS512,
}

// Config is what issuers are made from.
type Config struct {
	Algorithms []string // none: the first of Algorithms
	Disallowed []string // names of issuers that others know: the cluster's own
	Clock      clock.WithTicker
	Log        *slog.Logger
	Metrics    *Metrics // nil: nothing is counted
	// Dial is how issuers are reached that name a destination (egressSelectorType); nil: none is. It returns nil for one that is not configured.
	Dial func(destination string) func(ctx context.Context, network, address string) (net.Conn, error)
}

// issuer knows users by one issuer's tokens. It is safe for concurrent use.
type issuer struct {
	Config
	spec      apiserver.JWTAuthenticator
	mapper    authenticationcel.CELMapper
	client    *http.Client
	transport *http.Transport // below client
	accounts  *sources        // of distributed claims; nil: there are none
	found     chan struct{}
	verifier  atomic.Pointer[gooidc.IDTokenVerifier] // nil until found is closed
	trouble   atomic.Pointer[error]                  // why it is not found yet
}

// newIssuer returns the issuer that spec describes. It starts nothing.
func newIssuer(cfg Config, spec apiserver.JWTAuthenticator, compiler authenticationcel.Compiler) (*issuer, error) {
	mapper, errs := validation.CompileAndValidateJWTAuthenticator(compiler, spec, cfg.Disallowed)
	if err := errs.ToAggregate(); err != nil {
		return nil, err
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = Algorithms[:1]
	}
	for _, name := range cfg.Algorithms {
		if !slices.Contains(Algorithms[:], name) {
			return nil, fmt.Errorf("oidc: unsupported signing alg: %q", name)
		}
	}
	client, transport, err := clientOf(&spec.Issuer)
	if err != nil {
		return nil, err
	}
	if transport.DialContext, err = cfg.dialing(string(spec.Issuer.EgressSelectorType), transport.DialContext); err != nil {
		return nil, err
	}
	i := &issuer{Config: cfg, spec: spec, mapper: mapper, client: client, transport: transport, found: make(chan struct{})}
	if claim := spec.ClaimMappings.Groups.Claim; claim != "" {
		i.accounts = &sources{claim: claim, issuer: i}
	}
	i.failed(errors.New("it was not looked for yet"))
	return i, nil
}

// dialing is how an issuer is reached that names a destination, or none: as otherwise.
func (c *Config) dialing(destination string, otherwise func(context.Context, string, string) (net.Conn, error)) (func(context.Context, string, string) (net.Conn, error), error) {
	if destination == "" {
		return otherwise, nil
	}
	if c.Dial == nil {
		return nil, fmt.Errorf("oidc: egress lookup required with egress selector type %q", destination)
	}
	dial := c.Dial(destination)
	if dial == nil {
		return nil, fmt.Errorf("oidc: egress lookup for %q is not configured", destination)
	}
	return dial, nil
}

// clientOf speaks to an issuer: with the authorities that it names, else with the host's.
func clientOf(spec *apiserver.Issuer) (*http.Client, *http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if text := spec.CertificateAuthority; text != "" {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(text)) {
			return nil, nil, errors.New("failed to read the CA contents: data does not contain any valid RSA or ECDSA certificates")
		}
	}
	var next http.RoundTripper = bounded{transport}
	if spec.DiscoveryURL != "" {
		at, err := url.Parse(spec.DiscoveryURL)
		if err != nil {
			return nil, nil, fmt.Errorf("oidc: invalid discovery URL: %w", err)
		}
		next = elsewhere{next, strings.TrimSuffix(spec.URL, "/") + discoveryPath, at}
	}
	return &http.Client{Transport: next, Timeout: requestLimit}, transport, nil
}

// bounded cuts answers short that are too long.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

// elsewhere asks for the discovery document at another URL than the issuer's.
type elsewhere struct {
	http.RoundTripper
	instead string
	at      *url.URL
}

// RoundTrip implements http.RoundTripper.
func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && r.URL.String() == e.instead {
		r = r.Clone(r.Context())
		r.URL, r.Host = e.at, ""
	}
	return e.RoundTripper.RoundTrip(r)
}

// run looks for the issuer until it is found or ctx ends. Keys are fetched as long as ctx lasts.
func (i *issuer) run(ctx context.Context) {
	ctx = gooidc.ClientContext(ctx, i.client)
	for {
		verifier, err := i.discover(ctx)
		if err == nil {
			i.verifier.Store(verifier)
			i.trouble.Store(new(error))
			close(i.found)
			return
		}
		i.failed(err)
		i.Log.Warn("an issuer of tokens is not found", "issuer", i.spec.Issuer.URL, "err", err, "again", discoveryWait)
		wait := i.Clock.NewTimer(discoveryWait)
		select {
		case <-wait.C():
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

func (i *issuer) failed(err error) { i.trouble.Store(&err) }

// health says why the issuer's tokens cannot be checked yet.
func (i *issuer) health() error {
	if err := *i.trouble.Load(); err != nil {
		return fmt.Errorf("oidc: authenticator for issuer %q is not healthy: %w", i.spec.Issuer.URL, err)
	}
	return nil
}

func (i *issuer) discover(ctx context.Context) (*gooidc.IDTokenVerifier, error) {
	provider, err := gooidc.NewProvider(ctx, i.spec.Issuer.URL)
	if err != nil {
		return nil, err
	}
	var at struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&at); err != nil {
		return nil, err
	}
	if at.Keys == "" {
		return nil, errors.New("provider did not return JWKS URL")
	}
	client := *i.client
	client.Transport = watched{client.Transport, at.Keys, i.spec.Issuer.URL, i}
	keys := gooidc.NewRemoteKeySet(gooidc.ClientContext(ctx, &client), at.Keys)
	return gooidc.NewVerifier(i.spec.Issuer.URL, keys, i.checks()), nil
}

// checks are what is checked of a token besides its signature; with several audiences they are left to audience.
func (i *issuer) checks() *gooidc.Config {
	c := &gooidc.Config{SupportedSigningAlgs: i.Algorithms, Now: i.Clock.Now}
	if list := i.spec.Issuer.Audiences; len(list) == 1 {
		c.ClientID = list[0]
	} else {
		c.SkipClientIDCheck = true
	}
	return c
}

// verify returns the claims of a good token.
func (i *issuer) verify(ctx context.Context, by *gooidc.IDTokenVerifier, token string) (claims, error) {
	found, err := by.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	want := i.spec.Issuer.Audiences
	if !slices.ContainsFunc(found.Audience, func(a string) bool { return slices.Contains(want, a) }) {
		return nil, fmt.Errorf("oidc: expected audience in %q got %q", slices.Sorted(slices.Values(want)), found.Audience)
	}
	var said claims
	if err := found.Claims(&said); err != nil {
		return nil, fmt.Errorf("parse claims: %w", err)
	}
	return said, nil
}

// issuerOf is who a token says it is from. It is not to be believed.
func issuerOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("malformed token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("error decoding token: %w", err)
	}
	var said struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &said); err != nil {
		return "", fmt.Errorf("while unmarshaling token: %w", err)
	}
	if said.Issuer == "accounts.google.com" { // as OpenID Connect Core 1.0 section 15.6.2 lets it be
		said.Issuer = "https://accounts.google.com"
	}
	return said.Issuer, nil
}

// check says whose a token is.
func (i *issuer) check(ctx context.Context, token string) (user auth.User, ok bool, err error) {
	if from, err := issuerOf(token); err != nil || from != i.spec.Issuer.URL {
		return auth.User{}, false, nil
	}
	began := i.Clock.Now()
	defer func() { i.Metrics.checked(i.spec.Issuer.URL, err, i.Clock.Since(began)) }()
	verifier := i.verifier.Load()
	if verifier == nil {
		return auth.User{}, false, errors.New("oidc: authenticator not initialized")
	}
	said, err := i.verify(ctx, verifier, token)
	if err != nil {
		return auth.User{}, false, fmt.Errorf("oidc: verify token: %w", err)
	}
	if i.accounts != nil {
		if err := i.accounts.expand(ctx, said); err != nil {
			return auth.User{}, false, fmt.Errorf("oidc: could not expand distributed claims: %w", err)
		}
	}
	user, err = i.user(ctx, said)
	return user, err == nil, err
}
