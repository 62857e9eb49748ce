package quota

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/component-helpers/storage/volume"

	"github.com/floe-k8s/floe/internal/kinds"
)

// byClass stands between a storage class and what is limited of it: "gold.storageclass.storage.k8s.io/requests.storage".
const byClass = ".storageclass.storage.k8s.io/"

func services() Meter {
	return Meter{
		Names: among("count/services", corev1.ResourceServices, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers),
		Usage: func(obj kinds.Object, _ At) corev1.ResourceList { return serviceUsage(obj.(*corev1.Service)) },
		Charged: func(subresource string, _, _ kinds.Object) bool {
			return subresource == "" // the type of a service may change
		},
	}
}

// serviceUsage counts the ports that a service wants on nodes: they may not have been given yet.
func serviceUsage(svc *corev1.Service) corev1.ResourceList {
	ports, balancers := 0, int64(0)
	switch svc.Spec.Type {
	case corev1.ServiceTypeNodePort:
		ports = len(svc.Spec.Ports)
	case corev1.ServiceTypeLoadBalancer:
		balancers, ports = 1, len(svc.Spec.Ports)
		if give := svc.Spec.AllocateLoadBalancerNodePorts; give != nil && !*give {
			ports = len(slices.DeleteFunc(slices.Clone(svc.Spec.Ports), func(p corev1.ServicePort) bool { return p.NodePort == 0 }))
		}
	}
	return corev1.ResourceList{
		"count/services": *number(1), corev1.ResourceServices: *number(1),
		corev1.ResourceServicesLoadBalancers: *number(balancers), corev1.ResourceServicesNodePorts: *number(int64(ports)),
	}
}

func volumeClaims() Meter {
	return Meter{
		Names: func(names []corev1.ResourceName, _ At) []corev1.ResourceName {
			return pick(names, func(name corev1.ResourceName) bool {
				what := name
				if _, of, ok := strings.Cut(string(name), byClass); ok {
					what = corev1.ResourceName(of)
				}
				return name == "count/persistentvolumeclaims" || what == corev1.ResourcePersistentVolumeClaims || what == corev1.ResourceRequestsStorage
			})
		},
		Usage: func(obj kinds.Object, _ At) corev1.ResourceList {
			return claimUsage(obj.(*corev1.PersistentVolumeClaim))
		},
		scope: func(want corev1.ScopedResourceSelectorRequirement, obj kinds.Object) bool {
			return want.ScopeName == corev1.ResourceQuotaScopeVolumeAttributesClass && matches(want, attributesClasses(obj.(*corev1.PersistentVolumeClaim)))
		},
		Charged: func(subresource string, obj, old kinds.Object) bool {
			return subresource == "" || subresource == "status" && old != nil
		},
	}
}

func claimUsage(pvc *corev1.PersistentVolumeClaim) corev1.ResourceList {
	out := corev1.ResourceList{"count/persistentvolumeclaims": *number(1), corev1.ResourcePersistentVolumeClaims: *number(1)}
	if size, ok := claimSize(pvc); ok {
		out[corev1.ResourceRequestsStorage] = size
	}
	class := volume.GetPersistentVolumeClaimClass(pvc)
	if class == "" {
		return out
	}
	for _, name := range []corev1.ResourceName{corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage} {
		if q, ok := out[name]; ok {
			out[corev1.ResourceName(class+byClass)+name] = q
		}
	}
	return out
}

// claimSize is what a claim asks for, or what it has been given of more than that, in whole bytes.
func claimSize(pvc *corev1.PersistentVolumeClaim) (size resource.Quantity, ok bool) {
	size, ok = pvc.Spec.Resources.Requests[corev1.ResourceStorage]
	if given, has := pvc.Status.AllocatedResources[corev1.ResourceStorage]; ok && has && given.Cmp(size) > 0 {
		size = given
	}
	size = size.DeepCopy()
	size.RoundUp(0)
	return size, ok
}

// attributesClasses are the volume attributes classes that a claim has, wants or is on its way to.
func attributesClasses(pvc *corev1.PersistentVolumeClaim) (out []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if name := pvc.Spec.VolumeAttributesClassName; name != nil {
		add(*name)
	}
	if name := pvc.Status.CurrentVolumeAttributesClassName; name != nil {
		add(*name)
	}
	if s := pvc.Status.ModifyVolumeStatus; s != nil {
		add(s.TargetVolumeAttributesClassName)
	}
	return out
}
