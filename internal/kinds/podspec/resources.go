package podspec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	resourcehelper "k8s.io/component-helpers/resource"
)

// This file is what containers, and a pod as a whole, ask and may take.

// nameRule says what is wrong with a resource's name.
type nameRule func(name corev1.ResourceName, at place) field.ErrorList

// validateResources looks at resources in the order of their names: upstream's order is a map's, and so any. oddPages: parts of pages may be asked for.
func validateResources(r *corev1.ResourceRequirements, at place, rule nameRule, oddPages bool) (errs field.ErrorList) {
	limits, requests := at.in("limits"), at.in("requests")
	for _, name := range inOrder(r.Limits) {
		errs = append(errs, validateAmount(name, r.Limits[name], limits.key(string(name)), rule)...)
		if !oddPages {
			errs = append(errs, wholePages(name, r.Limits[name], limits.key(string(name)))...)
		}
	}
	for _, name := range inOrder(r.Requests) {
		at, request := requests.key(string(name)), r.Requests[name]
		errs = append(errs, validateAmount(name, request, at, rule)...)
		switch limit, ok := r.Limits[name]; {
		case !ok && !shared(name):
			errs = append(errs, field.Required(limits.path(), "Limit must be set for non overcommitable resources"))
		case ok && !shared(name) && request.Cmp(limit) != 0:
			errs = append(errs, field.Invalid(requests.path(), request.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String())))
		case ok && request.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(requests.path(), request.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
		}
		if !oddPages {
			errs = append(errs, wholePages(name, request, at)...)
		}
	}
	if hasPages(r.Limits, r.Requests) && !hasComputing(r.Limits, r.Requests) {
		errs = append(errs, field.Forbidden(at.path(), "HugePages require cpu or memory"))
	}
	return errs
}

// inOrder are the names of a list, sorted.
func inOrder(list corev1.ResourceList) []corev1.ResourceName {
	names := make([]corev1.ResourceName, 0, len(list))
	for name := range list {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func validateAmount(name corev1.ResourceName, q resource.Quantity, at place, rule nameRule) field.ErrorList {
	errs := rule(name, at)
	if q.Sign() < 0 {
		errs = append(errs, field.Invalid(at.path(), q.String(), atLeastZero))
	}
	if Extended(name) && q.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(at.path(), q, "must be an integer"))
	}
	return errs
}

func isPages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// wholePages: memory in huge pages comes in pages of the size that its name says.
func wholePages(name corev1.ResourceName, q resource.Quantity, at place) field.ErrorList {
	if !isPages(name) {
		return nil
	}
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	if err == nil && size.Value() > 0 && q.Value()%size.Value() == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at.path(), q.String(), fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), name))}
}

func hasPages(lists ...corev1.ResourceList) bool {
	for _, l := range lists {
		for name := range l {
			if isPages(name) {
				return true
			}
		}
	}
	return false
}

func hasComputing(lists ...corev1.ResourceList) bool {
	return slices.ContainsFunc(lists, func(l corev1.ResourceList) bool {
		_, cpu := l[corev1.ResourceCPU]
		_, memory := l[corev1.ResourceMemory]
		return cpu || memory
	})
}

