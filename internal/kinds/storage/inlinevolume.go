package storage

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateInline checks a volume that has no object of its own: one that a driver gives, and nothing that only a PersistentVolume has.
func validateInline(s *corev1.PersistentVolumeSpec, path *field.Path) (errs field.ErrorList) {
	refuse := func(name string, there bool) {
		if there {
			errs = append(errs, field.Forbidden(path.Child(name), "may not be specified in the context of inline volumes"))
		}
	}
	refuse("claimRef", s.ClaimRef != nil)
	refuse("capacity", len(s.Capacity) > 0)
	if s.CSI == nil {
		errs = append(errs, field.Required(path.Child("csi"), "has to be specified in the context of inline volumes"))
	}
	errs = append(errs, validateModes(s.AccessModes, path.Child("accessModes"))...)
	if p := s.PersistentVolumeReclaimPolicy; p != "" && p != corev1.PersistentVolumeReclaimRetain {
		errs = append(errs, field.Forbidden(path.Child("persistentVolumeReclaimPolicy"), "may only be Retain in the context of inline volumes"))
	}
	refuse("nodeAffinity", s.NodeAffinity != nil)
	errs = append(errs, validateOneSource(&s.PersistentVolumeSource, path)...)
	refuse("storageClassName", s.StorageClassName != "")
	if m := s.VolumeMode; m != nil && *m != corev1.PersistentVolumeFilesystem {
		errs = append(errs, field.Forbidden(path.Child("volumeMode"), "may not specify volumeMode other than Filesystem in the context of inline volumes"))
	}
	return errs
}

func validateModes(list []corev1.PersistentVolumeAccessMode, path *field.Path) (errs field.ErrorList) {
	if len(list) == 0 {
		errs = append(errs, field.Required(path, ""))
	}
	known := []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod}
	alone, others := false, false
	for _, m := range list {
		switch {
		case !slices.Contains(known, m):
			errs = append(errs, field.NotSupported(path, m, known))
		case m == corev1.ReadWriteOncePod:
			alone = true
		default:
			others = true
		}
	}
	if alone && others {
		errs = append(errs, field.Forbidden(path, "may not use ReadWriteOncePod with other access modes"))
	}
	return errs
}

// validateOneSource refuses a second source. The driver's is the last that upstream looks at, so any other is what it stands beside; what is wrong inside
// those others is not looked for, since they are refused.
func validateOneSource(s *corev1.PersistentVolumeSource, path *field.Path) (errs field.ErrorList) {
	none := true
	for _, source := range []struct {
		name  string
		there bool
	}{
		{"hostPath", s.HostPath != nil}, {"gcePersistentDisk", s.GCEPersistentDisk != nil}, {"awsElasticBlockStore", s.AWSElasticBlockStore != nil},
		{"glusterfs", s.Glusterfs != nil}, {"flocker", s.Flocker != nil}, {"nfs", s.NFS != nil}, {"rbd", s.RBD != nil}, {"quobyte", s.Quobyte != nil},
		{"cephFS", s.CephFS != nil}, {"iscsi", s.ISCSI != nil}, {"cinder", s.Cinder != nil}, {"fc", s.FC != nil}, {"flexVolume", s.FlexVolume != nil},
		{"azureFile", s.AzureFile != nil}, {"vsphereVolume", s.VsphereVolume != nil}, {"photonPersistentDisk", s.PhotonPersistentDisk != nil},
		{"portworxVolume", s.PortworxVolume != nil}, {"azureDisk", s.AzureDisk != nil}, {"scaleIO", s.ScaleIO != nil}, {"local", s.Local != nil},
		{"storageos", s.StorageOS != nil}, {"csi", s.CSI != nil},
	} {
		switch {
		case !source.there:
			continue
		case !none && source.name != "flexVolume":
			errs = append(errs, field.Forbidden(path.Child(source.name), "may not specify more than 1 volume type"))
		case source.name == "csi":
			errs = append(errs, validateCSISource(s.CSI, path.Child("csi"))...)
		case source.name == "local":
			errs = append(errs, field.Required(path.Child("nodeAffinity"), "Local volume requires node affinity"))
		}
		none = false
	}
	if none {
		errs = append(errs, field.Required(path, "must specify a volume type"))
	}
	return errs
}

func validateCSISource(s *corev1.CSIPersistentVolumeSource, path *field.Path) field.ErrorList {
	errs := validateCSIName(s.Driver, path.Child("driver"))
	if s.VolumeHandle == "" {
		errs = append(errs, field.Required(path.Child("volumeHandle"), ""))
	}
	for _, secret := range []struct {
		name string
		ref  *corev1.SecretReference
	}{
		{"controllerPublishSecretRef", s.ControllerPublishSecretRef}, {"controllerExpandSecretRef", s.ControllerExpandSecretRef},
		{"nodePublishSecretRef", s.NodePublishSecretRef}, {"nodeExpandSecretRef", s.NodeExpandSecretRef},
	} {
		if secret.ref != nil {
			errs = append(errs, validateSecret(secret.ref, path.Child(secret.name))...)
		}
	}
	return errs
}

func validateSecret(ref *corev1.SecretReference, path *field.Path) (errs field.ErrorList) {
	if ref.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	} else {
		errs = append(errs, invalid(path.Child("name"), ref.Name, utilvalidation.IsDNS1123Subdomain(ref.Name))...)
	}
	if ref.Namespace == "" {
		return append(errs, field.Required(path.Child("namespace"), ""))
	}
	return append(errs, invalid(path.Child("namespace"), ref.Namespace, utilvalidation.IsDNS1123Label(ref.Namespace))...)
}
