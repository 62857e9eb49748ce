package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// This file is what may change of a pod while it runs, besides its status: containers that look into it, and what its containers get.

// keepPod makes of obj what old is, in all but its labels, annotations and the like, and returns both.
func keepPod(obj, old kinds.Object) (pod, was *corev1.Pod, given corev1.PodSpec) {
	pod, was = obj.(*corev1.Pod), old.(*corev1.Pod)
	given = pod.Spec
	pod.Spec, pod.Status = *was.Spec.DeepCopy(), *was.Status.DeepCopy()
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = was.DeletionTimestamp, was.DeletionGracePeriodSeconds
	pod.OwnerReferences, pod.Labels, pod.Annotations, pod.Finalizers = was.OwnerReferences, was.Labels, was.Annotations, was.Finalizers
	return pod, was, given
}

// addEphemeral takes containers that a person adds to look into a pod. Those that are there stay as they are (KEP-277).
func addEphemeral(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
	pod, was, given := keepPod(obj, old)
	pod.Spec.EphemeralContainers = given.EphemeralContainers
	podspec.DropDisabled(&pod.Spec, &was.Spec)
	if changed(pod.Spec, was.Spec) {
		pod.Generation++
	}
	if _, ok := was.Annotations[podspec.Mirror]; ok {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers")}
	}
	errs := podspec.ValidatePod(pod, was)
	errs = append(errs, podspec.ValidateAnnotationsUpdate(pod, was, field.NewPath("metadata", "annotations"))...)
	at := field.NewPath("spec", "ephemeralContainers")
	for _, before := range was.Spec.EphemeralContainers {
		var now *corev1.EphemeralContainer
		for i := range pod.Spec.EphemeralContainers {
			if pod.Spec.EphemeralContainers[i].Name == before.Name {
				now = &pod.Spec.EphemeralContainers[i]
			}
		}
		if now == nil {
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", before.Name)))
		} else if changed(before, *now) {
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", before.Name, diff.Diff(untagged.Value(before), untagged.Value(*now)))))
		}
	}
	return errs
}

// resizePod changes what containers, and the pod as a whole, ask and may take (KEP-1287, KEP-5419). The node acts on it.
func resizePod(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
	next, before := obj.(*corev1.Pod), old.(*corev1.Pod)
	if len(next.Spec.Containers) == len(before.Spec.Containers) && len(next.Spec.InitContainers) == len(before.Spec.InitContainers) {
		pod, was, given := keepPod(obj, old)
		pod.Spec.Resources = given.Resources
		pod.Spec.Containers = resized(given.Containers, was.Spec.Containers)
		pod.Spec.InitContainers = resized(given.InitContainers, was.Spec.InitContainers)
	}
	podspec.DropDisabled(&next.Spec, &before.Spec)
	if changed(next.Spec, before.Spec) {
		next.Generation++
	}
	return validateResize(next, before)
}

// resized is old with the resources of given. A list with other names or another order stays as it is given, to be refused.
func resized(given, old []corev1.Container) []corev1.Container {
	if len(given) == 0 {
		return given
	}
	out := make([]corev1.Container, len(old))
	for i := range old {
		if given[i].Name != old[i].Name {
			return given
		}
		old[i].DeepCopyInto(&out[i])
		out[i].Resources, out[i].ResizePolicy = given[i].Resources, given[i].ResizePolicy
	}
	return out
}

func validateResize(pod, was *corev1.Pod) field.ErrorList {
	if _, ok := was.Annotations[podspec.Mirror]; ok {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods cannot be resized")}
	}
	if was.Spec.OS != nil && was.Spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "windows pods cannot be resized")}
	}
	errs, path := podspec.ValidatePod(pod, was), field.NewPath("spec")
	class := was.Status.QOSClass
	if class == "" {
		class = podspec.QOSClass(&was.Spec)
	}
	if class != podspec.QOSClass(&pod.Spec) {
		errs = append(errs, field.Invalid(path, pod.Status.QOSClass, "Pod QOS Class may not change as a result of resizing"))
	}
	if !isResizable(was) {
		errs = append(errs, field.Forbidden(path, "Pod running on node without support for resize"))
	}
	rest := *pod.Spec.DeepCopy()
	if hasOwnResources(&was.Spec) || hasOwnResources(&pod.Spec) {
		errs = append(errs, validateWhole(pod, was, &rest, path)...)
	}
	if len(was.Status.NodeAllocatableResourceClaimStatuses) > 0 {
		errs = append(errs, field.Forbidden(path, "pods with node allocatable resource claims cannot be resized"))
	}
	if bad := sameContainers(pod, was, path); len(bad) > 0 {
		return append(errs, bad...)
	}
	for i := range was.Spec.InitContainers {
		errs = append(errs, notRemoved(&pod.Spec.InitContainers[i].Resources, &was.Spec.InitContainers[i].Resources, "resource", path.Child("initContainers").Index(i).Child("resources"))...)
	}
	for i := range was.Spec.Containers {
		errs = append(errs, notRemoved(&pod.Spec.Containers[i].Resources, &was.Spec.Containers[i].Resources, "resource", path.Child("containers").Index(i).Child("resources"))...)
	}
	errs = append(errs, onlyComputing(&rest, &was.Spec, path)...)
	if len(errs) == 0 && changed(rest, was.Spec) {
		errs = append(errs, field.Forbidden(path, "only cpu and memory resources are mutable"))
	}
	return errs
}

