package volumes

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Followed are the resources that Apply wants to hear of beside nodes, in the order in which they should be listed.
func Followed() []client.Resource {
	storage, core := storagev1.SchemeGroupVersion.WithResource, corev1.SchemeGroupVersion.WithResource
	return []client.Resource{storage("storageclasses"), storage("csidrivers"), storage("csinodes"), storage("csistoragecapacities"),
		core("persistentvolumes"), core("persistentvolumeclaims"), storage("volumeattachments")}
}

// Apply brings a change of an object of those, or of a node, to the index; false for objects of other kinds. Pods come by SetPod
// and RemovePod instead, since they count from the moment they are decided.
func (x *Index) Apply(object kinds.Object, gone bool) bool {
	switch o := object.(type) {
	case *corev1.Node:
		set(o, gone, x.SetNode, func() { x.RemoveNode(o.Name) })
	case *corev1.PersistentVolume:
		set(o, gone, x.SetVolume, func() { x.RemoveVolume(o.Name) })
	case *corev1.PersistentVolumeClaim:
		set(o, gone, x.SetClaim, func() { x.RemoveClaim(nameOf(o)) })
	case *storagev1.StorageClass:
		set(o, gone, x.SetClass, func() { x.RemoveClass(o.Name) })
	case *storagev1.CSIDriver:
		set(o, gone, x.SetDriver, func() { x.RemoveDriver(o.Name) })
	case *storagev1.CSINode:
		set(o, gone, x.SetCSINode, func() { x.RemoveCSINode(o.Name) })
	case *storagev1.CSIStorageCapacity:
		set(o, gone, x.SetCapacity, func() { x.RemoveCapacity(nameOf(o)) })
	case *storagev1.VolumeAttachment:
		set(o, gone, x.SetAttachment, func() { x.RemoveAttachment(o.Name) })
	default:
		return false
	}
	return true
}

func set[T kinds.Object](object T, gone bool, put func(T), remove func()) {
	if gone {
		remove()
	} else {
		put(object)
	}
}
