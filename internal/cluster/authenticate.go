package cluster

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/egress"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/bootstraptoken"
	"github.com/floe-k8s/floe/internal/auth/oidc"
	"github.com/floe-k8s/floe/internal/auth/proxy"
	"github.com/floe-k8s/floe/internal/auth/tokenfile"
	"github.com/floe-k8s/floe/internal/auth/webhook"
	"github.com/floe-k8s/floe/internal/auth/webhook/authenticate"
	"github.com/floe-k8s/floe/internal/pki"
)

// users are how the API knows its users.
type users struct {
	requests auth.Authenticator
	tokens   auth.TokenChecker
	outside  *oidc.Set // to be run
}

// users puts those who know users in upstream's order: front proxies, certificates, then tokens, the dearest to check last; who shows nothing is anonymous.
func (s *server) users(accounts *accountTokens) (*users, error) {
	cfg := &s.Config.Authentication
	var list []auth.Authenticator
	headers := proxy.Headers{
		User: cfg.RequestHeader.UsernameHeaders, UID: cfg.RequestHeader.UIDHeaders, Group: cfg.RequestHeader.GroupHeaders, Extra: cfg.RequestHeader.ExtraHeadersPrefix,
	}
	if cfg.RequestHeader.ClientCAFile != "" {
		proxies, err := s.proxies(headers)
		if err != nil {
			return nil, err
		}
		list = append(list, proxies)
	}
	authorities, err := s.clientAuthorities()
	if err != nil {
		return nil, err
	}
	checkers, err := s.tokenCheckers(accounts)
	if err != nil {
		return nil, err
	}
	outside, strangers, err := s.outside(accounts)
	if err != nil {
		return nil, err
	}
	checkers = append(checkers, auth.ForAPI(accounts.Tokens.Audiences, outside.Check))
	if cfg.Webhook.ConfigFile != "" {
		asked, err := s.tokenWebhook(accounts.Tokens.Audiences)
		if err != nil {
			return nil, err
		}
		checkers = append(checkers, asked)
	}
	tokens := auth.NewCache(auth.AnyToken(checkers...), s.Clock, s.seen).Check
	list = append(list, auth.Certificates(auth.NewVerifier(authorities), s.Clock, s.seen), auth.Bearer(tokens), auth.BearerProtocol(tokens))
	known := auth.Known(auth.Any(list...))
	if strangers.Enabled {
		var paths []string
		for _, c := range strangers.Conditions {
			paths = append(paths, c.Path)
		}
		known = auth.First(known, auth.AnonymousAt(paths...))
	}
	return &users{s.seen.Measure(proxy.Clear(known, headers), s.Clock), tokens, outside}, nil
}

// outside are the issuers of tokens outside of the cluster, and who shows nothing.
func (s *server) outside(accounts *accountTokens) (set *oidc.Set, strangers apiserver.AnonymousAuthConfig, err error) {
	cfg := &s.Config.Authentication
	strangers.Enabled = cfg.Anonymous
	with := oidc.Config{Disallowed: accounts.Issuers, Clock: s.Clock, Log: s.Log.With("component", "issuers"), Metrics: s.issuers, Dial: s.issuerDial()}
	if cfg.ConfigFile == "" {
		spec := &apiserver.AuthenticationConfiguration{}
		with.Algorithms = cfg.OIDC.SigningAlgs
		one, err := cfg.OIDC.spec()
		if err != nil {
			return nil, strangers, err
		}
		if one != nil {
			spec.JWT = append(spec.JWT, *one)
		}
		set, err = oidc.New(with, spec, "", "")
		return set, strangers, err
	}
	spec, content, err := oidc.Read(cfg.ConfigFile, accounts.Issuers)
	if err != nil {
		return nil, strangers, fmt.Errorf("authentication.configFile: failed to load authentication configuration from file %q: %w", cfg.ConfigFile, err)
	}
	if spec.Anonymous != nil {
		if !cfg.Anonymous {
			return nil, strangers, errors.New("authentication.anonymous: Forbidden: --anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file")
		}
		strangers = *spec.Anonymous
	}
	with.Algorithms = oidc.Algorithms[:]
	if set, err = oidc.New(with, spec, cfg.ConfigFile, content); err != nil {
		return nil, strangers, fmt.Errorf("authentication.configFile: %s: %w", cfg.ConfigFile, err)
	}
	return set, strangers, nil
}

