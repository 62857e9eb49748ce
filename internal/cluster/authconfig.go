package cluster

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Authentication says how the API knows its users. Its fields are kube-apiserver's flags.
type Authentication struct {
	// APIAudiences are names of the API: a token of a service account must be for one of them. Default: the issuers.
	APIAudiences []string `json:"apiAudiences,omitempty"`
	// ServiceAccounts says how tokens of service accounts are made and checked.
	ServiceAccounts ServiceAccounts `json:"serviceAccounts,omitempty"`
}

// ServiceAccounts says how tokens of service accounts are made and checked.
type ServiceAccounts struct {
	// SigningKeyFile holds the private key (PEM; RSA or ECDSA) that signs tokens. Default DataDir/pki/sa.key, which the first start makes.
	SigningKeyFile string `json:"signingKeyFile,omitempty"`
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
	return Authentication{ServiceAccounts: ServiceAccounts{Lookup: true, ExtendTokenExpiration: true}}
}

func (a *Authentication) validate() (errs []error) {
	for _, err := range a.ServiceAccounts.validate() {
		errs = append(errs, fmt.Errorf("authentication.serviceAccounts.%w", err))
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
	if life := a.MaxTokenExpiration.Duration; life != 0 && (life < time.Hour || life > maxTokenLife) {
		errs = append(errs, fmt.Errorf("maxTokenExpiration: %v: the service-account-max-token-expiration must be between 1 hour and 2^32 seconds", life))
	}
	return errs
}
