package admission_test

import (
	"context"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds/coordination"
)

// busy is a chain of as many plug-ins as a server has, which pass everything, and the wish to renew a lease.
func busy(metrics *admission.Metrics) (admission.Chain, *admission.Attributes) {
	pass := func(context.Context, *admission.Attributes) error { return nil }
	var list []admission.Plugin
	for i, name := range admission.Order() {
		p := admission.Plugin{Name: name}
		if i%2 == 0 {
			p.Admit = pass
		} else {
			p.Validate = pass
		}
		list = append(list, p)
	}
	k := coordination.Lease()
	off := []string{"AlwaysAdmit", "AlwaysPullImages", "ImagePolicyWebhook", "EventRateLimit", "PodNodeSelector", "PodTolerationRestriction", "AlwaysDeny"}
	return admission.NewChain(list, off, metrics),
		&admission.Attributes{Operation: admission.Update, Kind: k, Type: k.GVK, Object: &coordinationv1.Lease{}, Old: &coordinationv1.Lease{}}
}

func BenchmarkChain(b *testing.B) {
	for name, metrics := range map[string]*admission.Metrics{"without metrics": nil, "with metrics": admission.NewMetrics(clock.RealClock{})} {
		chain, a := busy(metrics)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if chain.Admit(context.Background(), a) != nil || chain.Validate(context.Background(), a) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
