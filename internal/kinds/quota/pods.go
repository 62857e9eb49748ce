package quota

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/component-helpers/resource"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// podNames are what is measured of pods by name; pages and extended resources are by their form.
var podNames = [...]corev1.ResourceName{
	"count/pods", corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsEphemeralStorage,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
}

// demanded are the names of which every container must say its share when a quota limits them.
var demanded = [...]corev1.ResourceName{
	corev1.ResourceCPU, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
}

func pods() Meter {
	return Meter{
		Names: func(names []corev1.ResourceName, _ At) []corev1.ResourceName { return pick(names, isPodName) },
		Usage: func(obj kinds.Object, at At) corev1.ResourceList { return podUsage(obj.(*corev1.Pod), at.Now) },
		scope: func(want corev1.ScopedResourceSelectorRequirement, obj kinds.Object) bool {
			return podInScope(want, obj.(*corev1.Pod))
		},
		Demand: func(names []corev1.ResourceName, obj kinds.Object) error { return podSays(names, obj.(*corev1.Pod)) },
		Charged: func(subresource string, obj, old kinds.Object) bool {
			switch {
			case subresource == "resize":
				return old != nil
			case subresource != "":
				return false
			}
			return old == nil || deadlined(old.(*corev1.Pod)) != deadlined(obj.(*corev1.Pod))
		},
	}
}

func isPodName(name corev1.ResourceName) bool {
	return slices.Contains(podNames[:], name) || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) ||
		strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix) || isExtendedLimit(name)
}

// isExtendedLimit says whether a quota's name limits what is asked of an extended resource, which cannot be overcommitted.
func isExtendedLimit(name corev1.ResourceName) bool {
	asked, ok := strings.CutPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
	if !ok {
		return false
	}
	foreign := strings.Contains(string(name), "/") && !strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
	return foreign || strings.HasPrefix(asked, resourceapi.ResourceDeviceClassPrefix)
}

// counts says whether a pod takes anything but its own place: not when it has ended, nor when it should have long gone.
func counts(pod *corev1.Pod, now time.Time) bool {
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return false
	}
	if pod.DeletionTimestamp == nil || pod.DeletionGracePeriodSeconds == nil {
		return true
	}
	return !now.After(pod.DeletionTimestamp.Add(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second))
}

func podUsage(pod *corev1.Pod, now time.Time) corev1.ResourceList {
	out := corev1.ResourceList{"count/pods": *number(1)}
	if !counts(pod, now) {
		return out
	}
	opts := resource.PodResourcesOptions{UseStatusResources: true}
	return Add(out, computing(resource.PodRequests(pod, opts), resource.PodLimits(pod, opts)))
}

// computing is what requests and limits are under the names of quotas.
func computing(requests, limits corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{corev1.ResourcePods: *number(1)}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if q, ok := requests[name]; ok {
			out[name] = q
			out[corev1.DefaultResourceRequestsPrefix+name] = q
		}
		if q, ok := limits[name]; ok {
			out["limits."+name] = q
		}
	}
	for name, q := range requests {
		pages := strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
		if pages {
			out[name] = q
		}
		if pages || podspec.Extended(name) || strings.HasPrefix(string(name), resourceapi.ResourceDeviceClassPrefix) {
			out[corev1.DefaultResourceRequestsPrefix+name] = q
		}
	}
	return out
}

// podSays refuses a pod one of whose containers is silent about what a quota limits, unless the pod speaks for all.
func podSays(names []corev1.ResourceName, pod *corev1.Pod) error {
	if resource.IsPodLevelResourcesSet(pod) {
		return nil
	}
	var missing []string
	for _, name := range demanded {
		if !slices.Contains(names, name) {
			continue
		}
		var silent []string
		for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for _, c := range list {
				if _, says := computing(c.Resources.Requests, c.Resources.Limits)[name]; !says {
					silent = append(silent, c.Name)
				}
			}
		}
		if len(silent) > 0 {
			slices.Sort(silent)
			missing = append(missing, fmt.Sprintf("%s for: %s", name, strings.Join(slices.Compact(silent), ",")))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("must specify %s", strings.Join(missing, "; "))
}

// deadlined says whether a pod ends by itself at a time.
func deadlined(pod *corev1.Pod) bool {
	return pod.Spec.ActiveDeadlineSeconds != nil && *pod.Spec.ActiveDeadlineSeconds >= 0
}

func podInScope(want corev1.ScopedResourceSelectorRequirement, pod *corev1.Pod) bool {
	switch want.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return deadlined(pod)
	case corev1.ResourceQuotaScopeNotTerminating:
		return !deadlined(pod)
	case corev1.ResourceQuotaScopeBestEffort:
		return podspec.ClassOf(pod) == corev1.PodQOSBestEffort
	case corev1.ResourceQuotaScopeNotBestEffort:
		return podspec.ClassOf(pod) != corev1.PodQOSBestEffort
	case corev1.ResourceQuotaScopePriorityClass:
		if pod.Spec.PriorityClassName == "" {
			return matches(want, nil)
		}
		return matches(want, []string{pod.Spec.PriorityClassName})
	case corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return reachesAcross(pod.Spec.Affinity)
	}
	return false
}

// reachesAcross says whether a pod wants to be near to, or far from, pods of other namespaces.
func reachesAcross(a *corev1.Affinity) bool {
	if a == nil {
		return false
	}
	var terms []corev1.PodAffinityTerm
	weighted := func(list []corev1.WeightedPodAffinityTerm) {
		for _, w := range list {
			terms = append(terms, w.PodAffinityTerm)
		}
	}
	if near := a.PodAffinity; near != nil {
		terms = append(terms, near.RequiredDuringSchedulingIgnoredDuringExecution...)
		weighted(near.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if far := a.PodAntiAffinity; far != nil {
		terms = append(terms, far.RequiredDuringSchedulingIgnoredDuringExecution...)
		weighted(far.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return slices.ContainsFunc(terms, func(t corev1.PodAffinityTerm) bool { return len(t.Namespaces) > 0 || t.NamespaceSelector != nil })
}
