package cluster

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/kinds"
)

// projectedLife is what admission asks for a pod's token, and extendedLife what it gets where that is extended.
const (
	projectedLife = 3607 * time.Second
	extendedLife  = 365 * 24 * time.Hour
)

// accountTokens are how the cluster makes and checks tokens of service accounts, and what others may know of them.
type accountTokens struct {
	kinds.Tokens
	*token.Checker
	keys token.Keys
}

// tokens makes what signs and checks the tokens of service accounts.
func (s *server) tokens(ctx context.Context) (t accountTokens, err error) {
	cfg := &s.Config.Authentication
	by, err := s.signing(ctx)
	if err != nil {
		return t, err
	}
	issuers := cfg.ServiceAccounts.Issuers
	if len(issuers) == 0 {
		issuers = []string{"https://kubernetes.default.svc." + s.Config.Network.ClusterDomain}
	}
	audiences := cfg.APIAudiences
	if len(audiences) == 0 {
		audiences = issuers
	}
	issuer := token.NewIssuer(issuers[0], by.signing)
	if by.lasting {
		s.lasting = func(account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
			return issuer.IssueLegacy(s.leaving, account.Namespace, token.Ref{Name: account.Name, UID: string(account.UID)}, secret.Name)
		}
	}
	made := kinds.Tokens{Audiences: audiences, MaxLife: by.most, Issue: issue(issuer)}
	if cfg.ServiceAccounts.ExtendTokenExpiration {
		made.Extend = by.extended
		s.warnOfLives(by.most, by.extended)
	}
	return accountTokens{
		made,
		token.NewChecker(token.Config{
			Issuers: issuers, Audiences: audiences, Keys: by.keys, Clock: s.Clock, Lookup: cfg.ServiceAccounts.Lookup, Objects: bindings{api.NewObjects(s.store, s.kinds)},
			Mark: s.markUsed, Metrics: s.accounts,
		}),
		by.keys,
	}, nil
}

// warnOfLives says what the extension of pods' tokens does when tokens may live for so long at most.
func (s *server) warnOfLives(most, extended time.Duration) {
	if most != 0 && most < projectedLife {
		s.Log.Warn("pods' tokens are not extended: tokens may not live as long as those ask to", "service-account-max-token-expiration", most, "asked", projectedLife)
	}
	switch {
	case extended < extendedLife:
		s.Log.Warn("pods' tokens are extended to what their signer lets them live", "extended", extended)
	case most != 0 && most < extended:
		s.Log.Warn("pods' tokens are extended beyond what tokens may live", "service-account-max-token-expiration", most, "extended", extended)
	}
}

// markUsed labels a secret with the day on which its token was used. A label that cannot be written hinders nobody; the next use tries again.
func (s *server) markUsed(ctx context.Context, secret *corev1.Secret, label, day string) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": secret.UID, "labels": map[string]string{label: day}}})
	if err == nil {
		_, err = s.client(apiServer, auth.Masters).Patch(ctx, corev1.SchemeGroupVersion.WithResource("secrets"), secret.Namespace, secret.Name, types.MergePatchType, patch, "")
	}
	if err != nil {
		s.Log.Error("the use of a token is not noted in its secret", "secret", secret.Namespace+"/"+secret.Name, "err", err)
	}
}

// documents say how others check the tokens: none where the issuer's name does not tell where it is.
func (t *accountTokens) documents(keysURI, external string, log *slog.Logger) []wire.Document {
	published, err := token.Publish(t.Issuers[0], keysURI, external, t.keys)
	if err != nil {
		log.Error("the issuer of service accounts' tokens cannot be found by others: /.well-known/openid-configuration is not served", "issuer", t.Issuers[0], "err", err)
		return nil
	}
	return []wire.Document{
		{Path: token.DiscoveryPath, MediaType: "application/json", Read: published.Document},
		{Path: token.KeysPath, MediaType: "application/jwk-set+json", Read: published.KeySet},
	}
}

// issue gives the wishes of kinds to an issuer.
func issue(issuer *token.Issuer) func(ctx context.Context, w kinds.TokenWish) (kinds.Token, error) {
	return func(ctx context.Context, w kinds.TokenWish) (kinds.Token, error) {
		bound := token.Bound{Namespace: w.Account.Namespace, Account: token.Ref{Name: w.Account.Name, UID: string(w.Account.UID)}}
		if w.Pod != nil {
			bound.Pod = &token.Ref{Name: w.Pod.Name, UID: string(w.Pod.UID)}
		}
		if w.Secret != nil {
			bound.Secret = &token.Ref{Name: w.Secret.Name, UID: string(w.Secret.UID)}
		}
		if w.Node != nil {
			bound.Node = &token.Ref{Name: w.Node.Name, UID: string(w.Node.UID)}
		}
		text, id, err := issuer.Issue(ctx, token.Wish{Bound: bound, Audiences: w.Audiences, Now: w.Now, Life: w.Life, WarnAfter: w.WarnAfter})
		return kinds.Token{Text: text, ID: id}, err
	}
}

// bindings are the objects that tokens are bound to.
type bindings struct{ objects *api.Objects }

var _ token.Objects = bindings{}

func bindingOf[T kinds.Object](b bindings, resource, namespace, name string) (found T, err error) {
	res := corev1.SchemeGroupVersion.WithResource(resource)
	if obj, ok := b.objects.Get(res, namespace, name).(T); ok {
		return obj, nil
	}
	return found, apierrors.NewNotFound(res.GroupResource(), name)
}

// ServiceAccount implements token.Objects.
func (b bindings) ServiceAccount(namespace, name string) (*corev1.ServiceAccount, error) {
	return bindingOf[*corev1.ServiceAccount](b, "serviceaccounts", namespace, name)
}

// Pod implements token.Objects.
func (b bindings) Pod(namespace, name string) (*corev1.Pod, error) {
	return bindingOf[*corev1.Pod](b, "pods", namespace, name)
}

// Secret implements token.Objects.
func (b bindings) Secret(namespace, name string) (*corev1.Secret, error) {
	return bindingOf[*corev1.Secret](b, "secrets", namespace, name)
}

// Node implements token.Objects.
func (b bindings) Node(name string) (*corev1.Node, error) {
	return bindingOf[*corev1.Node](b, "nodes", "", name)
}
