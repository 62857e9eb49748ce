package main

import (
	"github.com/spf13/pflag"

	"github.com/floe-k8s/floe/internal/cluster"
)

// authenticationFlags have kube-apiserver's names and meanings.
func authenticationFlags(flags *pflag.FlagSet, cfg *cluster.Authentication) {
	flags.StringSliceVar(&cfg.APIAudiences, "api-audiences", cfg.APIAudiences, "names of the API, for one of which a service account's token must be; by default the issuers")
	flags.BoolVar(&cfg.Anonymous, "anonymous-auth", cfg.Anonymous, "take requests that show no credential, as system:anonymous")
	flags.StringVar(&cfg.ClientCAFile, "client-ca-file", cfg.ClientCAFile,
		"authorities (PEM) whose client certificates name users, besides the cluster's own. Read again when it changes")
	flags.BoolVar(&cfg.BootstrapTokens, "enable-bootstrap-token-auth", cfg.BootstrapTokens, "take the tokens of secrets of type bootstrap.kubernetes.io/token in kube-system, with which machines join")
	flags.StringVar(&cfg.TokenFile, "token-auth-file", cfg.TokenFile, `CSV file of tokens: TOKEN,USER,UID,"GROUP,GROUP"`)
	flags.StringVar(&cfg.ConfigFile, "authentication-config", cfg.ConfigFile,
		"AuthenticationConfiguration (apiserver.config.k8s.io/v1): issuers of tokens outside of the cluster, and where requests without a credential are taken. Read again when it changes")
	oidcFlags(flags, &cfg.OIDC)
	tokenWebhookFlags(flags, &cfg.Webhook)
	proxyFlags(flags, &cfg.RequestHeader)
	accountFlags(flags, &cfg.ServiceAccounts)
}

// aggregationFlags are those of servers that API services name. They have kube-apiserver's names and meanings.
func aggregationFlags(flags *pflag.FlagSet, cfg *cluster.Aggregation) {
	flags.StringVar(&cfg.ProxyClientCertFile, "proxy-client-cert-file", cfg.ProxyClientCertFile,
		"client certificate (PEM) that servers of aggregated APIs are shown; by default one of the authority DATA-DIR/pki/front-proxy-ca.crt. Read again when it changes")
	flags.StringVar(&cfg.ProxyClientKeyFile, "proxy-client-key-file", cfg.ProxyClientKeyFile, "key (PEM) of that certificate")
	flags.BoolVar(&cfg.EnableAggregatorRouting, "enable-aggregator-routing", cfg.EnableAggregatorRouting, "lead to endpoints of services, and not to their cluster addresses: servers of aggregated APIs, and webhooks")
	flags.BoolVar(&cfg.RejectForwardingRedirect, "aggregator-reject-forwarding-redirect", cfg.RejectForwardingRedirect, "refuse answers of servers of aggregated APIs that send clients elsewhere")
}

// oidcFlags are those of one issuer of tokens outside of the cluster.
func oidcFlags(flags *pflag.FlagSet, cfg *cluster.OIDC) {
	flags.StringVar(&cfg.IssuerURL, "oidc-issuer-url", cfg.IssuerURL, "issuer, an https URL, of tokens that are taken; not with --authentication-config")
	flags.StringVar(&cfg.ClientID, "oidc-client-id", cfg.ClientID, "audience that its tokens must be for")
	flags.StringVar(&cfg.CAFile, "oidc-ca-file", cfg.CAFile, "authorities (PEM) of the issuer's own certificate; by default the host's")
	flags.StringVar(&cfg.UsernameClaim, "oidc-username-claim", cfg.UsernameClaim, "claim that names the user")
	flags.StringVar(&cfg.UsernamePrefix, "oidc-username-prefix", cfg.UsernamePrefix, `what comes before users' names, or "-"; by default the issuer's URL and #, but for the claim email nothing`)
	flags.StringVar(&cfg.GroupsClaim, "oidc-groups-claim", cfg.GroupsClaim, "claim that lists the user's groups")
	flags.StringVar(&cfg.GroupsPrefix, "oidc-groups-prefix", cfg.GroupsPrefix, "what comes before groups' names")
	flags.StringSliceVar(&cfg.SigningAlgs, "oidc-signing-algs", cfg.SigningAlgs, "algorithms that tokens may be signed by: RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512")
	flags.StringArrayVar(&cfg.RequiredClaims, "oidc-required-claim", cfg.RequiredClaims, "NAME=VALUE that must stand in a token (may be given again)")
}

