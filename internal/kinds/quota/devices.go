package quota

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
)

func deviceClaims() Meter {
	return Meter{
		Names: func(names []corev1.ResourceName, at At) []corev1.ResourceName {
			return pick(names, func(name corev1.ResourceName) bool { return isDeviceName(name, at.See) })
		},
		Usage: func(obj kinds.Object, at At) corev1.ResourceList {
			return deviceUsage(obj.(*resourceapi.ResourceClaim), at)
		},
		Charged: func(subresource string, _, _ kinds.Object) bool { return subresource == "" },
	}
}

func isDeviceName(name corev1.ResourceName, see kinds.Reader) bool {
	if name == "count/resourceclaims.resource.k8s.io" || strings.HasSuffix(string(name), corev1.ResourceClaimsPerClass) {
		return true
	}
	if class, ok := strings.CutPrefix(string(name), corev1.ResourceImplicitExtendedClaimsPerClass); ok && extendedOf(class, see) != "" {
		return true
	}
	asked, ok := strings.CutPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
	return ok && isExtendedLimit(name) && hasClass(asked, see)
}

var deviceClasses = resourceapi.SchemeGroupVersion.WithResource("deviceclasses")

// extendedOf is the extended resource by which pods may ask for devices of a class; "" when there is none.
func extendedOf(class string, see kinds.Reader) string {
	if c, ok := see.Get(deviceClasses, "", class).(*resourceapi.DeviceClass); ok && c.Spec.ExtendedResourceName != nil {
		return *c.Spec.ExtendedResourceName
	}
	return ""
}

// hasClass says whether there is a class of devices for which pods may ask by an extended resource.
func hasClass(extended string, see kinds.Reader) (found bool) {
	if class, implicit := strings.CutPrefix(extended, resourceapi.ResourceDeviceClassPrefix); implicit {
		return see.Get(deviceClasses, "", class) != nil
	}
	see.Each(deviceClasses, "", func(obj kinds.Object) bool {
		name := obj.(*resourceapi.DeviceClass).Spec.ExtendedResourceName
		found = name != nil && *name == extended
		return !found
	})
	return found
}

// deviceUsage counts a claim and the devices, by class, that it may come to hold at worst.
func deviceUsage(claim *resourceapi.ResourceClaim, at At) corev1.ResourceList {
	out := corev1.ResourceList{"count/resourceclaims.resource.k8s.io": *number(1)}
	byClass := map[string]int64{}
	for _, r := range claim.Spec.Devices.Requests {
		if len(r.FirstAvailable) > 0 { // one of them will do: of each class the most
			worst := map[string]int64{}
			for _, sub := range r.FirstAvailable {
				worst[sub.DeviceClassName] = max(worst[sub.DeviceClassName], devices(sub.AllocationMode, sub.Count))
			}
			for class, n := range worst {
				if n > 0 {
					byClass[class] += n
				}
			}
		} else if r.Exactly != nil {
			byClass[r.Exactly.DeviceClassName] += devices(r.Exactly.AllocationMode, r.Exactly.Count)
		}
	}
	for class, n := range byClass {
		out[corev1.ResourceName(class+corev1.ResourceClaimsPerClass)] = *number(n)
	}
	if len(byClass) == 0 {
		return out
	}
	asked := podOf(claim, at)
	for class, n := range byClass {
		names := []corev1.ResourceName{corev1.ResourceName(corev1.ResourceImplicitExtendedClaimsPerClass + class)}
		if extended := extendedOf(class, at.See); extended != "" {
			names = append(names, corev1.ResourceName(corev1.DefaultResourceRequestsPrefix+extended))
		}
		for _, name := range names { // less what its pod has been charged for already
			rest := number(n)
			if q, ok := asked[name]; ok {
				rest.Sub(q)
			}
			if rest.Sign() > 0 {
				out[name] = *rest
			}
		}
	}
	return out
}

// devices is how many a request may come to hold. Of a mode that nobody knows it is none.
func devices(mode resourceapi.DeviceAllocationMode, count int64) int64 {
	switch mode {
	case resourceapi.DeviceAllocationModeExactCount:
		return count
	case resourceapi.DeviceAllocationModeAll:
		return resourceapi.AllocationResultsMaxSize
	}
	return 0
}

// podOf is what the pod has been charged for whose extended resources the claim is made for; nil when it is for none, or not surely.
func podOf(claim *resourceapi.ResourceClaim, at At) corev1.ResourceList {
	owner := metav1.GetControllerOfNoCopy(claim)
	if claim.Annotations[resourceapi.ExtendedResourceClaimAnnotation] != "true" || owner == nil || owner.Kind != "Pod" || owner.APIVersion != "v1" {
		return nil
	}
	pod, ok := at.See.Get(corev1.SchemeGroupVersion.WithResource("pods"), claim.Namespace, owner.Name).(*corev1.Pod)
	if !ok || pod.UID != owner.UID {
		return nil
	}
	if status := pod.Status.ExtendedResourceClaimStatus; status != nil && status.ResourceClaimName != claim.Name || status == nil && !first(claim, pod, at.See) {
		return nil
	}
	return podUsage(pod, at.Now)
}

// first says whether no claim was made before this one for the extended resources of the same pod.
func first(claim *resourceapi.ResourceClaim, pod *corev1.Pod, see kinds.Reader) bool {
	is := true
	see.Each(resourceapi.SchemeGroupVersion.WithResource("resourceclaims"), claim.Namespace, func(obj kinds.Object) bool {
		other := obj.(*resourceapi.ResourceClaim)
		owner := metav1.GetControllerOfNoCopy(other)
		if other.Annotations[resourceapi.ExtendedResourceClaimAnnotation] != "true" || owner == nil || owner.UID != pod.UID {
			return true
		}
		age := other.CreationTimestamp.Compare(claim.CreationTimestamp.Time)
		is = age > 0 || age == 0 && other.Name >= claim.Name
		return is
	})
	return is
}
