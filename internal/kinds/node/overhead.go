package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateOverhead checks what a pod costs besides its containers, in the order of the resources' names.
func validateOverhead(list corev1.ResourceList, path *field.Path) (errs field.ErrorList) {
	huge, computes := false, false
	for _, name := range slices.Sorted(maps.Keys(list)) {
		q, at := list[name], path.Child("limits").Key(string(name))
		errs = append(errs, resourceName(name, at)...)
		if q.Sign() < 0 {
			errs = append(errs, field.Invalid(at, q.String(), "must be greater than or equal to 0"))
		}
		if whole(name) && q.MilliValue()%1000 != 0 {
			errs = append(errs, field.Invalid(at, q, "must be an integer"))
		}
		if size, ok := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix); ok {
			huge = true
			if !pages(q, size) {
				errs = append(errs, field.Invalid(at, q.String(), fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), name)))
			}
		}
		computes = computes || name == corev1.ResourceCPU || name == corev1.ResourceMemory
	}
	if huge && !computes {
		errs = append(errs, field.Forbidden(path, "HugePages require cpu or memory"))
	}
	return errs
}

// pages says that q is a number of huge pages of this size.
func pages(q resource.Quantity, size string) bool {
	page, err := resource.ParseQuantity(size)
	return err == nil && page.Sign() > 0 && page.MilliValue()%1000 == 0 && q.Value()%page.Value() == 0
}

// resourceName checks the name of a resource that a container can have.
func resourceName(name corev1.ResourceName, path *field.Path) (errs field.ErrorList) {
	for _, msg := range utilvalidation.IsQualifiedName(string(name)) {
		errs = append(errs, field.Invalid(path, name, msg))
	}
	huge := strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
	switch {
	case native(name) && strings.Contains(string(name), "/"):
	case native(name):
		container := name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage || huge
		if len(errs) == 0 && !forQuotas(name) && !container {
			errs = append(errs, field.Invalid(path, name, "must be a standard resource type or fully qualified"))
		}
		if !container {
			errs = append(errs, field.Invalid(path, name, "must be a standard resource for containers"))
		}
	case !extended(name):
		errs = append(errs, field.Invalid(path, name, "doesn't follow extended resource name standard"))
	}
	return errs
}

// counted says that there are whole ones of a resource only.
func counted(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return true
	}
	return false
}

// forQuotas says that a resource is one that quotas know, and containers do not.
func forQuotas(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsEphemeralStorage, corev1.ResourceLimitsCPU,
		corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage, corev1.ResourceStorage, corev1.ResourceRequestsStorage:
		return true
	}
	return counted(name) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
}

func whole(name corev1.ResourceName) bool { return counted(name) || extended(name) }

// native says that name is Kubernetes' own; names without a domain are.
func native(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// extended says that name is someone's own, and can be asked for in a quota too.
func extended(name corev1.ResourceName) bool {
	if native(name) || strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	return len(utilvalidation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}