// isResizable says that the pod's node tells what containers have: one that does not cannot change it either.
func isResizable(pod *corev1.Pod) bool {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running != nil {
			return c.Resources != nil
		}
	}
	return true
}

func hasOwnResources(s *corev1.PodSpec) bool {
	return s.Resources != nil && len(s.Resources.Requests)+len(s.Resources.Limits) > 0
}

// validateWhole checks what the pod as a whole asks for, and makes of it in rest what it was.
func validateWhole(pod, was *corev1.Pod, rest *corev1.PodSpec, path *field.Path) (errs field.ErrorList) {
	at, before := path.Child("resources"), was.Spec.Resources
	if before != nil && pod.Spec.Resources == nil {
		return field.ErrorList{field.Forbidden(at, "pod-level resources cannot be removed")}
	}
	if before != nil {
		errs = append(errs, notRemoved(pod.Spec.Resources, before, "pod-level resource", at)...)
	}
	if r := rest.Resources; before != nil {
		r.Requests, r.Limits = restored(r.Requests, before.Requests), restored(r.Limits, before.Limits)
	} else if r != nil {
		r.Requests, r.Limits = restored(r.Requests, nil), restored(r.Limits, nil)
		if len(r.Requests)+len(r.Limits)+len(r.Claims) == 0 {
			rest.Resources = nil
		}
	}
	if changed(rest.Resources, before) {
		errs = append(errs, field.Forbidden(path, "only cpu and memory resources are mutable at pod-level"))
	}
	return errs
}

func sameContainers(pod, was *corev1.Pod, path *field.Path) (errs field.ErrorList) {
	for _, list := range []struct {
		name     string
		now, was []corev1.Container
	}{{"containers", pod.Spec.Containers, was.Spec.Containers}, {"initContainers", pod.Spec.InitContainers, was.Spec.InitContainers}} {
		at := path.Child(list.name)
		if len(list.now) != len(list.was) {
			errs = append(errs, field.Forbidden(at, list.name+" may not be added or removed on resize"))
			continue
		}
		for i := range list.was {
			if list.now[i].Name != list.was[i].Name {
				errs = append(errs, field.Forbidden(at.Index(i).Child("name"), list.name+" may not be renamed or reordered on resize"))
			}
		}
	}
	return errs
}

func notRemoved(now, was *corev1.ResourceRequirements, what string, at *field.Path) (errs field.ErrorList) {
	if lost(now.Requests, was.Requests) {
		errs = append(errs, field.Forbidden(at.Child("requests"), what+" requests cannot be removed"))
	}
	if lost(now.Limits, was.Limits) {
		errs = append(errs, field.Forbidden(at.Child("limits"), what+" limits cannot be removed"))
	}
	return errs
}

func lost(now, was corev1.ResourceList) bool {
	for name := range was {
		if _, ok := now[name]; !ok {
			return true
		}
	}
	return len(was) > len(now)
}

// onlyComputing refuses changes of anything but processor and memory, and makes these in rest what they were.
func onlyComputing(rest, was *corev1.PodSpec, path *field.Path) (errs field.ErrorList) {
	for i := range rest.Containers {
		if restore(&rest.Containers[i], &was.Containers[i]); changed(rest.Containers[i], was.Containers[i]) {
			errs = append(errs, field.Forbidden(path, "only cpu and memory resources are mutable"))
		}
	}
	for i := range rest.InitContainers {
		c, before, at := &rest.InitContainers[i], &was.InitContainers[i], path.Child("initContainers").Index(i)
		touched := changed(*c, *before)
		if restore(c, before); changed(*c, *before) {
			errs = append(errs, field.Forbidden(at, "only cpu and memory resources for init or sidecar containers are mutable"))
		}
		if !touched || c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			continue
		}
		for _, p := range c.ResizePolicy {
			if p.RestartPolicy == corev1.RestartContainer {
				errs = append(errs, field.Forbidden(at, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"))
			}
		}
	}
	return errs
}

func restore(c, was *corev1.Container) {
	c.Resources = corev1.ResourceRequirements{Limits: restored(c.Resources.Limits, was.Resources.Limits), Requests: restored(c.Resources.Requests, was.Resources.Requests)}
}

// restored is now with the processor and memory of was.
func restored(now, was corev1.ResourceList) corev1.ResourceList {
	if now == nil && was == nil {
		return nil
	}
	out := corev1.ResourceList{}
	for name, q := range now {
		out[name] = q
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		delete(out, name)
		if q, ok := was[name]; ok {
			out[name] = q
		}
	}
	return out
}
