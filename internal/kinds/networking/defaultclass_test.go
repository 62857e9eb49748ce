package networking_test

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/networking"
)

func TestIngressesGetTheDefaultClass(t *testing.T) {
	class := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "d", Annotations: map[string]string{"ingressclass.kubernetes.io/is-default-class": "true"}}}
	there := kindtest.Objects{networkingv1.SchemeGroupVersion.WithResource("ingressclasses"): {"/d": class, "/e": &networkingv1.IngressClass{}}}
	mine := "mine"
	for name, c := range map[string]struct {
		in   *networkingv1.Ingress
		want string
	}{
		"none":    {&networkingv1.Ingress{}, "d"},
		"a field": {&networkingv1.Ingress{Spec: networkingv1.IngressSpec{IngressClassName: &mine}}, "mine"},
		"a note":  {&networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"kubernetes.io/ingress.class": "x"}}}, ""},
	} {
		if err := kindtest.Admit(networking.Ingress(), c.in, nil, there); err != nil {
			t.Fatal(err)
		}
		got := ""
		if c.in.Spec.IngressClassName != nil {
			got = *c.in.Spec.IngressClassName
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
