package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// Rules of what a persistent volume may be made of.

// source is one thing that a volume may be made of. Names are upstream's, one for having too many and one for what is wrong in it.
type source struct {
	set       bool
	name, sub string
	check     func(*field.Path) field.ErrorList
}

// validateSources wants exactly one source, and checks the first; upstream's order says which that is.
func validateSources(s *corev1.PersistentVolumeSpec, name string, path *field.Path) (errs field.ErrorList) {
	n := 0
	for _, src := range append(blockSources(s, name), vendorSources(s)...) {
		if !src.set {
			continue
		}
		if n++; n > 1 && src.name != "flexVolume" { // upstream forgets this one
			errs = append(errs, field.Forbidden(path.Child(src.name), "may not specify more than 1 volume type"))
			continue
		}
		sub := src.sub
		if sub == "" {
			sub = src.name
		}
		errs = append(errs, src.check(path.Child(sub))...)
		if src.name == "local" && s.NodeAffinity == nil {
			errs = append(errs, field.Required(path.Child("nodeAffinity"), "Local volume requires node affinity"))
		}
	}
	if n == 0 {
		errs = append(errs, field.Required(path, "must specify a volume type"))
	}
	return errs
}

// blockSources are the first half of upstream's order.
func blockSources(s *corev1.PersistentVolumeSpec, name string) []source {
	return []source{
		{s.HostPath != nil, "hostPath", "", func(at *field.Path) field.ErrorList { return volumespec.HostPath(s.HostPath, at) }},
		{s.GCEPersistentDisk != nil, "gcePersistentDisk", "persistentDisk", func(at *field.Path) field.ErrorList {
			return volumespec.Disk("pdName", s.GCEPersistentDisk.PDName, s.GCEPersistentDisk.Partition, at)
		}},
		{s.AWSElasticBlockStore != nil, "awsElasticBlockStore", "", func(at *field.Path) field.ErrorList {
			return volumespec.Disk("volumeID", s.AWSElasticBlockStore.VolumeID, s.AWSElasticBlockStore.Partition, at)
		}},
		{s.Glusterfs != nil, "glusterfs", "", func(at *field.Path) field.ErrorList { return validateGluster(s.Glusterfs, at) }},
		{s.Flocker != nil, "flocker", "", func(at *field.Path) field.ErrorList { return volumespec.Flocker(s.Flocker, at) }},
		{s.NFS != nil, "nfs", "", func(at *field.Path) field.ErrorList { return volumespec.NFS(s.NFS, at) }},
		{s.RBD != nil, "rbd", "", func(at *field.Path) field.ErrorList {
			return append(volumespec.NeedSome(len(s.RBD.CephMonitors), at.Child("monitors")), volumespec.Need(at, "image", s.RBD.RBDImage)...)
		}},
		{s.Quobyte != nil, "quobyte", "", func(at *field.Path) field.ErrorList { return volumespec.Quobyte(s.Quobyte, at) }},
		{s.CephFS != nil, "cephFS", "cephfs", func(at *field.Path) field.ErrorList {
			return volumespec.NeedSome(len(s.CephFS.Monitors), at.Child("monitors"))
		}},
		{s.ISCSI != nil, "iscsi", "", func(at *field.Path) field.ErrorList { return validateISCSI(s.ISCSI, name, at) }},
		{s.Cinder != nil, "cinder", "", func(at *field.Path) field.ErrorList {
			errs := volumespec.Need(at, "volumeID", s.Cinder.VolumeID)
			if ref := s.Cinder.SecretRef; ref != nil {
				errs = append(errs, volumespec.Need(at.Child("secretRef"), "name", ref.Name, "namespace", ref.Namespace)...)
			}
			return errs
		}},
		{s.FC != nil, "fc", "", func(at *field.Path) field.ErrorList { return volumespec.FC(s.FC, at) }},
	}
}

