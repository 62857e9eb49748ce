package wire

import (
	"slices"
	"strings"
	"sync"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"github.com/floe-k8s/floe/internal/api/aggregate"
	"github.com/floe-k8s/floe/internal/kinds/apiregistration"
)

// frontPlace is the place of apiregistration.k8s.io, which comes before all groups.
const frontPlace = 1 << 20

// place says where a group and version that this server answers for stands among all.
func place(gv schema.GroupVersion) (group, version int32) {
	if gv.Group == "apiregistration.k8s.io" {
		return frontPlace, 0
	}
	svc := apiregistration.Local(gv)
	if svc == nil {
		svc = apiregistration.Custom(gv)
	}
	return svc.Spec.GroupPriorityMinimum, svc.Spec.VersionPriority
}

// with is d that shows what others answer for, too, in place of whatever it showed of others before: groups by their places, of which the highest of their
// versions counts, and then by name. What this server answers for itself keeps its order.
func (d discovery) with(outside *aggregate.Added) discovery {
	d.shown, d.members, d.added = d.versions, d.groups, nil
	if outside != nil {
		d.members, d.added = map[string][]schema.GroupVersion{}, map[schema.GroupVersion]apidiscoveryv2.APIVersionDiscovery{}
		d.shown = d.merge(outside)
	}
	d.named = sync.OnceValue(func() aggregated { return d.aggregate(false) })
	return d
}

// merge fills d.members and d.added, and returns what is shown.
func (d discovery) merge(outside *aggregate.Added) (shown []schema.GroupVersion) {
	versions, groups, order := map[schema.GroupVersion]int32{}, map[string]int32{}, []string{}
	add := func(gv schema.GroupVersion, group, version int32) {
		versions[gv], groups[gv.Group] = version, max(group, groups[gv.Group])
		d.members[gv.Group] = append(d.members[gv.Group], gv)
	}
	for _, gv := range d.versions {
		if d.groups[gv.Group][0] == gv {
			order = append(order, gv.Group)
		}
		group, version := place(gv)
		add(gv, group, version)
	}
	for _, v := range outside.Versions {
		if d.kinds[v.GroupVersion] == nil {
			d.added[v.GroupVersion] = v.Discovery
			add(v.GroupVersion, v.GroupPlace, v.VersionPlace)
		}
	}
	for _, v := range outside.Versions {
		if _, ok := d.added[v.GroupVersion]; ok && !slices.Contains(order, v.Group) {
			order = slices.Insert(order, placeOf(order, groups, v.Group), v.Group)
		}
	}
	for _, group := range order {
		list := d.members[group]
		if len(list) > len(d.groups[group]) {
			slices.SortStableFunc(list, func(a, b schema.GroupVersion) int {
				if n := int(versions[b]) - int(versions[a]); n != 0 {
					return n
				}
				return -version.CompareKubeAwareVersionStrings(a.Version, b.Version)
			})
		}
		shown = append(shown, list...)
	}
	return shown
}

// placeOf is where a group comes in the order of the others.
func placeOf(order []string, places map[string]int32, group string) int {
	at := slices.IndexFunc(order, func(other string) bool {
		return other != "" && (places[other] < places[group] || places[other] == places[group] && strings.Compare(other, group) > 0)
	})
	if at < 0 {
		return len(order)
	}
	return at
}
