package cases

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	gpu   = corev1.ResourceName("example.com/gpu")
	fpga  = corev1.ResourceName("example.com/fpga")
	huge  = corev1.ResourceName("hugepages-2Mi")
	gibi  = 1024 * mebi
	other = corev1.ResourceName("vendor.example/thing")
)

// resources are requests of all kinds: several containers, init containers, sidecars, overhead, pod-level resources, extended resources, huge pages.
var resources = trait{
	node: func(w *world, n *corev1.Node) {
		if w.once(2) {
			n.Status.Allocatable[gpu] = count(int64(w.between(0, 4)))
		}
		if w.once(3) {
			n.Status.Allocatable[fpga] = count(int64(w.between(1, 3)))
		}
		if w.once(3) {
			n.Status.Allocatable[huge] = bytesOf(int64(w.between(1, 64)) * 2 * mebi)
		}
		if w.once(15) {
			n.Status.Allocatable[corev1.ResourceCPU] = amount(0)
		}
	},
	pod: func(w *world, p *corev1.Pod) {
		if w.once(3) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "registry.example/side:1", Resources: w.requests()})
		}
		if w.once(4) {
			p.Spec.Containers[0].Resources = w.requests()
		}
		if w.once(3) {
			p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "init", Image: "registry.example/init:1", Resources: w.requests()})
		}
		if w.once(4) {
			p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{
				Name: "sidecar", Image: "registry.example/side:2", RestartPolicy: new(corev1.ContainerRestartPolicyAlways), Resources: w.requests(),
			})
			if w.once(2) {
				p.Spec.InitContainers = append(p.Spec.InitContainers,
					corev1.Container{Name: "late", Image: "registry.example/init:2", Resources: w.requests()})
			}
		}
		if w.once(6) {
			p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: amount(int64(w.between(1, 20)) * 10),
				corev1.ResourceMemory: bytesOf(int64(w.between(1, 200)) * mebi)}
		}
		if w.once(5) {
			p.Spec.Resources = w.podLevel(p)
		}
	},
}

// requests are what a container asks for.
func (w *world) requests() corev1.ResourceRequirements {
	list := corev1.ResourceList{}
	if !w.once(6) {
		list[corev1.ResourceCPU] = amount(int64(one(w, 1, 10, 100, 333, 500, 1000, 1500, 3000)))
	}
	if !w.once(6) {
		list[corev1.ResourceMemory] = one(w, bytesOf(100*mebi), bytesOf(1*gibi), bytesOf(3*gibi), resource.MustParse("500M"), resource.MustParse("1500m"))
	}
	if w.once(4) {
		list[corev1.ResourceEphemeralStorage] = bytesOf(int64(w.between(1, 40)) * gibi)
	}
	limits := corev1.ResourceList{}
	for _, extended := range []corev1.ResourceName{gpu, fpga, other} {
		if w.once(5) && (extended != other || w.once(4)) {
			list[extended] = count(int64(w.between(0, 2)))
			limits[extended] = list[extended]
		}
	}
	if w.once(8) {
		list[huge] = bytesOf(int64(w.between(1, 20)) * 2 * mebi)
		limits[huge] = list[huge]
	}
	return corev1.ResourceRequirements{Requests: list, Limits: limits}
}

// podLevel are the resources of a whole pod, of which its containers' must be a part.
func (w *world) podLevel(p *corev1.Pod) *corev1.ResourceRequirements {
	list := corev1.ResourceList{}
	if w.once(2) {
		list[corev1.ResourceCPU] = amount(int64(one(w, 4500, 6000)))
	}
	if w.once(2) || len(list) == 0 {
		list[corev1.ResourceMemory] = bytesOf(int64(one(w, 7, 9)) * gibi)
	}
	for _, containers := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for _, c := range containers {
			if q, ok := c.Resources.Requests[huge]; ok { // what containers ask for is asked for by the pod, or refused
				sum := list[huge]
				sum.Add(q)
				list[huge] = sum
			}
		}
	}
	return &corev1.ResourceRequirements{Requests: list}
}

// resized are placed pods whose resources are being changed in place.
var resized = trait{after: func(w *world) {
	for _, p := range w.pods {
		if !w.once(2) {
			continue
		}
		for _, c := range p.Spec.Containers {
			s := corev1.ContainerStatus{Name: c.Name, Ready: true, Image: c.Image}
			if w.once(3) {
				s.AllocatedResources = w.resizable()
			}
			if !w.once(3) {
				s.Resources = &corev1.ResourceRequirements{Requests: w.resizable()}
			}
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, s)
		}
		for _, c := range p.Spec.InitContainers {
			if c.RestartPolicy == nil {
				continue
			}
			s := corev1.ContainerStatus{Name: c.Name, Resources: &corev1.ResourceRequirements{Requests: w.resizable()}, AllocatedResources: w.resizable()}
			p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, s)
		}
		if p.Spec.Resources != nil && w.once(2) {
			p.Status.AllocatedResources = w.resizable()
			p.Status.Resources = &corev1.ResourceRequirements{Requests: w.resizable()}
		}
		w.resizing(p)
	}
}}

// resizing gives a pod the conditions of a resize: deferred, infeasible, or in progress.
func (w *world) resizing(p *corev1.Pod) {
	var c corev1.PodCondition
	switch w.r.IntN(4) {
	case 0:
		c = corev1.PodCondition{Type: corev1.PodResizePending, Reason: corev1.PodReasonDeferred}
	case 1:
		c = corev1.PodCondition{Type: corev1.PodResizePending, Reason: corev1.PodReasonInfeasible}
	case 2:
		c = corev1.PodCondition{Type: corev1.PodResizeInProgress}
	default:
		return
	}
	c.Status, c.LastTransitionTime = corev1.ConditionTrue, metav1.NewTime(epoch)
	p.Status.Conditions = append(p.Status.Conditions, c)
}

// resizable are amounts of what can be changed while a pod runs.
func (w *world) resizable() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU: amount(int64(one(w, 10, 200, 700, 1200))), corev1.ResourceMemory: bytesOf(int64(one(w, 64, 256, 1024)) * mebi),
	}
}