// vendorSources are the second half of upstream's order.
func vendorSources(s *corev1.PersistentVolumeSpec) []source {
	return []source{
		{s.FlexVolume != nil, "flexVolume", "", func(at *field.Path) field.ErrorList {
			return volumespec.Flex(s.FlexVolume.Driver, s.FlexVolume.Options, at)
		}},
		{s.AzureFile != nil, "azureFile", "", func(at *field.Path) field.ErrorList {
			errs := volumespec.Need(at, "secretName", s.AzureFile.SecretName, "shareName", s.AzureFile.ShareName)
			if ns := s.AzureFile.SecretNamespace; ns != nil {
				errs = append(errs, volumespec.Need(at, "secretNamespace", *ns)...)
			}
			return errs
		}},
		{s.VsphereVolume != nil, "vsphereVolume", "", func(at *field.Path) field.ErrorList {
			return volumespec.Need(at, "volumePath", s.VsphereVolume.VolumePath)
		}},
		{s.PhotonPersistentDisk != nil, "photonPersistentDisk", "", func(at *field.Path) field.ErrorList { return volumespec.Need(at, "pdID", s.PhotonPersistentDisk.PdID) }},
		{s.PortworxVolume != nil, "portworxVolume", "", func(at *field.Path) field.ErrorList {
			return volumespec.Need(at, "volumeID", s.PortworxVolume.VolumeID)
		}},
		{s.AzureDisk != nil, "azureDisk", "", func(at *field.Path) field.ErrorList { return volumespec.AzureDisk(s.AzureDisk, at) }},
		{s.ScaleIO != nil, "scaleIO", "", func(at *field.Path) field.ErrorList {
			return volumespec.Need(at, "gateway", s.ScaleIO.Gateway, "system", s.ScaleIO.System, "volumeName", s.ScaleIO.VolumeName)
		}},
		{s.Local != nil, "local", "", func(at *field.Path) field.ErrorList {
			return append(volumespec.Need(at, "path", s.Local.Path), volumespec.NoWayUp(s.Local.Path, at.Child("path"))...)
		}},
		{s.StorageOS != nil, "storageos", "", func(at *field.Path) field.ErrorList { return validateStorageOS(s.StorageOS, at) }},
		{s.CSI != nil, "csi", "", func(at *field.Path) field.ErrorList { return validateCSI(s.CSI, at) }},
	}
}

func validateGluster(v *corev1.GlusterfsPersistentVolumeSource, path *field.Path) field.ErrorList {
	errs := volumespec.Need(path, "endpoints", v.EndpointsName, "path", v.Path)
	if v.EndpointsNamespace == nil {
		return errs
	}
	ns, at := *v.EndpointsNamespace, path.Child("endpointsNamespace")
	if ns == "" {
		return append(errs, field.Invalid(at, ns, "if the endpointnamespace is set, it must be a valid namespace name"))
	}
	return append(errs, invalid(at, ns, validation.ValidateNamespaceName(ns, false))...)
}

func validateISCSI(v *corev1.ISCSIPersistentVolumeSource, name string, path *field.Path) field.ErrorList {
	errs := volumespec.Need(path, "targetPortal", v.TargetPortal)
	if v.InitiatorName != nil && len(name+":"+v.TargetPortal) > 64 {
		errs = append(errs, field.Invalid(path.Child("targetportal"), v.TargetPortal,
			"Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."))
	}
	target := volumespec.ISCSI{IQN: v.IQN, LUN: v.Lun, Initiator: v.InitiatorName, BadName: "must be valid format"}
	errs = append(errs, target.Target(path)...)
	if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
		errs = append(errs, field.Required(path.Child("secretRef"), ""))
	}
	if v.SecretRef != nil {
		errs = append(errs, volumespec.Need(path.Child("secretRef"), "name", v.SecretRef.Name)...)
	}
	return append(errs, target.Own(path)...)
}

func validateStorageOS(v *corev1.StorageOSPersistentVolumeSource, path *field.Path) field.ErrorList {
	errs := volumespec.StorageOS(v.VolumeName, v.VolumeNamespace, path)
	if ref := v.SecretRef; ref != nil {
		errs = append(errs, volumespec.Need(path.Child("secretRef"), "name", ref.Name, "namespace", ref.Namespace)...)
	}
	return errs
}

func validateCSI(v *corev1.CSIPersistentVolumeSource, path *field.Path) field.ErrorList {
	errs := volumespec.DriverName(v.Driver, path.Child("driver"))
	errs = append(errs, volumespec.Need(path, "volumeHandle", v.VolumeHandle)...)
	for _, secret := range []struct {
		name string
		ref  *corev1.SecretReference
	}{
		{"controllerPublishSecretRef", v.ControllerPublishSecretRef}, {"controllerExpandSecretRef", v.ControllerExpandSecretRef},
		{"nodePublishSecretRef", v.NodePublishSecretRef}, {"nodeExpandSecretRef", v.NodeExpandSecretRef},
	} {
		if ref, at := secret.ref, path.Child(secret.name); ref != nil {
			errs = append(errs, named(ref.Name, at.Child("name"), utilvalidation.IsDNS1123Subdomain)...)
			errs = append(errs, named(ref.Namespace, at.Child("namespace"), utilvalidation.IsDNS1123Label)...)
		}
	}
	return errs
}

func named(value string, path *field.Path, rule func(string) []string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return invalid(path, value, rule(value))
}
