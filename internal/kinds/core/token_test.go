package core

import (
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
)

// onePod sees one pod, under any name.
type onePod struct {
	kinds.Reader
	*corev1.Pod
}

func (o onePod) Get(schema.GroupVersionResource, string, string) kinds.Object { return o.Pod }

// TestLivesOfTokens: a pod's token whose life is that of admission is extended, beyond what others may live, and the trail is told which token it is.
func TestLivesOfTokens(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, c := range []struct {
		name       string
		tokens     kinds.Tokens
		pod        bool
		asked      int64
		life, warn time.Duration
		warnings   int
	}{
		{"as asked", kinds.Tokens{}, true, 7200, 2 * time.Hour, 0, 0},
		{"shortened", kinds.Tokens{MaxLife: time.Hour}, true, 7200, time.Hour, 0, 1},
		{"extended", kinds.Tokens{Extend: year}, true, 3607, year, 3607 * time.Second, 0},
		{"extended beyond the most", kinds.Tokens{Extend: year, MaxLife: 2 * time.Hour}, true, 3607, year, 3607 * time.Second, 0},
		{"extended to what the signer can", kinds.Tokens{Extend: 24 * time.Hour, MaxLife: 24 * time.Hour}, true, 3607, 24 * time.Hour, 3607 * time.Second, 0},
		{"shortened, so not extended", kinds.Tokens{Extend: year, MaxLife: time.Hour}, true, 3607, time.Hour, 0, 1},
		{"of no pod", kinds.Tokens{Extend: year}, false, 3607, 3607 * time.Second, 0, 0},
		{"another life", kinds.Tokens{Extend: year}, true, 3608, 3608 * time.Second, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.tokens.Audiences = []string{"here"}
			request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &c.asked}}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p", UID: "u"}, Spec: corev1.PodSpec{ServiceAccountName: "robot"}}
			if c.pod {
				request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "p"}
			}
			var wish kinds.TokenWish
			call := kinds.Call{Tokens: c.tokens, See: onePod{Pod: pod}, Issue: func(w kinds.TokenWish) (kinds.Token, error) {
				wish = w
				return kinds.Token{Text: "text", ID: "7"}, nil
			}}
			effect, err := createToken(kinds.Env{Now: time.Unix(1_800_000_000, 0)}, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "robot"}}, request, call)
			if err != nil {
				t.Fatal(err)
			}
			if wish.Life != c.life || wish.WarnAfter != c.warn || len(effect.Warnings) != c.warnings {
				t.Errorf("lives for %v, late after %v, %q; want %v, %v and %d warnings", wish.Life, wish.WarnAfter, effect.Warnings, c.life, c.warn, c.warnings)
			}
			if got := effect.Remarks["authentication.kubernetes.io/issued-credential-id"]; got != "JTI=7" {
				t.Errorf("the trail is told of %q", got)
			}
		})
	}
}
