// Package accounttokens fills the secrets that people make for a service account's token, and removes them with their account.
//
// # Vocabulary
//
// A token secret has the type kubernetes.io/service-account-token and names its account in the annotation kubernetes.io/service-account.name, and once it is
// filled the account's UID in kubernetes.io/service-account.uid. Its token does not end by itself: it is good as long as secret and account are there.
//
// # Laws
//
//   - A token secret whose account is there has the keys ca.crt, namespace and token: what is missing is filled in, and an authority that is another is
//     replaced. A token that is there is left, and so is a namespace.
//   - One whose account is not there, or has another UID than it says, is deleted, when it is still the one that was seen.
//   - A token secret that is deleted is taken from the secrets that accounts of its namespace list. Upstream asks only the account that the secret named, which
//     this controller cannot know any more: a name in such a list that others put there goes too.
//   - No secrets are made.
//
// # What it leaves to others
//
// Keys and the form of tokens are auth's, as is refusing the tokens of secrets that are gone.
package accounttokens

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

var (
	secrets  = corev1.SchemeGroupVersion.WithResource("secrets")
	accounts = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
)

// Name is the controller's.
const Name = "serviceaccount-token"

// Issue makes the token that a secret of an account holds. It must be safe for concurrent use.
type Issue func(account *corev1.ServiceAccount, secret *corev1.Secret) (string, error)

// New returns the controller; authority is the PEM text that stands beside tokens. It runs as the controller manager itself, as upstream's does.
func New(issue Issue, authority []byte) engine.Controller {
	f := filler{issue, authority}
	return engine.Controller{
		Name: Name, Component: "serviceaccount-token-controller", User: "system:kube-controller-manager", Queue: "serviceaccount_tokens_service",
		Inputs: []engine.Input{{Resource: secrets, Keys: tokenSecret}, {Resource: accounts, Keys: secretsOf}},
		Outputs: []engine.Output{
			{Resource: secrets, Fields: []string{"data[ca.crt,namespace,token]", "metadata.annotations[kubernetes.io/service-account.name,kubernetes.io/service-account.uid]"}},
			{Resource: accounts, Fields: []string{"secrets"}},
		},
		Reconcile: func(view client.View, k engine.Key, _ time.Time) (engine.Plan, error) {
			secret, ok := view.Get(secrets, k.Namespace, k.Name).(*corev1.Secret)
			switch {
			case !ok:
				return forget(view, k), nil
			case secret.UID != k.UID: // another one of the same name, which accounts may mean now
				return engine.Plan{}, nil
			}
			return f.reconcile(view, secret)
		},
	}
}

func isToken(obj any) (*corev1.Secret, bool) {
	s, ok := obj.(*corev1.Secret)
	return s, ok && s.Type == corev1.SecretTypeServiceAccountToken && s.Annotations[corev1.ServiceAccountNameKey] != ""
}

func keyOf(s *corev1.Secret) engine.Key {
	return engine.Key{Resource: secrets, Namespace: s.Namespace, Name: s.Name, UID: s.UID}
}

// tokenSecret is a token secret that has changed, or gone.
func tokenSecret(_ client.View, c client.Change) []engine.Key {
	if s, ok := isToken(c.Newest()); ok {
		return []engine.Key{keyOf(s)}
	}
	return nil
}

// secretsOf are the token secrets of an account that is gone, or that another one has replaced. One that comes has none yet: those that were made before it are
// deleted without it.
func secretsOf(view client.View, c client.Change) (keys []engine.Key) {
	if c.New != nil && (c.Old == nil || c.New.GetUID() == c.Old.GetUID()) {
		return nil
	}
	account := c.Newest()
	for obj := range view.List(secrets, account.GetNamespace()) {
		if s, ok := isToken(obj); ok && s.Annotations[corev1.ServiceAccountNameKey] == account.GetName() {
			keys = append(keys, keyOf(s))
		}
	}
	return keys
}

type filler struct {
	issue     Issue
	authority []byte
}

// reconcile fills a secret, or deletes it when its account is not there.
func (f filler) reconcile(view client.View, secret *corev1.Secret) (engine.Plan, error) {
	if _, ok := isToken(secret); !ok || secret.DeletionTimestamp != nil {
		return engine.Plan{}, nil
	}
	account, ok := view.Get(accounts, secret.Namespace, secret.Annotations[corev1.ServiceAccountNameKey]).(*corev1.ServiceAccount)
	if uid := types.UID(secret.Annotations[corev1.ServiceAccountUIDKey]); !ok || uid != "" && uid != account.UID {
		return engine.Plan{Writes: []engine.Write{engine.NewDelete(secrets, secret, "")}}, nil
	}
	next, err := f.fill(account, secret)
	if err != nil || next == nil {
		return engine.Plan{}, err
	}
	return engine.Plan{Writes: []engine.Write{engine.NewUpdate(secrets, next, "")}}, nil
}

// fill returns the secret with all that it is to have; nil: it has it.
func (f filler) fill(account *corev1.ServiceAccount, secret *corev1.Secret) (*corev1.Secret, error) {
	stale := len(f.authority) > 0 && !bytes.Equal(secret.Data[corev1.ServiceAccountRootCAKey], f.authority)
	homeless := len(secret.Data[corev1.ServiceAccountNamespaceKey]) == 0
	empty := len(secret.Data[corev1.ServiceAccountTokenKey]) == 0
	if !stale && !homeless && !empty {
		return nil, nil
	}
	next := secret.DeepCopy()
	if next.Data == nil {
		next.Data = map[string][]byte{}
	}
	if stale {
		next.Data[corev1.ServiceAccountRootCAKey] = f.authority
	}
	if homeless {
		next.Data[corev1.ServiceAccountNamespaceKey] = []byte(secret.Namespace)
	}
	if empty {
		token, err := f.issue(account, secret)
		if err != nil {
			return nil, fmt.Errorf("secret %s/%s: token of service account %s: %w", secret.Namespace, secret.Name, account.Name, err)
		}
		next.Data[corev1.ServiceAccountTokenKey] = []byte(token)
	}
	next.Annotations[corev1.ServiceAccountNameKey] = account.Name
	next.Annotations[corev1.ServiceAccountUIDKey] = string(account.UID)
	return next, nil
}

// forget takes a secret that is gone from the lists of accounts.
func forget(view client.View, k engine.Key) (plan engine.Plan) {
	named := func(r corev1.ObjectReference) bool { return r.Name == k.Name }
	for obj := range view.List(accounts, k.Namespace) {
		account, ok := obj.(*corev1.ServiceAccount)
		if !ok || !slices.ContainsFunc(account.Secrets, named) {
			continue
		}
		next := account.DeepCopy()
		next.Secrets = slices.DeleteFunc(next.Secrets, named)
		plan.Writes = append(plan.Writes, engine.NewUpdate(accounts, next, ""))
	}
	return plan
}
