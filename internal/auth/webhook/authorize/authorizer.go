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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/cache"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
)

const (
	mostAnswers   = 8192
	longestCached = 10_000 // bytes of a question that the client chooses
	attempts      = 5
	firstPause    = 500 * time.Millisecond
	pauseFactor   = 1.5
	pauseJitter   = 0.2
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
	answers *cache.LRUExpireCache // authorizationv1.SubjectAccessReviewStatus by question
}

// New returns an authorizer that remembers nothing yet.
func New(cfg Config) *Authorizer {
	return &Authorizer{cfg: cfg, answers: cache.NewLRUExpireCacheWithClock(mostAnswers, cfg.Clock)}
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
	status, result, err := a.persist(ctx, review)
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

// persist sends a question until it is answered, or there is no hope. result names the last attempt's outcome as metrics do.
func (a *Authorizer) persist(ctx context.Context, review *authorizationv1.SubjectAccessReview) (status authorizationv1.SubjectAccessReviewStatus, result string, err error) {
	pause := wait.Backoff{Duration: firstPause, Factor: pauseFactor, Jitter: pauseJitter, Steps: attempts}
	for n := 1; ; n++ {
		began := a.cfg.Clock.Now()
		status, err = a.send(ctx, review)
		result = outcome(ctx, err)
		a.cfg.Metrics.asked(a.cfg.Name, result, a.cfg.Clock.Since(began))
		if err == nil || ctx.Err() != nil || n == attempts || !mayPass(err) {
			return status, result, err
		}
		if err := a.pause(ctx, pause.Step()); err != nil {
			return status, result, err
		}
	}
}

func (a *Authorizer) pause(ctx context.Context, d time.Duration) error {
	over := make(chan struct{})
	timer := a.cfg.Clock.AfterFunc(d, func() { close(over) })
	defer timer.Stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("webhook %s: %w", a.cfg.Name, ctx.Err())
	}
}

func outcome(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return "success"
	case ctx.Err() != nil:
		return "canceled"
	case utilnet.IsTimeout(err), errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err), code(err) == http.StatusGatewayTimeout:
		return "timeout"
	}
	return "error"
}

func code(err error) int {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return int(status.Status().Code)
	}
	return 0
}

// mayPass says whether another attempt may succeed.
func mayPass(err error) bool {
	if utilnet.IsConnectionReset(err) || utilnet.IsHTTP2ConnectionLost(err) ||
		apierrors.IsInternalError(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) {
		return true
	}
	_, wait := apierrors.SuggestsClientDelay(err)
	return wait
}
