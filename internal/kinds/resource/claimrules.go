package resource

import (
	"fmt"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// requests are the names of a claim's requests, each with those of its alternatives.
type requests map[string]sets.Set[string]

func requestsOf(d *resourcev1.DeviceClaim) requests {
	names := requests{}
	for _, r := range d.Requests {
		names[r.Name] = nil
		for _, sub := range r.FirstAvailable {
			if names[r.Name] == nil {
				names[r.Name] = sets.New[string]()
			}
			names[r.Name].Insert(sub.Name)
		}
	}
	return names
}

// ref checks the name of a request, or of one of its alternatives after a slash.
func (r requests) ref(name *string, at *field.Path) (errs field.ErrorList) {
	const detail = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
	parts := strings.Split(*name, "/")
	if len(parts) > 2 {
		return field.ErrorList{field.Invalid(at, *name, detail)}
	}
	for _, part := range parts {
		errs = append(errs, label(part, at)...)
	}
	subs, ok := r[parts[0]]
	if !ok || len(parts) == 2 && !subs.Has(parts[1]) {
		errs = append(errs, field.Invalid(at, *name, detail))
	}
	return errs
}

func (r requests) refs(list []string, at *field.Path) field.ErrorList {
	return unique(list, resourcev1.DeviceRequestsMaxSize, at, itself, r.ref)
}

// validateClaimSpec checks what a claim asks for.
func validateClaimSpec(s *resourcev1.ResourceClaimSpec, at *field.Path) field.ErrorList {
	d, at := &s.Devices, at.Child("devices")
	names := requestsOf(d)
	errs := unique(d.Requests, resourcev1.DeviceRequestsMaxSize, at.Child("requests"), func(r *resourcev1.DeviceRequest) string { return r.Name }, validateRequest)
	errs = append(errs, each(d.Constraints, resourcev1.DeviceConstraintsMaxSize, at.Child("constraints"), func(c *resourcev1.DeviceConstraint, at *field.Path) field.ErrorList {
		errs := names.refs(c.Requests, at.Child("requests"))
		switch {
		case c.MatchAttribute != nil:
			return append(errs, fullyQualified(*c.MatchAttribute, at.Child("matchAttribute"))...)
		case c.DistinctAttribute != nil:
			return append(errs, fullyQualified(*c.DistinctAttribute, at.Child("distinctAttribute"))...)
		}
		return append(errs, field.Required(at, `exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set`))
	})...)
	return append(errs, each(d.Config, resourcev1.DeviceConfigMaxSize, at.Child("config"), func(c *resourcev1.DeviceClaimConfiguration, at *field.Path) field.ErrorList {
		return append(names.refs(c.Requests, at.Child("requests")), validateConfig(c.Opaque, false, at)...)
	})...)
}

func validateConfig(c *resourcev1.OpaqueDeviceConfiguration, stored bool, at *field.Path) field.ErrorList {
	at = at.Child("opaque")
	if c == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := volumespec.DriverName(c.Driver, at.Child("driver"))
	return append(errs, jsonObject(c.Parameters, resourcev1.OpaqueParametersMaxLength, stored, at.Child("parameters"))...)
}

// validateRequest checks one request: for exactly these devices, or for the first of several that can be had.
func validateRequest(r *resourcev1.DeviceRequest, at *field.Path) field.ErrorList {
	errs := label(r.Name, at.Child("name"))
	switch many := len(r.FirstAvailable) > 0; {
	case many && r.Exactly != nil:
		return append(errs, field.Invalid(at, nil, "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"))
	case many:
		return append(errs, unique(r.FirstAvailable, resourcev1.FirstAvailableDeviceRequestMaxSize, at.Child("firstAvailable"),
			func(s *resourcev1.DeviceSubRequest) string { return s.Name },
			func(s *resourcev1.DeviceSubRequest, at *field.Path) field.ErrorList {
				errs := label(s.Name, at.Child("name"))
				return append(errs, validateWish(s.DeviceClassName, s.Selectors, s.AllocationMode, s.Count, s.Tolerations, at)...)
			})...)
	case r.Exactly != nil:
		e := r.Exactly
		return append(errs, validateWish(e.DeviceClassName, e.Selectors, e.AllocationMode, e.Count, e.Tolerations, at.Child("exactly"))...)
	}
	return append(errs, field.Required(at, "exactly one of `exactly` or `firstAvailable` is required"))
}

func validateWish(class string, list []resourcev1.DeviceSelector, mode resourcev1.DeviceAllocationMode, count int64, tolerations []resourcev1.DeviceToleration, at *field.Path) (errs field.ErrorList) {
	if class == "" {
		errs = append(errs, field.Required(at.Child("deviceClassName"), ""))
	} else {
		errs = append(errs, invalid(at.Child("deviceClassName"), class, utilvalidation.IsDNS1123Subdomain(class))...)
	}
	errs = append(errs, selectors(list, false, at.Child("selectors"))...)
	switch mode {
	case resourcev1.DeviceAllocationModeAll:
		if count != 0 {
			errs = append(errs, field.Invalid(at.Child("count"), count, fmt.Sprintf("must not be specified when allocationMode is '%s'", mode)))
		}
	case resourcev1.DeviceAllocationModeExactCount:
		if count <= 0 {
			errs = append(errs, field.Invalid(at.Child("count"), count, "must be greater than zero"))
		}
	default:
		errs = append(errs, field.NotSupported(at.Child("allocationMode"), mode,
			[]resourcev1.DeviceAllocationMode{resourcev1.DeviceAllocationModeAll, resourcev1.DeviceAllocationModeExactCount}))
	}
	return append(errs, each(tolerations, -1, at.Child("tolerations"), validateToleration)...)
}

func validateToleration(t *resourcev1.DeviceToleration, at *field.Path) (errs field.ErrorList) {
	if t.Key != "" {
		errs = append(errs, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
	}
	switch t.Operator {
	case resourcev1.DeviceTolerationOpExists:
		if t.Value != "" {
			errs = append(errs, field.Invalid(at.Child("value"), t.Value, "must be empty for operator `Exists`"))
		}
	case resourcev1.DeviceTolerationOpEqual:
		errs = append(errs, invalid(at.Child("value"), t.Value, utilvalidation.IsValidLabelValue(t.Value))...)
	case "":
		errs = append(errs, field.Required(at.Child("operator"), ""))
	default:
		errs = append(errs, field.NotSupported(at.Child("operator"), t.Operator, []resourcev1.DeviceTolerationOperator{resourcev1.DeviceTolerationOpEqual, resourcev1.DeviceTolerationOpExists}))
	}
	if t.Effect != "" {
		errs = append(errs, validateEffect(t.Effect, at.Child("effect"))...)
	}
	return errs
}

func validateEffect(e resourcev1.DeviceTaintEffect, at *field.Path) field.ErrorList {
	switch e {
	case resourcev1.DeviceTaintEffectNoExecute, resourcev1.DeviceTaintEffectNoSchedule, resourcev1.DeviceTaintEffectNone:
		return nil
	case "":
		return field.ErrorList{field.Required(at, "")}
	}
	return field.ErrorList{field.NotSupported(at, e, []resourcev1.DeviceTaintEffect{resourcev1.DeviceTaintEffectNoExecute, resourcev1.DeviceTaintEffectNoSchedule, resourcev1.DeviceTaintEffectNone})}
}