// tokenWebhook asks another server whose a token is.
func (s *server) tokenWebhook(audiences []string) (auth.TokenChecker, error) {
	cfg := &s.Config.Authentication.Webhook
	url, client, err := webhook.Connect(cfg.ConfigFile, authenticate.Timeout, s.egress.To(egress.ControlPlane))
	if err != nil {
		return nil, fmt.Errorf("authentication.webhook.configFile: %w", err)
	}
	if keep := cfg.CacheTTL.Duration; keep > 0 && keep < auth.CacheFor {
		s.Log.Warn("the webhook cache ttl is shorter than the overall cache ttl for successful token authentication attempts", "ttl", keep, "overall", auth.CacheFor)
	}
	return authenticate.New(authenticate.Config{
		URL: url, Client: client, Version: cfg.Version, Audiences: audiences, Keep: cfg.CacheTTL.Duration, Clock: s.Clock, Log: s.Log.With("component", "api"),
	}), nil
}

// clientAuthorities are whose certificates name users: the cluster's own authority, and those of a file.
func (s *server) clientAuthorities() (func() *x509.CertPool, error) {
	file := s.Config.Authentication.ClientCAFile
	if file == "" {
		own := s.authority.Pool()
		return func() *x509.CertPool { return own }, nil
	}
	bundle, err := pki.OpenBundle(file, []*x509.Certificate{s.authority.Certificate()}, s.Clock, s.Log)
	if err != nil {
		return nil, fmt.Errorf("authentication.clientCAFile: unable to load client CA file: %w", err)
	}
	return bundle.Pool, nil
}

// proxies believes front proxies.
func (s *server) proxies(headers proxy.Headers) (auth.Authenticator, error) {
	cfg := &s.Config.Authentication
	bundle, err := pki.OpenBundle(cfg.RequestHeader.ClientCAFile, nil, s.Clock, s.Log)
	if err != nil {
		return nil, fmt.Errorf("authentication.requestHeader.clientCAFile: unable to load client CA file: %w", err)
	}
	if len(cfg.RequestHeader.AllowedNames) == 0 {
		clients := []*x509.Certificate{s.authority.Certificate()}
		if cfg.ClientCAFile != "" {
			more, err := pki.OpenBundle(cfg.ClientCAFile, nil, s.Clock, s.Log)
			if err != nil {
				return nil, fmt.Errorf("authentication.clientCAFile: unable to load client CA file: %w", err)
			}
			clients = append(clients, more.Certificates()...)
		}
		if slices.ContainsFunc(bundle.Certificates(), func(c *x509.Certificate) bool { return slices.ContainsFunc(clients, c.Equal) }) {
			return nil, errors.New("authentication.requestHeader: --requestheader-client-ca-file and --client-ca-file contain overlapping certificates; --requestheader-allowed-names " +
				"must be specified to ensure regular client certificates cannot set authenticating proxy headers for arbitrary users")
		}
	}
	return proxy.New(proxy.Config{Headers: headers, Verifier: auth.NewVerifier(bundle.Pool), Names: cfg.RequestHeader.AllowedNames, Clock: s.Clock}), nil
}

// tokenCheckers know users by tokens.
func (s *server) tokenCheckers(accounts *accountTokens) (list []auth.TokenChecker, err error) {
	cfg := &s.Config.Authentication
	forAPI := func(check auth.TokenChecker) auth.TokenChecker { return auth.ForAPI(accounts.Tokens.Audiences, check) }
	if cfg.TokenFile != "" {
		file, err := tokenfile.Open(cfg.TokenFile, s.Log)
		if err != nil {
			return nil, fmt.Errorf("authentication.tokenFile: %w", err)
		}
		list = append(list, forAPI(file.Check))
	}
	list = append(list, accounts.Check)
	if cfg.BootstrapTokens {
		objects := bindings{api.NewObjects(s.store, s.kinds)}
		secret := func(name string) *corev1.Secret {
			found, err := objects.Secret(metav1.NamespaceSystem, name)
			if err != nil {
				return nil
			}
			return found
		}
		list = append(list, forAPI(bootstraptoken.New(secret, s.Clock, s.Log.With("component", "api")).Check))
	}
	return list, nil
}
