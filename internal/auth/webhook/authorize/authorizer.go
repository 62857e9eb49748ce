package authorize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/webhook"
	"github.com/floe-k8s/floe/internal/observe/aside"
)

const (
	mostAnswers   = 8192
	longestCached = 10_000 // bytes of a question that the client chooses
	oldReviews    = "v1beta1"
)

// Config is what an Authorizer is made from. All fields are needed but Matches and Metrics.
type Config struct {
	Name string // among those that are configured, for metrics
	// URL is where questions are sent, Client how; Client has the timeout of one attempt.
	URL    string
	Client *http.Client
	// Version of the reviews that are sent: v1 or v1beta1.
	Version string
	// Allowed and Refused are how long answers are remembered; 0: not at all.
	Allowed, Refused time.Duration
	// OnFailure is the decision for what could not be asked: NoOpinion or Deny.
	OnFailure auth.Decision
	// Matches says whether a question is asked; nil: each is. An error is a failure.
	Matches func(ctx context.Context, question *authorizationv1.SubjectAccessReview) (bool, error)
	Clock   clock.WithDelayedExecution
	Metrics *Metrics // nil: nothing is counted
}

// Authorizer asks another server. It is safe for concurrent use.
type Authorizer struct {
	cfg     Config
	peer    webhook.Peer
	answers *cache.LRUExpireCache // authorizationv1.SubjectAccessReviewStatus by question
}

// New returns an authorizer that remembers nothing yet.
func New(cfg Config) *Authorizer {
	peer := webhook.Peer{
		Name: cfg.Name, URL: cfg.URL, Client: cfg.Client, Clock: cfg.Clock,
		Type:      schema.GroupVersionKind{Group: authorizationv1.GroupName, Version: cfg.Version, Kind: "SubjectAccessReview"},
		Attempted: func(result string, took time.Duration) { cfg.Metrics.asked(cfg.Name, result, took) },
	}
	return &Authorizer{cfg: cfg, peer: peer, answers: cache.NewLRUExpireCacheWithClock(mostAnswers, cfg.Clock)}
}

// Rules implements auth.Resolver: nobody lists what another server allows.
func (*Authorizer) Rules(auth.User, string) ([]rbacv1.PolicyRule, bool, error) {
	return nil, true, errors.New("webhook authorizer does not support user rule resolution")
}

// Authorize implements auth.Authorizer.
func (a *Authorizer) Authorize(ctx context.Context, user auth.User, attrs auth.Attributes) (auth.Decision, string, error) {
	review := question(user, &attrs)
	if a.cfg.Matches != nil {
		if ok, err := a.cfg.Matches(ctx, review); err != nil || !ok {
			if err != nil {
				return a.cfg.OnFailure, "", err
			}
			return auth.NoOpinion, "", nil
		}
	}
	key, err := json.Marshal(review.Spec)
	if err != nil {
		return a.cfg.OnFailure, "", fmt.Errorf("webhook %s: %w", a.cfg.Name, err)
	}
	if known, ok := a.answers.Get(string(key)); ok {
		return decide(known.(authorizationv1.SubjectAccessReviewStatus))
	}
	body, err := encode(review, a.cfg.Version)
	if err != nil {
		return a.cfg.OnFailure, "", fmt.Errorf("webhook %s: %w", a.cfg.Name, err)
	}
	var status authorizationv1.SubjectAccessReviewStatus // both versions have the same
	back := aside.Step(ctx)
	result, err := a.peer.Ask(ctx, body, &status)
	back()
	if err != nil {
		if a.cfg.OnFailure == auth.NoOpinion && ctx.Err() == nil {
			a.cfg.Metrics.failedOpen(a.cfg.Name, result)
		}
		return a.cfg.OnFailure, "", err
	}
	if keep := a.keep(status); keep > 0 && chosen(&attrs) < longestCached {
		a.answers.Add(string(key), status, keep)
	}
	return decide(status)
}

func (a *Authorizer) keep(status authorizationv1.SubjectAccessReviewStatus) time.Duration {
	if status.Allowed {
		return a.cfg.Allowed
	}
	return a.cfg.Refused
}

// chosen is how many bytes of a question are the client's choice.
func chosen(a *auth.Attributes) int {
	return len(a.Namespace) + len(a.Verb) + len(a.Group) + len(a.Version) + len(a.Resource) + len(a.Subresource) + len(a.Name) + len(a.Path) +
		len(a.FieldSelector) + len(a.LabelSelector)
}

func decide(s authorizationv1.SubjectAccessReviewStatus) (auth.Decision, string, error) {
	switch {
	case s.Denied && s.Allowed:
		return auth.Deny, s.Reason, errors.New("webhook subject access review returned both allow and deny response")
	case s.Denied:
		return auth.Deny, s.Reason, nil
	case s.Allowed:
		return auth.Allow, s.Reason, nil
	}
	return auth.NoOpinion, s.Reason, nil
}
