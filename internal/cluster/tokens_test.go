package cluster

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/pki"
)

// TestTokenSaysItsBindings: each object of a wish stands in the token, as the refusal without it shows.
func TestTokenSaysItsBindings(t *testing.T) {
	dir := t.TempDir()
	pem, err := pki.TokenKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pki.TokenKey(dir)
	if err != nil || string(again) != string(pem) {
		t.Fatalf("the key is not kept: %v", err)
	}
	signer, err := token.ParseSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Namespace: "default", Name: "a", UID: "u"}
	wish := kinds.TokenWish{Account: &corev1.ServiceAccount{ObjectMeta: meta}, Audiences: []string{"here"}, Now: time.Unix(1_800_000_000, 0), Life: time.Hour}
	for name, change := range map[string]func(*kinds.TokenWish){
		"pod":    func(w *kinds.TokenWish) { w.Pod = &corev1.Pod{ObjectMeta: meta} },
		"secret": func(w *kinds.TokenWish) { w.Secret = &corev1.Secret{ObjectMeta: meta} },
		"node":   func(w *kinds.TokenWish) { w.Node = &corev1.Node{ObjectMeta: meta} },
	} {
		w := wish
		change(&w)
		made, err := issue(token.NewIssuer("https://me", signer))(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		checker := token.NewChecker(token.Config{
			Issuers: []string{"https://me"}, Audiences: []string{"here"}, Keys: token.NewRing([]token.Key{signer.Key}), Objects: onlyAccount{wish.Account}, Clock: clocktesting.NewFakePassiveClock(wish.Now),
		})
		_, ok, err := checker.Check(t.Context(), made.Text, nil)
		if ok || err == nil || err.Error() != "service account token has been invalidated" {
			t.Errorf("bound to a %s that is not there: got %v, %v", name, ok, err)
		}
	}
}

var errNone = errors.New("there is none")

type onlyAccount struct{ account *corev1.ServiceAccount }

func (o onlyAccount) ServiceAccount(string, string) (*corev1.ServiceAccount, error) {
	return o.account, nil
}
func (onlyAccount) Pod(string, string) (*corev1.Pod, error)       { return nil, errNone }
func (onlyAccount) Secret(string, string) (*corev1.Secret, error) { return nil, errNone }
func (onlyAccount) Node(string) (*corev1.Node, error)             { return nil, errNone }
