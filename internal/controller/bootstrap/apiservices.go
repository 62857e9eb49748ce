package bootstrap

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/kinds/apiregistration"
)

var apiServices = apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")

// registerServed makes the API services of what this server answers for itself. Their label says how far they are kept:
//
//	label      as the server starts                               later
//	none       an administrator's own: left                       left
//	onstart    made, put back, removed when it is not served      left, deleted or changed as it may be
//	true       as onstart                                         made, put back, removed when it is not served
//
// The start is over when all has been done once. Those of custom resources are labelled true, all others onstart.
func (b *Bootstrap) registerServed(ctx context.Context) error {
	view, err := b.Client.View(ctx)
	if err != nil {
		return err
	}
	var steps []func() error
	wanted := map[string]bool{}
	for _, want := range b.wantedServices() {
		if wanted[want.Name] {
			continue
		}
		wanted[want.Name] = true
		if b.registered && !managed(want, apiregistration.ManagedAlways) {
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

// wantedServices are the API services of what is built in, and of what definitions of custom resources add now.
func (b *Bootstrap) wantedServices() (list []*apiregistrationv1.APIService) {
	for _, gv := range b.Served {
		if want := apiregistration.Local(gv); want != nil {
			list = append(list, want)
		}
	}
	added, _ := b.added()
	for _, gv := range added {
		list = append(list, apiregistration.Custom(gv))
	}
	return list
}

// added is Config.Added, where there is any.
func (b *Bootstrap) added() ([]schema.GroupVersion, <-chan struct{}) {
	if b.Added == nil {
		return nil, nil
	}
	return b.Added()
}

// managed says whether a server makes svc by itself, at one of these times.
func managed(svc *apiregistrationv1.APIService, times ...string) bool {
	return slices.Contains(times, svc.Labels[apiregistration.Managed])
}
