package main

import (
	"github.com/spf13/pflag"

	"github.com/floe-k8s/floe/internal/cluster"
)

// authenticationFlags have kube-apiserver's names and meanings.
func authenticationFlags(flags *pflag.FlagSet, cfg *cluster.Authentication) {
	flags.StringSliceVar(&cfg.APIAudiences, "api-audiences", cfg.APIAudiences, "names of the API, for one of which a service account's token must be; by default the issuers")
	accountFlags(flags, &cfg.ServiceAccounts)
}

// accountFlags are those of service accounts' tokens.
func accountFlags(flags *pflag.FlagSet, cfg *cluster.ServiceAccounts) {
	flags.StringVar(&cfg.SigningKeyFile, "service-account-signing-key-file", cfg.SigningKeyFile,
		"private key (PEM) that signs tokens of service accounts; by default DATA-DIR/pki/sa.key, which the first start makes")
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
