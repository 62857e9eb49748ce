package bootstrap

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/kinds/apiregistration"
)

var apiServices = apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")

// registerServed makes the API services of what this server answers for itself. Their label says how far they are kept:
//
//	label      as the server starts                               later
//	none       an administrator's own: left                       left
//	onstart    made, put back, removed when it is not served      left, deleted or changed as it may be
//	true       as onstart                                         removed when it is not served
//
// The start is over when all has been done once.
func (b *Bootstrap) registerServed(ctx context.Context) error {
	view, err := b.Client.View(ctx)
	if err != nil {
		return err
	}
	var steps []func() error
	wanted := map[string]bool{}
	for _, gv := range b.Served {
		want := apiregistration.Local(gv)
		if want == nil || wanted[want.Name] {
			continue
		}
		wanted[want.Name] = true
		if b.registered {
			continue
		}
		if found, ok := view.Get(apiServices, "", want.Name).(*apiregistrationv1.APIService); !ok {
			steps = append(steps, func() error { return b.create(ctx, apiServices, want) })
		} else if managed(found, apiregistration.ManagedOnStart, apiregistration.ManagedAlways) && !equality.Semantic.DeepEqual(found.Spec, want.Spec) {
			next := found.DeepCopy()
			next.Spec = want.Spec
			steps = append(steps, func() error { return b.replace(ctx, apiServices, next) })
		}
	}
	spurious := []string{apiregistration.ManagedAlways}
	if !b.registered {
		spurious = append(spurious, apiregistration.ManagedOnStart)
	}
	for obj := range view.List(apiServices, "") {
		if svc := obj.(*apiregistrationv1.APIService); !wanted[svc.Name] && managed(svc, spurious...) {
			steps = append(steps, func() error { return b.remove(ctx, apiServices, svc) })
		}
	}
	if err := together(steps...); err != nil {
		return err
	}
	b.registered = true
	return nil
}

// managed says whether a server makes svc by itself, at one of these times.
func managed(svc *apiregistrationv1.APIService, times ...string) bool {
	return slices.Contains(times, svc.Labels[apiregistration.Managed])
}
