package apiservice_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/controller/apiservice"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/pki"
)

// TestTell: servers are told whom to believe, as JSON lists and PEM, besides what others told; what has expired is not told.
func TestTell(t *testing.T) {
	b := bed.New(t, 1)
	configMaps := corev1.SchemeGroupVersion.WithResource("configmaps")
	authority := func() (*x509.Certificate, string) {
		a, err := pki.Open(t.TempDir(), b.Clock)
		if err != nil {
			t.Fatal(err)
		}
		return a.Certificate(), string(a.CertPEM())
	}
	clients, clientsPEM := authority()
	proxies, proxiesPEM := authority()
	_, foreignPEM := authority()
	trust := apiservice.Trust{
		Clients: []*x509.Certificate{clients}, Proxies: []*x509.Certificate{proxies}, Names: []string{"front"},
		Users: []string{"X-Remote-User"}, Groups: []string{"X-Remote-Group"}, ExtraPrefixes: []string{"X-Remote-Extra-"},
	}
	ctl := apiservice.Tell(func() apiservice.Trust { return trust })
	look := func() map[string]string {
		t.Helper()
		plan := b.Reconcile(ctl, engine.Key{}, b.Clock.Now())
		for _, w := range plan.Writes {
			if w.Verb == engine.Create {
				b.Put(w.Resource, w.Object)
			} else if _, err := b.Client.Update(t.Context(), w.Resource, w.Object, w.Subresource); err != nil {
				t.Fatal(err)
			}
		}
		return bed.Get[*corev1.ConfigMap](b, configMaps, "kube-system", "extension-apiserver-authentication").Data
	}
	want := func(what string, got, want map[string]string) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("%s: %d keys, want %d: %v", what, len(got), len(want), got)
		}
		for key, text := range want {
			if got[key] != text {
				t.Errorf("%s: %s is %q, want %q", what, key, got[key], text)
			}
		}
	}
	told := map[string]string{
		"client-ca-file": clientsPEM, "requestheader-client-ca-file": proxiesPEM, "requestheader-allowed-names": `["front"]`,
		"requestheader-username-headers": `["X-Remote-User"]`, "requestheader-group-headers": `["X-Remote-Group"]`, "requestheader-extra-headers-prefix": `["X-Remote-Extra-"]`,
	}
	want("at first", look(), told)
	bed.Change(b, configMaps, "kube-system", "extension-apiserver-authentication", "", func(m *corev1.ConfigMap) {
		m.Data["client-ca-file"] = foreignPEM
		m.Data["requestheader-allowed-names"] = `["theirs","front"]`
		delete(m.Data, "requestheader-group-headers")
	})
	trust.UIDs = []string{"X-Remote-Uid"}
	told["client-ca-file"], told["requestheader-allowed-names"], told["requestheader-uid-headers"] = foreignPEM+clientsPEM, `["theirs","front"]`, `["X-Remote-Uid"]`
	want("beside others", look(), told)
	if plan := b.Reconcile(ctl, engine.Key{}, b.Clock.Now()); len(plan.Writes) != 0 || plan.After != time.Minute {
		t.Errorf("written without need, or never looked at again: %+v", plan)
	}
	b.Clock.Step(11 * 365 * 24 * time.Hour)
	want("all expired", look(), map[string]string{})
	bed.Change(b, configMaps, "kube-system", "extension-apiserver-authentication", "", func(m *corev1.ConfigMap) { m.Data = map[string]string{"client-ca-file": "x"} })
	view, err := b.Client.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ctl.Reconcile(view, engine.Key{}, b.Clock.Now()); err == nil || !strings.Contains(err.Error(), "client-ca-file") {
		t.Errorf("garbage: %v", err)
	}
}
