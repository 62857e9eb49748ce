package bootstraptoken_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cluster-bootstrap/token/jws"

	"github.com/floe-k8s/floe/internal/controller/bootstraptoken"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
)

var (
	secrets    = corev1.SchemeGroupVersion.WithResource("secrets")
	configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")
	spaces     = corev1.SchemeGroupVersion.WithResource("namespaces")
)

const hidden = "0123456789abcdef"

// token may sign, and ends at a time; zero: never.
func token(id string, end time.Time) *corev1.Secret {
	s := &corev1.Secret{Type: "bootstrap.kubernetes.io/token", ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-" + id}, Data: map[string][]byte{
		"token-id": []byte(id), "token-secret": []byte(hidden), "usage-bootstrap-signing": []byte("true"),
	}}
	if !end.IsZero() {
		s.Data["expiration"] = []byte(end.Format(time.RFC3339))
	}
	return s
}

func signatures(b *bed.Bed) (list []string) {
	for key := range bed.Get[*corev1.ConfigMap](b, configMaps, "kube-public", "cluster-info").Data {
		if id, ok := strings.CutPrefix(key, "jws-kubeconfig-"); ok {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}

func TestSigner(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(bootstraptoken.Signer())
	b.Put(spaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-public"}})
	b.Put(configMaps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "cluster-info"}, Data: map[string]string{
		"kubeconfig": "a", "more": "b", "jws-kubeconfig-zzzzzz": "of nobody",
	}})
	want := func(what string, ids ...string) {
		t.Helper()
		b.Settle()
		if got := signatures(b); !slices.Equal(got, ids) {
			t.Errorf("%s: signed by %v, want %v", what, got, ids)
		}
		data := bed.Get[*corev1.ConfigMap](b, configMaps, "kube-public", "cluster-info").Data
		for _, id := range ids {
			if !jws.DetachedTokenIsValid(data["jws-kubeconfig-"+id], data["kubeconfig"], id, hidden) {
				t.Errorf("%s: upstream does not take the signature by %s", what, id)
			}
		}
		if data["more"] != "b" {
			t.Errorf("%s: %v", what, data)
		}
	}
	want("no tokens")
	b.Put(secrets, token("abcdef", time.Time{}))
	b.Put(secrets, token("tokens", b.Clock.Now().Add(24*time.Hour)))
	for id, change := range map[string]func(*corev1.Secret){
		"noname": func(s *corev1.Secret) { s.Data["token-id"] = []byte("others") },
		"silent": func(s *corev1.Secret) { delete(s.Data, "token-secret") },
		"unused": func(s *corev1.Secret) { s.Data["usage-bootstrap-signing"] = []byte("yes") },
		"passed": func(s *corev1.Secret) { s.Data["expiration"] = []byte("2025-01-01T00:00:00Z") },
		"unread": func(s *corev1.Secret) { s.Data["expiration"] = []byte("tomorrow") },
		"Letter": func(s *corev1.Secret) { s.Name = "bootstrap-token-letter" },
		"others": func(s *corev1.Secret) { s.Namespace = "default" },
		"opaque": func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque },
	} {
		s := token(id, time.Time{})
		s.Name = strings.ToLower(s.Name)
		change(s)
		b.Put(secrets, s)
	}
	want("some tokens", "abcdef", "tokens")
	bed.Change(b, configMaps, "kube-public", "cluster-info", "", func(m *corev1.ConfigMap) { m.Data["kubeconfig"] = "another" })
	want("another file", "abcdef", "tokens")
	b.Clock.Step(25 * time.Hour)
	want("one has ended", "abcdef")
	b.Remove(secrets, "kube-system", "bootstrap-token-abcdef")
	want("the other is gone")
	b.Put(secrets, token("abcdef", time.Time{}))
	bed.Change(b, configMaps, "kube-public", "cluster-info", "", func(m *corev1.ConfigMap) {
		delete(m.Data, "kubeconfig")
		for id := range m.Data {
			if strings.HasPrefix(id, "jws-") {
				delete(m.Data, id)
			}
		}
	})
	want("no file")
}

func TestCleaner(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(bootstraptoken.Cleaner())
	now := b.Clock.Now()
	b.Put(secrets, token("soonno", now.Add(24*time.Hour)))
	b.Put(secrets, token("always", time.Time{}))
	b.Put(secrets, token("passed", now.Add(-time.Second)))
	unread := token("unread", time.Time{})
	unread.Data["expiration"] = []byte("tomorrow")
	b.Put(secrets, unread)
	opaque := token("opaque", now.Add(-time.Second))
	opaque.Type = corev1.SecretTypeOpaque
	b.Put(secrets, opaque)
	want := func(what string, ids ...string) {
		t.Helper()
		b.Settle()
		for _, id := range []string{"soonno", "always", "passed", "unread", "opaque"} {
			if there := bed.Get[*corev1.Secret](b, secrets, "kube-system", "bootstrap-token-"+id) != nil; there != slices.Contains(ids, id) {
				t.Errorf("%s: %s is there: %v", what, id, there)
			}
		}
	}
	want("now", "soonno", "always", "opaque")
	b.Clock.Step(24 * time.Hour)
	want("a day later", "always", "opaque")
}
