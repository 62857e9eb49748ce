package authorization

import (
	"context"
	"errors"
	"fmt"
	"net"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/webhook"
	"github.com/floe-k8s/floe/internal/auth/webhook/authorize"
)

// Own are the authorizers that read this cluster's objects. All fields are needed.
type Own struct {
	Node, RBAC           auth.Authorizer
	NodeRules, RBACRules auth.Resolver
}

// Builder makes authorizers of configurations. All fields are needed but Metrics.
type Builder struct {
	Own     Own
	Clock   clock.WithDelayedExecution
	Metrics *Metrics                                                             // nil: nothing is counted
	Dial    func(ctx context.Context, network, address string) (net.Conn, error) // to webhooks; nil: directly
}

// Chain is all of a configuration.
type Chain struct {
	Authorize auth.Authorizer
	Rules     auth.Resolver
}

// Build returns who decides by a configuration that was checked.
func (b Builder) Build(cfg *apiserver.AuthorizationConfiguration) (Chain, error) {
	deciders, lists := []auth.Authorizer{auth.AllowMasters}, []auth.Resolver(nil)
	for i := range cfg.Authorizers {
		decide, rules, err := b.one(&cfg.Authorizers[i])
		if err != nil {
			return Chain{}, fmt.Errorf("authorizer %s: %w", cfg.Authorizers[i].Name, err)
		}
		deciders, lists = append(deciders, b.Metrics.count(string(cfg.Authorizers[i].Type), cfg.Authorizers[i].Name, decide)), append(lists, rules)
	}
	return Chain{auth.Chain(deciders...), auth.Resolvers(lists...)}, nil
}

func (b Builder) one(a *apiserver.AuthorizerConfiguration) (auth.Authorizer, auth.Resolver, error) {
	switch a.Type {
	case Node:
		return b.Own.Node, b.Own.NodeRules, nil
	case RBAC:
		return b.Own.RBAC, b.Own.RBACRules, nil
	case AlwaysAllow:
		return auth.AlwaysAllow, everything, nil
	case AlwaysDeny:
		return denyAll, nothing, nil
	case Webhook:
		return b.webhook(a)
	case ABAC:
		return nil, nil, fmt.Errorf("%s", noABAC)
	}
	return nil, nil, fmt.Errorf("unknown authorization mode %s specified", a.Type)
}

// denyAll has no opinion, and says why.
func denyAll(context.Context, auth.User, auth.Attributes) (auth.Decision, string, error) {
	return auth.NoOpinion, "Everything is forbidden.", nil
}

func nothing(auth.User, string) ([]rbacv1.PolicyRule, bool, error) { return nil, false, nil }

func everything(auth.User, string) ([]rbacv1.PolicyRule, bool, error) {
	all := []string{"*"}
	return []rbacv1.PolicyRule{{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all}}, false, nil
}

// webhook makes one that asks the server of a kubeconfig file.
func (b Builder) webhook(a *apiserver.AuthorizerConfiguration) (auth.Authorizer, auth.Resolver, error) {
	w := a.Webhook
	if w.ConnectionInfo.KubeConfigFile == nil {
		return nil, nil, errors.New("no kubeconfig file")
	}
	url, client, err := webhook.Connect(*w.ConnectionInfo.KubeConfigFile, w.Timeout.Duration, b.Dial)
	if err != nil {
		return nil, nil, err
	}
	cfg := authorize.Config{
		Name: a.Name, URL: url, Client: client, Version: w.SubjectAccessReviewVersion, OnFailure: auth.NoOpinion, Clock: b.Clock, Metrics: b.Metrics.asking(),
	}
	if w.CacheAuthorizedRequests {
		cfg.Allowed = w.AuthorizedTTL.Duration
	}
	if w.CacheUnauthorizedRequests {
		cfg.Refused = w.UnauthorizedTTL.Duration
	}
	if w.FailurePolicy == apiserver.FailurePolicyDeny {
		cfg.OnFailure = auth.Deny
	}
	if cfg.Matches, err = matches(w.MatchConditions); err != nil {
		return nil, nil, err
	}
	made := authorize.New(cfg)
	return made.Authorize, made.Rules, nil
}

// matches compiles conditions; nil: there are none.
func matches(conditions []apiserver.WebhookMatchCondition) (func(context.Context, *authorizationv1.SubjectAccessReview) (bool, error), error) {
	if len(conditions) == 0 {
		return nil, nil
	}
	matcher, errs := validation.ValidateAndCompileMatchConditions(&compiler{}, conditions)
	if err := errs.ToAggregate(); err != nil {
		return nil, err
	}
	return matcher.Eval, nil
}