// tokenWebhookFlags are those of a server that is asked whose a token is.
func tokenWebhookFlags(flags *pflag.FlagSet, cfg *cluster.TokenWebhook) {
	flags.StringVar(&cfg.ConfigFile, "authentication-token-webhook-config-file", cfg.ConfigFile, "kubeconfig file of a server that is asked, by TokenReviews, whose a token is that nobody else knows")
	flags.StringVar(&cfg.Version, "authentication-token-webhook-version", cfg.Version, "version of these reviews: v1 or v1beta1")
	flags.DurationVar(&cfg.CacheTTL.Duration, "authentication-token-webhook-cache-ttl", cfg.CacheTTL.Duration, "how long its answers are remembered; 0: not at all")
}

// proxyFlags are those of front proxies.
func proxyFlags(flags *pflag.FlagSet, cfg *cluster.RequestHeader) {
	flags.StringVar(&cfg.ClientCAFile, "requestheader-client-ca-file", cfg.ClientCAFile,
		"authorities (PEM) of the front proxies that are believed when they name users in headers; by default none is. Read again when it changes")
	flags.StringSliceVar(&cfg.AllowedNames, "requestheader-allowed-names", cfg.AllowedNames, "common names that front proxies' certificates may have; by default all")
	flags.StringSliceVar(&cfg.UsernameHeaders, "requestheader-username-headers", cfg.UsernameHeaders, "headers in which front proxies name users, such as X-Remote-User")
	flags.StringSliceVar(&cfg.UIDHeaders, "requestheader-uid-headers", cfg.UIDHeaders, "headers in which they name users' UIDs: X-Remote-Uid, and others")
	flags.StringSliceVar(&cfg.GroupHeaders, "requestheader-group-headers", cfg.GroupHeaders, "headers in which they name users' groups, such as X-Remote-Group")
	flags.StringSliceVar(&cfg.ExtraHeadersPrefix, "requestheader-extra-headers-prefix", cfg.ExtraHeadersPrefix, "prefixes of headers in which they say more of users, such as X-Remote-Extra-")
}

// accountFlags are those of service accounts' tokens.
func accountFlags(flags *pflag.FlagSet, cfg *cluster.ServiceAccounts) {
	flags.StringVar(&cfg.SigningKeyFile, "service-account-signing-key-file", cfg.SigningKeyFile,
		"private key (PEM) that signs tokens of service accounts; by default DATA-DIR/pki/sa.key, which the first start makes")
	flags.StringVar(&cfg.SigningEndpoint, "service-account-signing-endpoint", cfg.SigningEndpoint,
		"unix socket of a program that signs tokens of service accounts and knows their keys (k8s.io/externaljwt v1); @NAME: an abstract one. "+
			"Not with --service-account-signing-key-file and --service-account-key-file; secrets of type kubernetes.io/service-account-token are not filled then")
	flags.StringArrayVar(&cfg.KeyFiles, "service-account-key-file", cfg.KeyFiles,
		"further keys (PEM, private or public), whose tokens of service accounts are taken (may be given again)")
	flags.StringArrayVar(&cfg.Issuers, "service-account-issuer", cfg.Issuers,
		"name, best an https URL, of the issuer of service accounts' tokens; given again, tokens of those are taken too, and new ones have the first")
	flags.StringVar(&cfg.JWKSURI, "service-account-jwks-uri", cfg.JWKSURI, "https URL at which others find the public keys of tokens; by default the API's external address")
	flags.BoolVar(&cfg.Lookup, "service-account-lookup", cfg.Lookup, "take a token that stands in a secret only while the secret is there")
	flags.DurationVar(&cfg.MaxTokenExpiration.Duration, "service-account-max-token-expiration", cfg.MaxTokenExpiration.Duration,
		"how long a service account's token may live, 1h or more; 0: as long as was asked for")
	flags.BoolVar(&cfg.ExtendTokenExpiration, "service-account-extend-token-expiration", cfg.ExtendTokenExpiration,
		"let the tokens that admission gives pods live a year, whatever --service-account-max-token-expiration says")
}
