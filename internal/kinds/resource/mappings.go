package resource

import (
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// defaultMappings makes a device take of its node as much as there is of it, where it does not say another multiple.
func defaultMappings(m map[corev1.ResourceName]resourcev1.NodeAllocatableResourceMapping) {
	for name, mapping := range m {
		if mapping.AllocationMultiplier == nil {
			one := resource.MustParse("1")
			mapping.AllocationMultiplier = &one
			m[name] = mapping
		}
	}
}

// validateMappings checks what a device takes of its node's resources. It waits behind a gate: dropDisabled has taken it out, unless it was there.
func validateMappings(d *resourcev1.Device, at *field.Path) field.ErrorList {
	check := func(m resourcev1.NodeAllocatableResourceMapping, at *field.Path) (errs field.ErrorList) {
		many, key := m.AllocationMultiplier, m.CapacityKey
		if many == nil && key == nil {
			return field.ErrorList{field.Invalid(at, "", "at least one of allocationMultiplier or capacityKey must be set")}
		}
		if many != nil && many.Sign() <= 0 {
			errs = append(errs, field.Invalid(at.Child("allocationMultiplier"), many.String(), "must be positive"))
		}
		if key == nil {
			return errs
		}
		at = at.Child("capacityKey")
		if *key == "" {
			return append(errs, field.Invalid(at, "", "capacityKey must not be an empty string"))
		}
		if _, ok := d.Capacity[*key]; !ok {
			errs = append(errs, field.NotFound(at, *key))
		}
		return errs
	}
	name := func(name string, at *field.Path) field.ErrorList {
		if !strings.Contains(name, "/") || strings.Contains(name, corev1.ResourceDefaultNamespacePrefix) {
			return nil // a node's own
		}
		return field.ErrorList{field.Invalid(at.Key(name), corev1.ResourceName(name), "must be a node allocatable resource name")}
	}
	return entries(d.NodeAllocatableResourceMappings, -1, math.MaxInt, at, name, check)
}
