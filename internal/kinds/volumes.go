package kinds

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/component-helpers/storage/volume"
)

// Indexes of volumes and claims, for those who bring the two together.
const (
	// ReservedIndex is the index of volumes that are bound to a claim or reserved for one, by the claim's namespace/name.
	ReservedIndex = "reserved"
	// FreeIndex is the index of volumes that are nobody's, by FreeValue.
	FreeIndex = "free"
	// UnboundIndex is the index of claims whose binding is not complete, by the name of their class, which may be empty.
	UnboundIndex = "unbound"
	// VolumeIndex is the index of claims by the name of the volume that they name.
	VolumeIndex = "volume"
)

// FreeValue is where a volume of a class and of access modes stands in FreeIndex: modes are a set in upstream's order. Neither part holds a space.
func FreeValue(class string, modes []corev1.PersistentVolumeAccessMode) string {
	value := class
	for _, m := range AccessModes() {
		for _, has := range modes {
			if has == m {
				value += " " + string(m)
				break
			}
		}
	}
	return value
}

// AccessModes are all that there are, in upstream's order.
func AccessModes() []corev1.PersistentVolumeAccessMode {
	return []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod}
}

// VolumeIndexes are the indexes of volumes.
func VolumeIndexes() []Index {
	return []Index{{Name: ReservedIndex, Values: func(obj Object) []string {
		ref := obj.(*corev1.PersistentVolume).Spec.ClaimRef
		if ref == nil {
			return nil
		}
		return []string{ref.Namespace + "/" + ref.Name}
	}}, {Name: FreeIndex, Values: func(obj Object) []string {
		v := obj.(*corev1.PersistentVolume)
		if v.Spec.ClaimRef != nil || v.DeletionTimestamp != nil {
			return nil
		}
		return []string{FreeValue(volume.GetPersistentVolumeClass(v), v.Spec.AccessModes)}
	}}}
}

// ClaimIndexes are the indexes of claims.
func ClaimIndexes() []Index {
	return []Index{{Name: UnboundIndex, Values: func(obj Object) []string {
		c := obj.(*corev1.PersistentVolumeClaim)
		if _, done := c.Annotations[volume.AnnBindCompleted]; done {
			return nil
		}
		return []string{volume.GetPersistentVolumeClaimClass(c)}
	}}, {Name: VolumeIndex, Values: func(obj Object) []string {
		name := obj.(*corev1.PersistentVolumeClaim).Spec.VolumeName
		if name == "" {
			return nil
		}
		return []string{name}
	}}}
}

// Indexes of attachments.
const (
	// AttachedIndex is the index of attachments by the volume that they are of: its name, or for one that a pod has without a claim AttachedInline.
	AttachedIndex = "attached"
	// AttachedNodeIndex is the index of attachments by node.
	AttachedNodeIndex = "spec.nodeName"
)

// AttachedInline stands for a volume of a driver that has no name of its own. It is no volume's name.
func AttachedInline(driver, handle string) string { return driver + "^" + handle }

// AttachmentIndexes are the indexes of attachments.
func AttachmentIndexes() []Index {
	return []Index{{Name: AttachedIndex, Values: func(obj Object) []string {
		s := obj.(*storagev1.VolumeAttachment).Spec.Source
		switch {
		case s.PersistentVolumeName != nil:
			return []string{*s.PersistentVolumeName}
		case s.InlineVolumeSpec != nil && s.InlineVolumeSpec.CSI != nil:
			return []string{AttachedInline(s.InlineVolumeSpec.CSI.Driver, s.InlineVolumeSpec.CSI.VolumeHandle)}
		}
		return nil
	}}, {Name: AttachedNodeIndex, Values: func(obj Object) []string { return []string{obj.(*storagev1.VolumeAttachment).Spec.NodeName} }}}
}
