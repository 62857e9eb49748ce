package networking

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// ServiceCIDR is networking.k8s.io/v1 ServiceCIDR: a range that services' addresses come from, or one of each family.
func ServiceCIDR() *kinds.Kind {
	gvk := networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR")
	return &kinds.Kind{
		GVK: gvk, Resource: "servicecidrs", Singular: "servicecidr",
		New:     func() kinds.Object { return &networkingv1.ServiceCIDR{} },
		NewList: func() runtime.Object { return &networkingv1.ServiceCIDRList{} },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			obj.(*networkingv1.ServiceCIDR).Status = networkingv1.ServiceCIDRStatus{}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			obj.(*networkingv1.ServiceCIDR).Status = *old.(*networkingv1.ServiceCIDR).Status.DeepCopy()
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) { // what may not change is not judged again
				return nil
			}
			return validateRanges(&obj.(*networkingv1.ServiceCIDR).Spec, field.NewPath("spec", "cidrs"))
		},
		ValidateUpdate: validateRangesUpdate,
		Columns: []kinds.Column{
			kinds.NameColumn(),
			column("CIDRs", networkingv1.ServiceCIDRSpec{}.SwaggerDoc()["cidrs"], func(c *networkingv1.ServiceCIDR) string { return strings.Join(c.Spec.CIDRs, ",") }),
			kinds.AgeColumn(),
		},
		Resets: []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"metadata", "spec"}, Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				obj.(*networkingv1.ServiceCIDR).Spec = *old.(*networkingv1.ServiceCIDR).Spec.DeepCopy()
				resetMeta(obj, old)
				return nil
			}},
		},
	}
}

func validateRanges(s *networkingv1.ServiceCIDRSpec, path *field.Path) (errs field.ErrorList) {
	switch {
	case len(s.CIDRs) == 0:
		return field.ErrorList{field.Required(path, "at least one CIDR required")}
	case len(s.CIDRs) > 2:
		return field.ErrorList{field.Invalid(path, untagged.Value(s), "may only hold up to 2 values")}
	}
	for i, text := range s.CIDRs {
		errs = append(errs, utilvalidation.IsValidCIDR(path.Index(i), text)...)
	}
	if len(s.CIDRs) == 2 {
		family := netutils.IPFamilyOfCIDRString(s.CIDRs[0])
		if family != netutils.IPFamilyUnknown && family == netutils.IPFamilyOfCIDRString(s.CIDRs[1]) {
			errs = append(errs, field.Invalid(path, s.CIDRs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"))
		}
	}
	return errs
}

// validateRangesUpdate lets one change pass: a second range beside the first, which makes the cluster dual-stack.
func validateRangesUpdate(obj, old kinds.Object) (errs field.ErrorList) {
	s, was, path := &obj.(*networkingv1.ServiceCIDR).Spec, &old.(*networkingv1.ServiceCIDR).Spec, field.NewPath("spec", "cidrs")
	grows := len(was.CIDRs) == 1 && len(s.CIDRs) == 2
	if !grows && len(s.CIDRs) != len(was.CIDRs) {
		return field.ErrorList{field.Invalid(path, s.CIDRs, "field is immutable")}
	}
	for i, text := range was.CIDRs {
		if s.CIDRs[i] != text {
			errs = append(errs, field.Invalid(path.Index(i), s.CIDRs[i], "field is immutable"))
		}
	}
	if grows {
		errs = append(errs, validateRanges(s, path)...)
	}
	return errs
}

// resetMeta keeps of old what an update of a status may not change.
func resetMeta(obj, old kinds.Object) {
	metav1.ResetObjectMetaForStatus(obj, old.DeepCopyObject().(kinds.Object))
}
