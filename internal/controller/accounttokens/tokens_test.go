package accounttokens_test

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/accounttokens"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

var (
	secrets  = corev1.SchemeGroupVersion.WithResource("secrets")
	accounts = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
)

func issue(a *corev1.ServiceAccount, s *corev1.Secret) (string, error) {
	return fmt.Sprintf("%s/%s/%s of %s", a.Namespace, a.Name, a.UID, s.Name), nil
}

func account(name string, list ...string) *corev1.ServiceAccount {
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	for _, s := range list {
		a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: s})
	}
	return a
}

func secret(name, account string) *corev1.Secret {
	return &corev1.Secret{Type: corev1.SecretTypeServiceAccountToken, ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account},
	}}
}

func newBed(t *testing.T, seed int64) *bed.Bed {
	b := bed.New(t, seed)
	b.Sim.Add(accounttokens.New(issue, []byte("PEM")))
	return b
}

func get(b *bed.Bed, name string) *corev1.Secret {
	return bed.Get[*corev1.Secret](b, secrets, "default", name)
}

func TestSecretsAreFilled(t *testing.T) {
	b := newBed(t, 1)
	a := b.Put(accounts, account("a"))
	b.Put(secrets, secret("s", "a"))
	b.Put(secrets, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "plain", Annotations: map[string]string{corev1.ServiceAccountNameKey: "nobody"}}})
	want := func(what, namespace, token string) {
		t.Helper()
		b.Settle()
		got := get(b, "s")
		if got == nil || string(got.Data["ca.crt"]) != "PEM" || string(got.Data["namespace"]) != namespace || string(got.Data["token"]) != token ||
			got.Annotations[corev1.ServiceAccountUIDKey] != string(a.GetUID()) {
			t.Errorf("%s: %+v", what, got)
		}
	}
	token := fmt.Sprintf("default/a/%s of s", a.GetUID())
	change := func(f func(*corev1.Secret)) { bed.Change(b, secrets, "default", "s", "", f) }
	want("new", "default", token)
	change(func(s *corev1.Secret) { s.Data["token"] = []byte("theirs") })
	want("with another token", "default", "theirs")
	change(func(s *corev1.Secret) { s.Data["namespace"] = []byte("other"); delete(s.Data, "token") })
	want("without its token", "other", token)
	change(func(s *corev1.Secret) { s.Data["ca.crt"] = []byte("another") })
	want("with another authority", "other", token)
	change(func(s *corev1.Secret) { s.Data = nil })
	want("emptied", "default", token)
	if s := get(b, "plain"); s == nil || len(s.Data) > 0 {
		t.Errorf("a secret of another type was touched: %+v", s)
	}
}

func TestSecretsGoWithTheirAccount(t *testing.T) {
	b := newBed(t, 1)
	b.Put(accounts, account("a"))
	b.Put(secrets, secret("s", "a"))
	b.Settle()
	b.Remove(accounts, "default", "a")
	b.Put(accounts, account("a")) // another of the same name
	b.Settle()
	if s := get(b, "s"); s != nil {
		t.Errorf("the secret of an account that is gone: %+v", s)
	}
	b.Put(secrets, secret("s", "a"))
	b.Put(secrets, secret("lost", "nobody"))
	b.Settle()
	if s := get(b, "s"); s == nil || len(s.Data["token"]) == 0 {
		t.Errorf("the new account's secret: %+v", s)
	}
	if s := get(b, "lost"); s != nil {
		t.Errorf("the secret of nobody: %+v", s)
	}
}

func TestListsForgetSecrets(t *testing.T) {
	b := newBed(t, 1)
	b.Put(accounts, account("a", "s", "mine"))
	b.Put(secrets, secret("s", "a"))
	b.Settle()
	b.Remove(secrets, "default", "s")
	b.Settle()
	if got := bed.Get[*corev1.ServiceAccount](b, accounts, "default", "a").Secrets; len(got) != 1 || got[0].Name != "mine" {
		t.Errorf("the account lists %v", got)
	}
}

func TestNoTokenCanBeMade(t *testing.T) {
	b := bed.New(t, 1)
	b.Put(accounts, account("a"))
	s := b.Put(secrets, secret("s", "a"))
	view, err := b.Client.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("no key")
	ctl := accounttokens.New(func(*corev1.ServiceAccount, *corev1.Secret) (string, error) { return "", cause }, nil)
	_, err = ctl.Reconcile(view, engine.Key{Resource: secrets, Namespace: "default", Name: "s", UID: s.GetUID()}, b.Clock.Now())
	if !errors.Is(err, cause) || err.Error() != "secret default/s: token of service account a: no key" {
		t.Error(err)
	}
}

// TestRandomRuns: in the end each token secret has its account's token, and none is left without its account.
func TestRandomRuns(t *testing.T) {
	for seed := range int64(12) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			b := newBed(t, seed)
			b.Chance(200, func() {
				a, s := fmt.Sprintf("a%d", b.Rand.Intn(2)), fmt.Sprintf("s%d", b.Rand.Intn(3))
				switch b.Rand.Intn(4) {
				case 0:
					if bed.Get[*corev1.ServiceAccount](b, accounts, "default", a) == nil {
						b.Put(accounts, account(a))
					} else {
						b.Remove(accounts, "default", a)
					}
				case 1:
					b.Remove(secrets, "default", s)
				default:
					if get(b, s) == nil {
						b.Put(secrets, secret(s, a))
					}
				}
			})
			for n := range 3 {
				s := get(b, fmt.Sprintf("s%d", n))
				if s == nil {
					continue
				}
				a := bed.Get[*corev1.ServiceAccount](b, accounts, "default", s.Annotations[corev1.ServiceAccountNameKey])
				if a == nil {
					t.Errorf("%s is left without its account", s.Name)
				} else if want, _ := issue(a, s); string(s.Data["token"]) != want {
					t.Errorf("%s holds %q, want %q", s.Name, s.Data["token"], want)
				}
			}
		})
	}
}
