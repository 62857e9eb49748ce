package bootstrap_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTokensAreTracked: the config map comes back, but not at once for ever, and keeps a date that can be read.
func TestTokensAreTracked(t *testing.T) {
	const name = "kube-apiserver-legacy-service-account-token-tracking"
	maps := corev1.SchemeGroupVersion.WithResource("configmaps")
	b := newBed(t, "10.0.0.0/16")
	since := func() string {
		t.Helper()
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		obj, err := b.Get(t.Context(), maps, "kube-system", name)
		if apierrors.IsNotFound(err) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		return obj.(*corev1.ConfigMap).Data["since"]
	}
	today := func() string { return b.Clock.Now().UTC().Format(time.DateOnly) }
	remove := func() {
		t.Helper()
		if _, err := b.Delete(t.Context(), maps, "kube-system", name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	first := today()
	if got := since(); got != first {
		t.Fatalf("got %q, want %q", got, first)
	}
	b.Clock.Step(48 * time.Hour)
	if got := since(); got != first {
		t.Errorf("two days later: got %q, want %q", got, first)
	}
	remove()
	if got := since(); got != today() {
		t.Errorf("removed: got %q, want %q", got, today())
	}
	remove()
	b.Clock.Step(29 * time.Minute)
	if got := since(); got != "" {
		t.Errorf("removed again within half an hour: got %q", got)
	}
	b.Clock.Step(time.Minute)
	if got := since(); got != today() {
		t.Errorf("removed again half an hour ago: got %q, want %q", got, today())
	}
	for _, data := range []map[string]string{nil, {"since": "yesterday"}} {
		if _, err := b.Update(t.Context(), maps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}, Data: data}, ""); err != nil {
			t.Fatal(err)
		}
		if got := since(); got != today() {
			t.Errorf("with %v: got %q, want %q", data, got, today())
		}
	}
}
