package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/pki"
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
}

// tokens reads the keys of service accounts' tokens. They are read once, as upstream's.
func (s *server) tokens() (t accountTokens, err error) {
	cfg := &s.Config.Authentication
	signer, err := s.signer()
	if err != nil {
		return t, err
	}
	keys, err := tokenKeys(cfg.ServiceAccounts.KeyFiles, signer)
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
	most, extend := cfg.ServiceAccounts.MaxTokenExpiration.Duration, cfg.ServiceAccounts.ExtendTokenExpiration
	if extend && most != 0 && most < projectedLife {
		s.Log.Warn("pods' tokens are not extended: tokens may not live as long as those ask to", "service-account-max-token-expiration", most, "asked", projectedLife)
	}
	if extend && most != 0 && most < extendedLife {
		s.Log.Warn("pods' tokens are extended beyond what tokens may live", "service-account-max-token-expiration", most, "extended", extendedLife)
	}
	issuer := token.NewIssuer(issuers[0], signer)
	s.lasting = func(account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
		return issuer.IssueLegacy(account.Namespace, token.Ref{Name: account.Name, UID: string(account.UID)}, secret.Name)
	}
	return accountTokens{
		kinds.Tokens{Audiences: audiences, Extend: extend, MaxLife: most, Issue: issue(issuer)},
		token.NewChecker(token.Config{
			Issuers: issuers, Audiences: audiences, Keys: keys, Clock: s.Clock, Lookup: cfg.ServiceAccounts.Lookup, Objects: bindings{api.NewObjects(s.store, s.kinds)},
			Mark: s.markUsed, Metrics: s.accounts,
		}),
	}, nil
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

// documents say how others check the tokens: none where the issuer's name does not tell where it is.
func (t *accountTokens) documents(keysURI, external string, log *slog.Logger) []wire.Document {
	found, keys, err := token.Discovery(t.Issuers[0], keysURI, external, t.Keys)
	if err != nil {
		log.Error("the issuer of service accounts' tokens cannot be found by others: /.well-known/openid-configuration is not served", "issuer", t.Issuers[0], "err", err)
		return nil
	}
	return []wire.Document{
		{Path: token.DiscoveryPath, MediaType: "application/json", MaxAge: token.DiscoveryMaxAge, Data: found},
		{Path: token.KeysPath, MediaType: "application/jwk-set+json", MaxAge: token.DiscoveryMaxAge, Data: keys},
	}
}

// issue gives the wishes of kinds to an issuer.
func issue(issuer *token.Issuer) func(w kinds.TokenWish) (string, error) {
	return func(w kinds.TokenWish) (string, error) {
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
		text, _, err := issuer.Issue(token.Wish{Bound: bound, Audiences: w.Audiences, Now: w.Now, Life: w.Life, WarnAfter: w.WarnAfter})
		return text, err
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
