package disruption

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

// scale is how many pods the owners of pods want together; unmanaged: some pods have none.
func (c controller) scale(view client.View, list []*corev1.Pod) (sum int32, unmanaged bool, err error) {
	known := map[types.UID]bool{}    // owners of pods
	counted := map[types.UID]int32{} // what they, or Deployments above them, want
	for _, pod := range list {
		ref := metav1.GetControllerOf(pod)
		switch {
		case ref == nil:
			unmanaged = true
			continue
		case known[ref.UID]:
			continue
		}
		known[ref.UID] = true
		by, n, err := c.owner(view, pod.Namespace, ref)
		switch {
		case err != nil:
			return 0, unmanaged, err
		case by == "":
			return 0, unmanaged, fmt.Errorf("found no controllers for pod %q", pod.Name)
		}
		counted[by] = n
	}
	for _, n := range counted {
		sum += n
	}
	return sum, unmanaged, nil
}

// owner is whose scale counts for an owner of pods, the Deployment's for a ReplicaSet that one owns, and what it wants; "" when it is not there. Old references
// name both in the group extensions.
func (c controller) owner(view client.View, namespace string, ref *metav1.OwnerReference) (types.UID, int32, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return "", 0, err
	}
	if ref.Kind != "ReplicaSet" || gv.Group != appsv1.GroupName && gv.Group != "extensions" {
		return c.scaled(view, namespace, ref, gv)
	}
	set, ok := view.Get(replicaSets(), namespace, ref.Name).(*appsv1.ReplicaSet)
	if !ok || set.UID != ref.UID {
		return "", 0, nil
	}
	if above := metav1.GetControllerOf(set); above != nil && above.Kind == "Deployment" {
		gv, err := schema.ParseGroupVersion(above.APIVersion)
		if gv.Group == "extensions" {
			gv = appsv1.SchemeGroupVersion
		}
		if err != nil {
			return "", 0, err
		}
		if by, n, err := c.scaled(view, namespace, above, gv); by != "" || err != nil {
			return by, n, err
		}
	}
	return set.UID, *set.Spec.Replicas, nil
}

// scaled is the UID of an object that can be scaled, and what it wants; "" when it is not there, or another by its name.
func (c controller) scaled(view client.View, namespace string, ref *metav1.OwnerReference, gv schema.GroupVersion) (types.UID, int32, error) {
	kind, err := c.kind(gv.WithKind(ref.Kind))
	if err != nil {
		return "", 0, err
	}
	i := slices.IndexFunc(kind.Subresources, func(s kinds.Subresource) bool { return s.Scale != nil })
	obj := view.Get(kind.GVR(), namespace, ref.Name)
	switch {
	case i < 0:
		return "", 0, fmt.Errorf("%s does not implement the scale subresource", kind.GVR().GroupResource())
	case obj == nil || obj.GetUID() != ref.UID:
		return "", 0, nil
	}
	scale := kind.Subresources[i].Scale
	if scale.Missing != nil {
		if err := scale.Missing(obj); err != nil {
			return "", 0, err
		}
	}
	want, _, _ := scale.Read(obj)
	return obj.GetUID(), want, nil
}

// kind is that of which the objects are stored that a version of a kind means.
func (c controller) kind(gvk schema.GroupVersionKind) (*kinds.Kind, error) {
	served, _ := c.catalog()
	for _, k := range served {
		if k.GVK == gvk && !k.Answered {
			return k.Stored(), nil
		}
	}
	return nil, &meta.NoKindMatchError{GroupKind: gvk.GroupKind(), SearchedVersions: []string{gvk.Version}}
}
