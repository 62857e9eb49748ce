package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	gooidc "github.com/coreos/go-oidc"
)

// maxSources bounds the issuers of distributed claims that are remembered, as tokens of an issuer may name any.
const maxSources = 16

// sources fetch a claim that a token does not hold but names the place of (OpenID Connect Core 1.0 section 5.6.2). It is safe for concurrent use.
type sources struct {
	claim  string
	issuer *issuer

	mu    sync.Mutex
	known map[string]*gooidc.IDTokenVerifier // guarded by mu; at most maxSources
}

// expand puts the claim among those of a token, if it is somewhere else.
func (s *sources) expand(ctx context.Context, said claims) error {
	if _, there := said[s.claim]; there || said["_claim_names"] == nil {
		return nil
	}
	names := map[string]string{}
	if err := said.read("_claim_names", &names); err != nil {
		return fmt.Errorf("oidc: error parsing distributed claim names: %w", err)
	}
	if said["_claim_sources"] == nil {
		return errors.New("oidc: no claim sources")
	}
	places := map[string]struct {
		URL   string `json:"endpoint"`
		Token string `json:"access_token"`
	}{}
	if err := said.read("_claim_sources", &places); err != nil {
		return fmt.Errorf("oidc: could not parse claim sources: %w", err)
	}
	name, ok := names[s.claim]
	if !ok {
		return nil
	}
	place, ok := places[name]
	if !ok {
		return fmt.Errorf("id token _claim_names contained a source %s missing in _claims_sources", name)
	}
	if place.URL == "" {
		return nil
	}
	value, err := s.fetch(ctx, place.URL, place.Token)
	if err == nil {
		said[s.claim] = value
	}
	return err
}

// fetch returns the claim that a token at a URL holds.
func (s *sources) fetch(ctx context.Context, url, access string) (json.RawMessage, error) {
	token, err := s.download(ctx, url, access)
	if err != nil {
		return nil, fmt.Errorf("while getting distributed claim %q: %w", s.claim, err)
	}
	from, err := issuerOf(token)
	if err != nil {
		return nil, fmt.Errorf("getting untrusted issuer from endpoint %v failed for claim %q: %w", url, s.claim, err)
	}
	verifier, err := s.verifier(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("verifying untrusted issuer %v failed: %w", from, err)
	}
	said, err := s.issuer.verify(ctx, verifier, token)
	if err != nil {
		return nil, fmt.Errorf("verify distributed claim token: %w", err)
	}
	value, ok := said[s.claim]
	if !ok {
		return nil, fmt.Errorf("jwt returned by distributed claim endpoint %q did not contain claim: %v", url, s.claim)
	}
	return value, nil
}

func (s *sources) download(ctx context.Context, url, access string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("while calling %v: %w", url, err)
	}
	if access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	answer, err := s.issuer.client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode < http.StatusOK || answer.StatusCode > http.StatusIMUsed {
		return "", fmt.Errorf("error while getting distributed claim JWT: %v", answer.Status)
	}
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", errors.New("could not decode distributed claim response")
	}
	return string(data), nil
}

// verifier checks tokens of an issuer, which is looked for when it is first needed.
func (s *sources) verifier(ctx context.Context, from string) (*gooidc.IDTokenVerifier, error) {
	s.mu.Lock()
	known := s.known[from]
	s.mu.Unlock()
	if known != nil {
		return known, nil
	}
	provider, err := gooidc.NewProvider(gooidc.ClientContext(context.WithoutCancel(ctx), s.issuer.client), from) // its keys are fetched later, too
	if err != nil {
		return nil, fmt.Errorf("verifier not initialized for issuer: %q: %w", from, err)
	}
	known = provider.Verifier(s.issuer.checks())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSources {
		s.known = map[string]*gooidc.IDTokenVerifier{} // those in use come back
	}
	s.known[from] = known
	return known, nil
}
