package serviceaccount_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/serviceaccount"
)

var (
	accounts = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
	spaces   = corev1.SchemeGroupVersion.WithResource("namespaces")
)

func space(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func TestDefaultAccount(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(serviceaccount.New())
	b.Put(spaces, space("n"))
	b.Settle()
	first := bed.Get[*corev1.ServiceAccount](b, accounts, "n", "default")
	if first == nil || bed.Get[*corev1.ServiceAccount](b, accounts, "kube-system", "default") == nil {
		t.Fatal("a namespace has no default account")
	}
	bed.Change(b, accounts, "n", "default", "", func(a *corev1.ServiceAccount) { a.Labels = map[string]string{"mine": "yes"} })
	b.Settle()
	if got := bed.Get[*corev1.ServiceAccount](b, accounts, "n", "default"); got.UID != first.UID || got.Labels["mine"] != "yes" {
		t.Errorf("an account that is there was touched: %v", got)
	}
	b.Remove(accounts, "n", "default")
	b.Settle()
	if got := bed.Get[*corev1.ServiceAccount](b, accounts, "n", "default"); got == nil || got.UID == first.UID {
		t.Errorf("the account was not made anew: %v", got)
	}
	b.Remove(spaces, "", "n") // its finalizer holds it
	b.Remove(accounts, "n", "default")
	b.Settle()
	if got := bed.Get[*corev1.ServiceAccount](b, accounts, "n", "default"); got != nil {
		t.Errorf("a namespace that is being deleted got %v", got)
	}
}

// TestRandomRuns: wherever the controller stops, in the end every active namespace has its account, and one that goes has none that nobody made.
func TestRandomRuns(t *testing.T) {
	for seed := range int64(15) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			b := bed.New(t, seed)
			b.Sim.Add(serviceaccount.New())
			b.Chance(200, func() {
				name := fmt.Sprintf("n%d", b.Rand.Intn(3))
				switch have := bed.Get[*corev1.Namespace](b, spaces, "", name); {
				case have == nil:
					b.Put(spaces, space(name))
				case b.Rand.Intn(2) == 0:
					b.Remove(accounts, name, "default")
				case have.DeletionTimestamp == nil:
					b.Remove(spaces, "", name)
				default:
					b.Remove(accounts, name, "default")
					bed.Change(b, spaces, "", name, "finalize", func(ns *corev1.Namespace) { ns.Spec.Finalizers = nil })
				}
			})
			view, err := b.Client.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for ns := range view.List(spaces, "") {
				if ns.GetDeletionTimestamp() == nil && view.Get(accounts, ns.GetName(), "default") == nil {
					t.Errorf("%s has no account", ns.GetName())
				}
			}
			for a := range view.List(accounts, "") {
				if view.Get(spaces, "", a.GetNamespace()) == nil {
					t.Errorf("an account is in %s, which is gone", a.GetNamespace())
				}
			}
		})
	}
}
