package discovery

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// sliceWarnings are not for what controllers make of services: who wrote those addresses is told with them.
func sliceWarnings(obj, old kinds.Object) (list []string) {
	s := obj.(*discoveryv1.EndpointSlice)
	if s.AddressType == discoveryv1.AddressTypeFQDN && old == nil {
		list = append(list, "spec.addressType: FQDN endpoints are deprecated")
	}
	switch s.Labels[discoveryv1.LabelManagedBy] {
	case "endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io":
		return list
	}
	for i, e := range s.Endpoints {
		for j, ip := range e.Addresses {
			list = append(list, utilvalidation.GetWarningsForIP(field.NewPath("endpoints").Index(i).Child("addresses").Index(j), ip)...)
		}
	}
	return list
}
