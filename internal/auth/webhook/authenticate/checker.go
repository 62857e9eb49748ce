package authenticate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/webhook"
)

// Timeout is how long one attempt may take, as upstream's.
const Timeout = 30 * time.Second

// Config is what a checker is made from. All fields are needed but Audiences.
type Config struct {
	// URL is where questions are sent, Client how; Client has the timeout of one attempt. See webhook.Connect.
	URL    string
	Client *http.Client
	// Version of the reviews that are sent: v1 or v1beta1.
	Version string
	// Audiences are the API's own names.
	Audiences []string
	// Keep is how long an answer is remembered, whether it is good or not; 0: not at all.
	Keep  time.Duration
	Clock clock.WithDelayedExecution
	Log   *slog.Logger
}

// New returns a checker of tokens that remembers nothing yet. It is safe for concurrent use.
func New(cfg Config) auth.TokenChecker {
	c := &checker{own: cfg.Audiences, log: cfg.Log, peer: webhook.Peer{
		URL: cfg.URL, Client: cfg.Client, Clock: cfg.Clock, Type: schema.GroupVersionKind{Group: authenticationv1.GroupName, Version: cfg.Version, Kind: "TokenReview"},
	}}
	return auth.NewCacheFor(c.check, cfg.Clock, cfg.Keep, cfg.Keep).Check
}

type checker struct {
	peer webhook.Peer
	own  []string
	log  *slog.Logger
}

// check is an auth.TokenChecker.
func (c *checker) check(ctx context.Context, token string, audiences []string) (id auth.Identity, ok bool, err error) {
	if len(audiences) == 0 {
		audiences = c.own
	}
	// Both versions have the same form, but for their name.
	review, err := json.Marshal(authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{Kind: c.peer.Type.Kind, APIVersion: c.peer.Type.GroupVersion().String()},
		Spec:     authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
	})
	if err != nil {
		return id, false, fmt.Errorf("token review: %w", err)
	}
	var status authenticationv1.TokenReviewStatus
	if _, err := c.peer.Ask(ctx, review, &status); err != nil {
		c.log.Error("failed to make webhook authenticator request", "err", err)
		return id, false, err
	}
	if len(audiences) > 0 {
		named := status.Audiences
		if len(named) == 0 {
			named = c.own
		}
		for _, a := range audiences {
			if slices.Contains(named, a) {
				id.Audiences = append(id.Audiences, a)
			}
		}
		if len(id.Audiences) == 0 {
			return auth.Identity{}, false, nil
		}
	}
	if !status.Authenticated {
		if status.Error != "" {
			err = errors.New(status.Error)
		}
		return auth.Identity{}, false, err
	}
	id.User = auth.User{Name: status.User.Username, UID: status.User.UID, Groups: status.User.Groups}
	if status.User.Extra != nil {
		id.User.Extra = make(map[string][]string, len(status.User.Extra))
		for key, values := range status.User.Extra {
			id.User.Extra[key] = values
		}
	}
	return id, true, nil
}