// native says that the system counts a resource itself.
func native(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// shared says that more of a resource may be promised than there is.
func shared(name corev1.ResourceName) bool { return native(name) && !isPages(name) }

// Extended says that a resource is somebody's own, which is counted in whole numbers.
func Extended(name corev1.ResourceName) bool {
	return !native(name) && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) &&
		len(utilvalidation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

// standard are the names without a domain that mean something anywhere, most of them in quotas only.
func standard(name corev1.ResourceName) bool {
	switch base := strings.TrimPrefix(strings.TrimPrefix(string(name), "requests."), "limits."); base {
	case "cpu", "memory", "ephemeral-storage":
		return true
	}
	switch name {
	case "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims", "storage", "requests.storage",
		"services.nodeports", "services.loadbalancers":
		return true
	}
	return isPages(name) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
}

func anyResource(name corev1.ResourceName, at place) (errs field.ErrorList) {
	for _, msg := range utilvalidation.IsQualifiedName(string(name)) {
		errs = append(errs, field.Invalid(at.path(), name, msg))
	}
	if len(errs) == 0 && !strings.Contains(string(name), "/") && !standard(name) {
		errs = append(errs, field.Invalid(at.path(), name, "must be a standard resource type or fully qualified"))
	}
	return errs
}

// containerResource is the rule for what a container may ask.
func containerResource(name corev1.ResourceName, at place) field.ErrorList {
	errs := anyResource(name, at)
	if strings.Contains(string(name), "/") {
		if !native(name) && !Extended(name) {
			errs = append(errs, field.Invalid(at.path(), name, "doesn't follow extended resource name standard"))
		}
		return errs
	}
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return errs
	}
	if !isPages(name) {
		errs = append(errs, field.Invalid(at.path(), name, "must be a standard resource for containers"))
	}
	return errs
}

// podResource is the rule for what a pod may ask as a whole (KEP-2837).
func podResource(name corev1.ResourceName, at place) field.ErrorList {
	errs := anyResource(name, at)
	if len(errs) == 0 && !resourcehelper.IsSupportedPodLevelResource(name) {
		errs = append(errs, field.NotSupported(at.path(), name, slices.Sorted(maps.Keys(resourcehelper.SupportedPodLevelResources()))))
	}
	return errs
}

// validatePodResources: what the containers ask together must fit into what the pod asks, and what one may take into what the pod may.
func validatePodResources(s *subject, at place) (errs field.ErrorList) {
	r := s.Resources
	if r == nil {
		return nil
	}
	if s.OS != nil && s.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(at.path(), "may not be set for a windows pod")}
	}
	if r.Claims != nil {
		errs = append(errs, field.Forbidden(at.in("claims").path(), "claims may not be set for Resources at pod-level"))
	}
	errs = append(errs, validateResources(r, at, podResource, s.leave.oddPages)...)
	errs = append(errs, validateClaimNames(r.Claims, s.claims, at.in("claims"))...)
	pod := &corev1.Pod{Spec: *s.PodSpec}
	asked := resourcehelper.AggregateContainerRequests(pod, resourcehelper.PodResourcesOptions{})
	for _, name := range inOrder(asked) {
		all, sum := r.Requests[name], asked[name]
		if _, ok := r.Requests[name]; ok && sum.Cmp(all) > 0 {
			errs = append(errs, field.Invalid(at.in("requests").key(string(name)).path(), all.String(), fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", sum.String())))
		}
	}
	taken := resourcehelper.AggregateContainerLimits(pod, resourcehelper.PodResourcesOptions{})
	for _, name := range inOrder(taken) {
		all, sum := r.Limits[name], taken[name]
		if _, ok := r.Limits[name]; ok && isPages(name) && sum.Cmp(all) > 0 {
			errs = append(errs, field.Invalid(at.in("limits").key(string(name)).path(), all.String(), fmt.Sprintf("must be greater than or equal to aggregate container limits of %s", sum.String())))
		}
	}
	for i := range s.Containers {
		limits := s.Containers[i].Resources.Limits
		for _, name := range inOrder(limits) {
			all, one := r.Limits[name], limits[name]
			if _, ok := r.Limits[name]; ok && one.Cmp(all) > 0 {
				at := at.in("containers").nth(i).key(string(name)).in("limits")
				errs = append(errs, field.Invalid(at.path(), one.String(), fmt.Sprintf("must be less than or equal to pod limits of %s", all.String())))
			}
		}
	}
	return errs
}

func validateResize(list []corev1.ContainerResizePolicy, restart corev1.RestartPolicy, at place) (errs field.ErrorList) {
	seen := map[corev1.ResourceName]bool{}
	for i, p := range list {
		if seen[p.ResourceName] {
			errs = append(errs, field.Duplicate(at.nth(i).path(), p.ResourceName))
		}
		seen[p.ResourceName] = true
		errs = append(errs, oneOf(at, p.ResourceName, corev1.ResourceCPU, corev1.ResourceMemory)...)
		errs = append(errs, oneOf(at, p.RestartPolicy, corev1.NotRequired, corev1.RestartContainer)...)
		if restart == corev1.RestartPolicyNever && p.RestartPolicy != corev1.NotRequired {
			errs = append(errs, field.Invalid(at.path(), p.RestartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
		}
	}
	return errs
}
