package rootca_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/rootca"
)

var (
	configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")
	spaces     = corev1.SchemeGroupVersion.WithResource("namespaces")
)

const (
	name        = "kube-root-ca.crt"
	note        = "kubernetes.io/description"
	description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

func TestTheAuthorityIsTold(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(rootca.New([]byte("PEM")))
	b.Put(spaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	want := func(what, annotation string) {
		t.Helper()
		b.Settle()
		got := bed.Get[*corev1.ConfigMap](b, configMaps, "n", name)
		if got == nil || len(got.Data) != 1 || got.Data["ca.crt"] != "PEM" || len(got.BinaryData) != 0 || got.Annotations[note] != annotation {
			t.Errorf("%s: %v", what, got)
		}
	}
	change := func(f func(*corev1.ConfigMap)) { bed.Change(b, configMaps, "n", name, "", f) }
	want("a new namespace", description)
	change(func(m *corev1.ConfigMap) { m.Data["ca.crt"] = "theirs" })
	want("changed", description)
	change(func(m *corev1.ConfigMap) { m.Data["more"] = "theirs" })
	want("more", description)
	change(func(m *corev1.ConfigMap) { m.Annotations = nil })
	want("without its annotation", description)
	change(func(m *corev1.ConfigMap) { m.Annotations[note] = "mine" })
	want("with another annotation", "mine")
	b.Remove(configMaps, "n", name)
	want("deleted", description)
	before := bed.Get[*corev1.ConfigMap](b, configMaps, "n", name).ResourceVersion
	b.Sim.Add(rootca.New([]byte("PEM"))) // which begins with every namespace
	want("begun anew", description)
	if after := bed.Get[*corev1.ConfigMap](b, configMaps, "n", name).ResourceVersion; after != before {
		t.Errorf("written without need: %s, %s", before, after)
	}
	b.Remove(spaces, "", "n")
	b.Remove(configMaps, "n", name)
	b.Settle()
	if got := bed.Get[*corev1.ConfigMap](b, configMaps, "n", name); got != nil {
		t.Errorf("a namespace that is being deleted got %v", got)
	}
}
