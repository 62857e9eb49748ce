package externalips_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/externalips"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

func TestNoNewAddresses(t *testing.T) {
	service := func(ips ...string) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{ExternalIPs: ips}}
	}
	const refusal = `services "web" is forbidden: Use of external IPs is denied by admission control`
	for _, c := range []struct {
		next, old *corev1.Service
		want      string
	}{
		{service(), nil, ""},
		{service("1.2.3.4"), nil, refusal},
		{service("1.2.3.4"), service("1.2.3.4", "5.6.7.8"), ""},
		{service("1.2.3.4", "5.6.7.8"), service("1.2.3.4"), refusal},
	} {
		k := core.Service(core.ServiceNetwork{})
		a := &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Name: "web", Object: c.next}
		if c.old != nil {
			a.Operation, a.Old = admission.Update, c.old
		}
		got := ""
		if err := externalips.New().Validate(context.Background(), a); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: got %q, want %q", c.next.Spec.ExternalIPs, got, c.want)
		}
	}
}
