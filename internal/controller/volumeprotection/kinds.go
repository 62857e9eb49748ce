package volumeprotection

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	podstate "github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

var (
	volumes = corev1.SchemeGroupVersion.WithResource("persistentvolumes")
	claims  = corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	pods    = corev1.SchemeGroupVersion.WithResource("pods")
	classes = storagev1.SchemeGroupVersion.WithResource("volumeattributesclasses")
)

// Volumes returns the controller of volumes.
func Volumes() engine.Controller {
	g := guard{volumes, "kubernetes.io/pv-protection", func(_ client.View, obj kinds.Object) bool {
		v, ok := obj.(*corev1.PersistentVolume)
		return ok && v.Status.Phase == corev1.VolumeBound
	}}
	return g.controller("pvprotection", "pv-protection-controller")
}

// Claims returns the controller of claims.
func Claims() engine.Controller {
	g := guard{claims, "kubernetes.io/pvc-protection", claimed}
	return g.controller("pvcprotection", "pvc-protection-controller", engine.Input{Resource: pods, Keys: func(view client.View, c client.Change) []engine.Key {
		pod, ok := c.Newest().(*corev1.Pod)
		if !ok {
			return nil
		}
		return g.waiting(view, pod.Namespace, podstate.Claims(pod)...)
	}})
}

// claimed says whether a pod uses the claim. Pods without a node have nothing mounted yet.
func claimed(view client.View, obj kinds.Object) bool {
	for o := range view.List(pods, obj.GetNamespace()) {
		pod, ok := o.(*corev1.Pod)
		if !ok || pod.Spec.NodeName == "" {
			continue
		}
		for i := range pod.Spec.Volumes {
			v := &pod.Spec.Volumes[i]
			if podstate.ClaimOf(pod, v) == obj.GetName() && (v.Ephemeral == nil || !shutDown(pod) && metav1.IsControlledBy(obj, pod)) {
				return true
			}
		}
	}
	return false
}

// shutDown says that a pod has ended for good, and is there only until others let it go.
func shutDown(pod *corev1.Pod) bool {
	grace := pod.DeletionGracePeriodSeconds
	return pod.DeletionTimestamp != nil && grace != nil && *grace == 0
}

// Classes returns the controller of classes of volume attributes.
func Classes() engine.Controller {
	g := guard{classes, "kubernetes.io/vac-protection", func(view client.View, obj kinds.Object) bool {
		for _, res := range []client.Resource{volumes, claims} {
			for o := range view.List(res, "") {
				if slices.Contains(classesOf(o), obj.GetName()) {
					return true
				}
			}
		}
		return false
	}}
	let := func(view client.View, c client.Change) []engine.Key {
		if c.Old == nil {
			return nil
		}
		return g.waiting(view, "", classesOf(c.Old)...)
	}
	return g.controller("vacprotection", "volumeattributesclass-protection-controller",
		engine.Input{Resource: claims, Keys: let}, engine.Input{Resource: volumes, Keys: let})
}

// classesOf are the classes that a volume or claim has, wants or is being given.
func classesOf(obj kinds.Object) (names []string) {
	add := func(name *string) {
		if name != nil && *name != "" && !slices.Contains(names, *name) {
			names = append(names, *name)
		}
	}
	switch o := obj.(type) {
	case *corev1.PersistentVolume:
		add(o.Spec.VolumeAttributesClassName)
	case *corev1.PersistentVolumeClaim:
		add(o.Spec.VolumeAttributesClassName)
		add(o.Status.CurrentVolumeAttributesClassName)
		if m := o.Status.ModifyVolumeStatus; m != nil {
			add(&m.TargetVolumeAttributesClassName)
		}
	}
	return names
}
