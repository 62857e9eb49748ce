package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/auth/token/external"
	"github.com/floe-k8s/floe/internal/pki"
)

// tokenSigning is what signs tokens of service accounts, and what those that it signs are checked with.
type tokenSigning struct {
	signing  token.Signing
	keys     token.Keys
	most     time.Duration // that a token may live; 0: as long as was asked for
	extended time.Duration // that pods' tokens live where that is extended
	lasting  bool          // it signs tokens of secrets too, which do not end by themselves
}

// signing is by keys of this machine, which are read once, as upstream's, or by another program.
func (s *server) signing(ctx context.Context) (tokenSigning, error) {
	cfg := &s.Config.Authentication.ServiceAccounts
	if cfg.SigningEndpoint != "" {
		return s.signingElsewhere(ctx)
	}
	signer, err := s.signer()
	if err != nil {
		return tokenSigning{}, err
	}
	keys, err := tokenKeys(cfg.KeyFiles, signer)
	if err != nil {
		return tokenSigning{}, err
	}
	return tokenSigning{signer, token.NewRing(keys), cfg.MaxTokenExpiration.Duration, extendedLife, true}, nil
}

// signingElsewhere waits for a program that signs. Tokens of secrets it never does, since those have no end: upstream's controller manager needs a key of its own
// for them, and leaves them unfilled without.
func (s *server) signingElsewhere(ctx context.Context) (tokenSigning, error) {
	cfg, metrics := &s.Config.Authentication.ServiceAccounts, external.NewMetrics()
	const field = "authentication.serviceAccounts.signingEndpoint: "
	s.Log.Info("service accounts' tokens are signed by another program", "service-account-signing-endpoint", cfg.SigningEndpoint)
	signer, err := external.Open(ctx, external.Config{Socket: cfg.SigningEndpoint, Clock: s.Clock, Log: s.Log.With("component", "api"), Metrics: metrics})
	if err != nil {
		return tokenSigning{}, fmt.Errorf(field+"while setting up external-jwt-signer: %w", err)
	}
	s.external, s.externals = signer, metrics
	most := cfg.MaxTokenExpiration.Duration
	switch {
	case most == 0:
		most = signer.MaxLife
	case most > signer.MaxLife:
		return tokenSigning{}, fmt.Errorf(field+"service-account-max-token-expiration cannot be set longer than the token expiration supported by service-account-signing-endpoint: %s > %s",
			most, signer.MaxLife)
	}
	s.Log.Warn("secrets of type kubernetes.io/service-account-token are not filled: the program that signs tokens makes none that does not end")
	return tokenSigning{signing: signer, keys: signer, most: most, extended: min(signer.MaxLife, extendedLife)}, nil
}

// signer signs tokens, with the cluster's own key unless another is configured.
func (s *server) signer() (*token.Signer, error) {
	file, field := s.Config.Authentication.ServiceAccounts.SigningKeyFile, "authentication.serviceAccounts.signingKeyFile: "
	read := os.ReadFile
	if file == "" {
		file, field = s.dir.join("pki", "sa.key"), ""
		read = func(file string) ([]byte, error) { return pki.TokenKey(filepath.Dir(file)) }
	}
	data, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("%s%w", field, err)
	}
	signer, err := token.ParseSigner(data)
	if err != nil {
		return nil, fmt.Errorf("%serror reading private key file %s: %w", field, file, err)
	}
	return signer, nil
}

// tokenKeys are those of files, and signer's own.
func tokenKeys(files []string, signer *token.Signer) (keys []token.Key, err error) {
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("authentication.serviceAccounts.keyFiles: %w", err)
		}
		list, err := token.ParseKeys(data)
		if err != nil {
			return nil, fmt.Errorf("authentication.serviceAccounts.keyFiles: error reading public key file %s: %w", file, err)
		}
		keys = append(keys, list...)
	}
	if !slices.ContainsFunc(keys, func(k token.Key) bool { return k.ID == signer.ID }) {
		keys = append(keys, signer.Key)
	}
	return keys, nil
}

// closeExternal ends the connection to the program that signs.
func (s *server) closeExternal() error {
	if s.external == nil {
		return nil
	}
	return s.external.Close()
}
