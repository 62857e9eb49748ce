package external

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	externaljwt "k8s.io/externaljwt/apis/v1"

	"github.com/floe-k8s/floe/internal/auth/token"
)

// keys are what the signer said last. They are immutable.
type keys struct {
	ring  *token.Ring
	told  time.Time // the signer's data time
	until time.Time // when they are to be asked for again
}

// outcome is that of a question for keys.
type outcome struct {
	number int // of the question; 0: none was asked
	err    error
}

// Ring implements token.Keys.
func (s *Signer) Ring() *token.Ring { return s.keys.Load().ring }

// MaxAge implements token.Keys: others may keep them until they are asked for again.
func (s *Signer) MaxAge() int {
	return max(0, int(s.keys.Load().until.Sub(s.cfg.Clock.Now()).Seconds()))
}

// Find implements token.Keys. It asks the signer for a key that is not known.
func (s *Signer) Find(ctx context.Context, id string) []token.Key {
	if found := s.Ring().Find(ctx, id); len(found) > 0 {
		return found
	}
	if err := s.fetch(ctx); err != nil {
		s.cfg.Log.Error("the external signer's keys are not known", "key", id, "err", err)
		return nil
	}
	found := s.Ring().Find(ctx, id)
	if len(found) == 0 {
		s.cfg.Log.Error("a token's key is not among the external signer's", "key", id)
	}
	return found
}

// Run keeps the keys new until ctx ends.
func (s *Signer) Run(ctx context.Context) error {
	timer := s.cfg.Clock.NewTimer(s.keys.Load().until.Sub(s.cfg.Clock.Now()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		}
		wait := retryAfter
		if err := s.fetch(ctx); err == nil {
			wait = s.keys.Load().until.Sub(s.cfg.Clock.Now())
		} else if ctx.Err() == nil {
			s.cfg.Log.Error("the external signer's keys cannot be renewed: those of before stay good", "err", err)
		}
		timer.Reset(wait)
	}
}

// fetch asks for the keys, or waits for who does so already and has their outcome.
func (s *Signer) fetch(ctx context.Context) error {
	before := s.last().number
	select {
	case s.asking <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.asking }()
	if last := s.last(); last.number != before {
		return last.err
	}
	err := s.ask(ctx)
	if err != nil && ctx.Err() != nil {
		return err // which says nothing to those that wait for longer
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcome = outcome{before + 1, err}
	return err
}

func (s *Signer) last() outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outcome
}

// ask is fetch for the one who asks.
func (s *Signer) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keysWithin)
	defer cancel()
	response, err := s.client.FetchKeys(ctx, &externaljwt.FetchKeysRequest{})
	var said *keys
	if err != nil {
		err = fmt.Errorf("while getting externally supported jwt signing keys: %w", err)
	} else {
		said, err = read(response)
	}
	now := s.cfg.Clock.Now()
	s.cfg.Metrics.fetched(err, now)
	if err != nil {
		return fmt.Errorf("while fetching token verification keys: %w", err)
	}
	s.cfg.Metrics.told(said.told)
	said.until = now.Add(time.Duration(response.RefreshHintSeconds) * time.Second)
	s.keys.Store(said)
	return nil
}

// read returns the keys of an answer, but not when to ask again.
func read(response *externaljwt.FetchKeysResponse) (*keys, error) {
	switch {
	case response.RefreshHintSeconds <= 0 || response.RefreshHintSeconds > int64(maxDuration/time.Second):
		return nil, fmt.Errorf("found invalid refresh hint (%ds)", response.RefreshHintSeconds)
	case len(response.Keys) == 0:
		return nil, errors.New("found no keys")
	}
	if err := response.DataTimestamp.CheckValid(); err != nil {
		return nil, fmt.Errorf("invalid data timestamp: %w", err)
	}
	list := make([]token.Key, 0, len(response.Keys))
	for _, said := range response.Keys {
		key, err := readKey(said)
		if err != nil {
			return nil, err
		}
		list = append(list, key)
	}
	return &keys{ring: token.NewRing(list), told: response.DataTimestamp.AsTime()}, nil
}

// readKey refuses what no token can be checked with too, where upstream takes it and then has no documents for others.
func readKey(said *externaljwt.Key) (token.Key, error) {
	switch {
	case said == nil:
		return token.Key{}, errors.New("found nil public key")
	case said.KeyId == "" || len(said.KeyId) > maxKeyID:
		return token.Key{}, fmt.Errorf("found invalid public key id %q", said.KeyId)
	case len(said.Key) == 0:
		return token.Key{}, errors.New("found empty public key")
	}
	public, err := x509.ParsePKIXPublicKey(said.Key)
	if err != nil {
		return token.Key{}, fmt.Errorf("while parsing external public keys: %w", err)
	}
	key, err := token.NewKey(public)
	if err != nil {
		return token.Key{}, fmt.Errorf("while parsing external public keys: key %q: %w", said.KeyId, err)
	}
	key.ID, key.Hidden = said.KeyId, said.ExcludeFromOidcDiscovery
	return key, nil
}
