package apiregistration

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// Managed is the label of API services that a server makes by itself. Its value says when: as it starts, or always.
const (
	Managed        = "kube-aggregator.kubernetes.io/automanaged"
	ManagedOnStart = "onstart"
	ManagedAlways  = "true"
)

// groups are upstream's groups, each with its place among all (GroupPriorityMinimum) and the places of its versions (VersionPriority): clients that are not
// told a group or a version take the highest. Versions are here whether they are served or not.
var groups = map[string]struct {
	place    int32
	versions map[string]int32
}{
	"":                             {18000, map[string]int32{"v1": 1}},
	"apps":                         {17800, map[string]int32{"v1": 15}},
	"events.k8s.io":                {17750, map[string]int32{"v1": 15, "v1beta1": 5}},
	"authentication.k8s.io":        {17700, map[string]int32{"v1": 15, "v1beta1": 9, "v1alpha1": 1}},
	"authorization.k8s.io":         {17600, map[string]int32{"v1": 15}},
	"autoscaling":                  {17500, map[string]int32{"v1": 15, "v2": 30, "v2beta1": 9, "v2beta2": 1}},
	"batch":                        {17400, map[string]int32{"v1": 15, "v1beta1": 9, "v2alpha1": 9}},
	"certificates.k8s.io":          {17300, map[string]int32{"v1": 15, "v1beta1": 9, "v1alpha1": 1}},
	"networking.k8s.io":            {17200, map[string]int32{"v1": 15, "v1beta1": 9}},
	"policy":                       {17100, map[string]int32{"v1": 15, "v1beta1": 9}},
	"rbac.authorization.k8s.io":    {17000, map[string]int32{"v1": 15}},
	"storage.k8s.io":               {16800, map[string]int32{"v1": 15, "v1beta1": 9, "v1alpha1": 1}},
	"admissionregistration.k8s.io": {16700, map[string]int32{"v1": 15, "v1beta1": 12, "v1alpha1": 9}},
	"apiextensions.k8s.io":         {16700, map[string]int32{"v1": 15}},
	"scheduling.k8s.io":            {16600, map[string]int32{"v1": 15, "v1alpha2": 2}},
	"coordination.k8s.io":          {16500, map[string]int32{"v1": 15, "v1beta1": 13, "v1alpha2": 12}},
	"node.k8s.io":                  {16300, map[string]int32{"v1": 15, "v1beta1": 9, "v1alpha1": 1}},
	"discovery.k8s.io":             {16200, map[string]int32{"v1": 15, "v1beta1": 12}},
	"resource.k8s.io":              {16200, map[string]int32{"v1": 21, "v1beta2": 15, "v1beta1": 9, "v1alpha3": 1}},
	"flowcontrol.apiserver.k8s.io": {16100, map[string]int32{"v1": 21, "v1beta3": 18, "v1beta2": 15, "v1beta1": 12, "v1alpha1": 9}},
	"internal.apiserver.k8s.io":    {16000, map[string]int32{"v1alpha1": 9}},
	"storagemigration.k8s.io":      {15800, map[string]int32{"v1beta1": 9}},
}

// Local returns what a server makes of a group and version that it serves itself: a new object of the caller's. nil: there is none for it, as for
// apiregistration.k8s.io, which is served in front of all API services.
func Local(gv schema.GroupVersion) *apiregistrationv1.APIService {
	group := groups[gv.Group]
	version, ok := group.versions[gv.Version]
	if !ok {
		return nil
	}
	return &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: Name(gv.Group, gv.Version), Labels: map[string]string{Managed: ManagedOnStart}},
		Spec:       apiregistrationv1.APIServiceSpec{Group: gv.Group, Version: gv.Version, GroupPriorityMinimum: group.place, VersionPriority: version},
	}
}

// Upstream's places for what definitions of custom resources add: after everything that is built in, and versions by their names.
const (
	customGroupPlace   = 1000
	customVersionPlace = 100
)

// Custom returns what a server makes of a group and version that it serves because a definition of custom resources says so: a new object of the caller's.
func Custom(gv schema.GroupVersion) *apiregistrationv1.APIService {
	return &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: Name(gv.Group, gv.Version), Labels: map[string]string{Managed: ManagedAlways}},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: gv.Group, Version: gv.Version, GroupPriorityMinimum: customGroupPlace, VersionPriority: customVersionPlace,
		},
	}
}
