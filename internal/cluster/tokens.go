package cluster

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/pki"
)

// tokens are how the cluster makes tokens of service accounts, and who checks them.
func (s *server) tokens() (kinds.Tokens, *token.Checker, error) {
	pem, err := pki.TokenKey(s.dir.join("pki"))
	if err != nil {
		return kinds.Tokens{}, nil, err
	}
	signer, err := token.ParseSigner(pem)
	if err != nil {
		return kinds.Tokens{}, nil, fmt.Errorf("%s: %w", s.dir.join("pki", "sa.key"), err)
	}
	name := "https://kubernetes.default.svc." + s.Config.Network.ClusterDomain
	checker := token.NewChecker(token.Config{
		Issuers: []string{name}, Audiences: []string{name}, Keys: []token.Key{signer.Key}, Clock: s.Clock, Lookup: true,
		Objects: bindings{api.NewObjects(s.store, s.kinds)},
	})
	return kinds.Tokens{Audiences: []string{name}, Extend: true, Issue: issue(token.NewIssuer(name, signer))}, checker, nil
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
