// Package legacytoken takes back tokens of service accounts that stand in secrets and that nobody uses any more.
//
// # Vocabulary
//
// Once Kubernetes made a secret with a token for every account, and listed it in the account: such a token does not end. The API server labels a secret with the
// day of each use of its token (kubernetes.io/legacy-token-last-used), and says in the config map kube-apiserver-legacy-service-account-token-tracking since when it
// does. The period is how long a token must not have been used.
//
// # Laws
//
//   - Only secrets that their account lists are looked at: those that people made are theirs. One that a pod of its namespace refers to is in use.
//   - Nothing happens before uses have been noted for a whole period, counted from the day after they began to be.
//   - A token that was not used for a period is first marked as invalid, with the day, by the label kubernetes.io/legacy-token-invalid-since: it is refused from then
//     on, and comes back when the label is taken away. When a period has passed since, the secret is deleted, if it is as it was seen.
//   - A secret whose day of use cannot be read is left.
//
// # What it leaves to others
//
// Noting uses and refusing what is marked are auth's; the config map is bootstrap's.
package legacytoken

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

const (
	every        = 24 * time.Hour // between two looks, as upstream
	tracking     = "kube-apiserver-legacy-service-account-token-tracking"
	since        = "since"
	lastUsed     = "kubernetes.io/legacy-token-last-used"
	invalidSince = "kubernetes.io/legacy-token-invalid-since"
)

var (
	secrets    = corev1.SchemeGroupVersion.WithResource("secrets")
	accounts   = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
	pods       = corev1.SchemeGroupVersion.WithResource("pods")
	configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")
)

// New returns the controller; period is above 0.
func New(period time.Duration) engine.Controller {
	return engine.Controller{
		Name: "legacy-token-cleaner", Component: "legacy-service-account-token-cleaner", Workers: 1,
		User:    "system:serviceaccount:kube-system:legacy-service-account-token-cleaner",
		Inputs:  []engine.Input{{Resource: configMaps, Keys: tracked}, {Resource: secrets}, {Resource: accounts}, {Resource: pods}},
		Outputs: []engine.Output{{Resource: secrets, Fields: []string{"metadata.labels[" + invalidSince + "]"}}},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			c, ok := view.Get(configMaps, k.Namespace, k.Name).(*corev1.ConfigMap)
			if !ok {
				return engine.Plan{}, nil // its return wakes
			}
			day, err := time.Parse(time.DateOnly, c.Data[since])
			if err != nil {
				return engine.Plan{Waiting: "a date since when uses of tokens are noted"}, nil
			}
			plan := engine.Plan{After: every}
			if now = now.UTC(); !now.Before(day.AddDate(0, 0, 1).Add(period)) {
				plan.Writes = look{view: view, now: now, before: now.Add(-period), mounted: map[string]map[string]bool{}}.writes()
			}
			return plan, nil
		},
	}
}

// tracked is the config map that says since when uses are noted.
func tracked(_ client.View, c client.Change) []engine.Key {
	if c.New == nil || c.New.GetNamespace() != metav1.NamespaceSystem || c.New.GetName() != tracking {
		return nil
	}
	return []engine.Key{{Resource: configMaps, Namespace: metav1.NamespaceSystem, Name: tracking}}
}

// look is one look at all tokens.
type look struct {
	view        client.View
	now, before time.Time                  // before: what was last used, or marked, before that day is over
	mounted     map[string]map[string]bool // by namespace, the secrets that pods refer to
}

// writes mark tokens that are not used and delete those that were marked long ago, side by side.
func (l look) writes() (list []engine.Write) {
	last := l.before.Format(time.DateOnly)
	for obj := range l.view.List(secrets, "") {
		s, ok := obj.(*corev1.Secret)
		if !ok || !l.unused(s, last) || !l.listed(s) || l.pods(s.Namespace)[s.Name] {
			continue
		}
		marked := s.Labels[invalidSince]
		switch _, err := time.Parse(time.DateOnly, marked); {
		case err != nil:
			today := map[string]any{invalidSince: l.now.Format(time.DateOnly)}
			list = append(list, engine.NewPatch(secrets, s, map[string]any{"metadata": map[string]any{"labels": today}}))
		case marked < last:
			list = append(list, engine.NewDelete(secrets, s, "").AsSeen(s))
		}
	}
	for i := range list {
		list[i].Batch = 1
	}
	return list
}

// unused says whether a secret is a token, older than the period, that was not used on the day last nor later.
func (l look) unused(s *corev1.Secret, last string) bool {
	if s.Type != corev1.SecretTypeServiceAccountToken || !s.CreationTimestamp.Time.Before(l.before) || s.DeletionTimestamp != nil {
		return false
	}
	used, ok := s.Labels[lastUsed]
	if !ok {
		return true
	}
	_, err := time.Parse(time.DateOnly, used)
	return err == nil && used < last
}

// listed says whether the account of a secret lists it.
func (l look) listed(s *corev1.Secret) bool {
	account, ok := l.view.Get(accounts, s.Namespace, s.Annotations[corev1.ServiceAccountNameKey]).(*corev1.ServiceAccount)
	if uid := types.UID(s.Annotations[corev1.ServiceAccountUIDKey]); !ok || uid != "" && uid != account.UID {
		return false
	}
	return slices.ContainsFunc(account.Secrets, func(r corev1.ObjectReference) bool { return r.Name == s.Name })
}

// pods are the secrets that pods of a namespace refer to.
func (l look) pods(namespace string) map[string]bool {
	if names, ok := l.mounted[namespace]; ok {
		return names
	}
	names := map[string]bool{}
	for obj := range l.view.List(pods, namespace) {
		if pod, ok := obj.(*corev1.Pod); ok {
			for name := range podspec.Secrets(pod) {
				names[name] = true
			}
		}
	}
	l.mounted[namespace] = names
	return names
}
