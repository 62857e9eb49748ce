package bootstraptoken

import (
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/observe"
)

func TestCheck(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const id, half = "abcdef", "0123456789abcdef"
	good := map[string]string{"token-id": id, "token-secret": half, "usage-bootstrap-authentication": "true"}
	with := func(key, value string) map[string]string {
		data := maps.Clone(good)
		data[key] = value
		return data
	}
	for _, c := range []struct {
		name, token string
		data        map[string]string
		change      func(*corev1.Secret)
		want        []string // groups; nil: it is nobody's
	}{
		{"good", id + "." + half, good, nil, []string{"system:bootstrappers"}},
		{"groups", id + "." + half, with("auth-extra-groups", "system:bootstrappers:b,system:bootstrappers:a,system:bootstrappers:b"), nil,
			[]string{"system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:b"}},
		{"a group of others", id + "." + half, with("auth-extra-groups", "system:bootstrappers:b,system:masters"), nil, nil},
		{"a group that only begins well", id + "." + half, with("auth-extra-groups", "system:bootstrappers:a\nsystem:masters"), nil, nil},
		{"ends later", id + "." + half, with("expiration", "2026-01-02T03:04:06Z"), nil, []string{"system:bootstrappers"}},
		{"has ended", id + "." + half, with("expiration", "2026-01-02T03:04:05Z"), nil, nil},
		{"ends nobody knows when", id + "." + half, with("expiration", "tomorrow"), nil, nil},
		{"another half", id + ".0123456789abcdee", good, nil, nil},
		{"no half", id + ".", with("token-secret", ""), nil, nil},
		{"another id", "abcdeg." + half, good, nil, nil},
		{"another id in the secret", id + "." + half, with("token-id", "abcdeg"), nil, nil},
		{"for something else", id + "." + half, with("usage-bootstrap-authentication", "false"), nil, nil},
		{"of another type", id + "." + half, good, func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, nil},
		{"being deleted", id + "." + half, good, func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: now} }, nil},
		{"capitals", "ABCDEF." + half, good, nil, nil},
		{"more", id + "." + half + "0", good, nil, nil},
		{"a path", "../../." + half, good, nil, nil},
	} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-" + id}, Type: "bootstrap.kubernetes.io/token", Data: map[string][]byte{}}
		for key, value := range c.data {
			secret.Data[key] = []byte(value)
		}
		if c.change != nil {
			c.change(secret)
		}
		checker := New(func(name string) *corev1.Secret {
			if name != secret.Name {
				return nil
			}
			return secret
		}, clocktesting.NewFakePassiveClock(now), observe.Discard())
		got, ok, err := checker.Check(t.Context(), c.token, nil)
		if err != nil || ok != (c.want != nil) || ok && (got.User.Name != "system:bootstrap:"+id || !slices.Equal(got.User.Groups, c.want)) {
			t.Errorf("%s: got %v, %v, %v; want %v", c.name, got, ok, err, c.want)
		}
	}
}
