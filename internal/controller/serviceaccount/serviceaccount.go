// Package serviceaccount gives every active namespace the account that its pods run as when they name none.
//
// # Laws
//
//   - Every namespace whose phase is Active has the account "default": it is made when it is not there, and made anew when it was deleted.
//   - An account that is there is left as it is.
//   - Nothing is made in a namespace that is being deleted.
//
// # What it leaves to others
//
// Giving pods their account is admission's; tokens are made by the API, for pods, and by accounttokens, for secrets.
package serviceaccount

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

const account = "default"

var (
	accounts   = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
	namespaces = corev1.SchemeGroupVersion.WithResource("namespaces")
)

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "serviceaccount", Component: "serviceaccount-controller", User: "system:serviceaccount:kube-system:service-account-controller",
		Inputs:  []engine.Input{{Resource: namespaces, Keys: wanting}, {Resource: accounts, Keys: gone}},
		Outputs: []engine.Output{{Resource: accounts}},
		Reconcile: func(view client.View, k engine.Key, _ time.Time) (engine.Plan, error) {
			if !lacks(view, k.Name) {
				return engine.Plan{}, nil
			}
			made := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: k.Name, Name: account}}
			return engine.Plan{Writes: []engine.Write{engine.NewCreate(accounts, made)}}, nil
		},
	}
}

// lacks says whether a namespace is to be given an account.
func lacks(view client.View, name string) bool {
	ns, ok := view.Get(namespaces, "", name).(*corev1.Namespace)
	return ok && ns.Status.Phase == corev1.NamespaceActive && view.Get(accounts, name, account) == nil
}

// wanting is a namespace that has changed.
func wanting(view client.View, c client.Change) []engine.Key {
	if c.New == nil || !lacks(view, c.New.GetName()) {
		return nil
	}
	return []engine.Key{{Resource: namespaces, Name: c.New.GetName()}}
}

// gone is the namespace of an account that was deleted.
func gone(_ client.View, c client.Change) []engine.Key {
	if c.New != nil || c.Old.GetName() != account {
		return nil
	}
	return []engine.Key{{Resource: namespaces, Name: c.Old.GetNamespace()}}
}
