package claims

import (
	resourcev1 "k8s.io/api/resource/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Followed are the resources that Apply wants to hear of, in the order in which they should be listed.
func Followed() []client.Resource {
	return []client.Resource{resourcev1.SchemeGroupVersion.WithResource("deviceclasses"), resourcev1.SchemeGroupVersion.WithResource("resourceslices"), Resource()}
}

// Resource is that of claims.
func Resource() client.Resource { return resourcev1.SchemeGroupVersion.WithResource("resourceclaims") }

// Apply brings a change of an object of those to the rule; false for objects of other kinds.
func (r *Rule) Apply(object kinds.Object, gone bool) bool {
	switch o := object.(type) {
	case *resourcev1.ResourceClaim:
		if gone {
			r.RemoveClaim(o.Namespace, o.Name)
		} else {
			r.SetClaim(o)
		}
	case *resourcev1.DeviceClass:
		if gone {
			r.RemoveClass(o.Name)
		} else {
			r.SetClass(o)
		}
	case *resourcev1.ResourceSlice:
		if gone {
			r.RemoveSlice(o.Name)
		} else {
			r.SetSlice(o)
		}
	default:
		return false
	}
	return true
}
