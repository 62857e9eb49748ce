package podspec

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// validateDisk checks the sources that are directories and disks somewhere: on the node, in the network, of a cloud. Drivers that are gone are checked all
// the same, so that who still names them is told what upstream tells.
func validateDisk(name string, v *corev1.VolumeSource, at place) field.ErrorList {
	switch name {
	case "HostPath":
		return volumespec.HostPath(v.HostPath, at.path())
	case "GitRepo":
		return append(mandatory(v.GitRepo.Repository, at.in("repository")), localPath(v.GitRepo.Directory, at.in("directory"))...)
	case "GCEPersistentDisk":
		return volumespec.Disk("pdName", v.GCEPersistentDisk.PDName, v.GCEPersistentDisk.Partition, at.path())
	case "AWSElasticBlockStore":
		return volumespec.Disk("volumeID", v.AWSElasticBlockStore.VolumeID, v.AWSElasticBlockStore.Partition, at.path())
	case "NFS":
		return volumespec.NFS(v.NFS, at.path())
	case "ISCSI":
		return validateISCSI(v.ISCSI, at)
	case "Glusterfs":
		return volumespec.Need(at.path(), "endpoints", v.Glusterfs.EndpointsName, "path", v.Glusterfs.Path)
	case "Flocker":
		return volumespec.Flocker(v.Flocker, at.path())
	case "RBD":
		return append(volumespec.NeedSome(len(v.RBD.CephMonitors), at.in("monitors").path()), mandatory(v.RBD.RBDImage, at.in("image"))...)
	case "Cinder":
		errs := mandatory(v.Cinder.VolumeID, at.in("volumeID"))
		if ref := v.Cinder.SecretRef; ref != nil {
			errs = append(errs, mandatory(ref.Name, at.in("secretRef", "name"))...)
		}
		return errs
	case "CephFS":
		return volumespec.NeedSome(len(v.CephFS.Monitors), at.in("monitors").path())
	case "Quobyte":
		return volumespec.Quobyte(v.Quobyte, at.path())
	case "FC":
		return volumespec.FC(v.FC, at.path())
	case "FlexVolume":
		return volumespec.Flex(v.FlexVolume.Driver, v.FlexVolume.Options, at.path())
	case "AzureFile":
		return volumespec.Need(at.path(), "secretName", v.AzureFile.SecretName, "shareName", v.AzureFile.ShareName)
	}
	return validateVendorDisk(name, v, at)
}

func validateVendorDisk(name string, v *corev1.VolumeSource, at place) (errs field.ErrorList) {
	switch name {
	case "VsphereVolume":
		return mandatory(v.VsphereVolume.VolumePath, at.in("volumePath"))
	case "PhotonPersistentDisk":
		return mandatory(v.PhotonPersistentDisk.PdID, at.in("pdID"))
	case "PortworxVolume":
		return mandatory(v.PortworxVolume.VolumeID, at.in("volumeID"))
	case "AzureDisk":
		return volumespec.AzureDisk(v.AzureDisk, at.path())
	case "StorageOS":
		errs = volumespec.StorageOS(v.StorageOS.VolumeName, v.StorageOS.VolumeNamespace, at.path())
		if ref := v.StorageOS.SecretRef; ref != nil {
			errs = append(errs, mandatory(ref.Name, at.in("secretRef", "name"))...)
		}
	case "ScaleIO":
		return volumespec.Need(at.path(), "gateway", v.ScaleIO.Gateway, "system", v.ScaleIO.System, "volumeName", v.ScaleIO.VolumeName)
	case "CSI":
		errs = volumespec.DriverName(v.CSI.Driver, at.in("driver").path())
		if ref := v.CSI.NodePublishSecretRef; ref != nil {
			errs = append(errs, mandatory(ref.Name, at.in("nodePublishSecretRef", "name"))...)
			errs = append(errs, named(ref.Name, at.in("name"), subdomain)...) // upstream's path
		}
	}
	return errs
}

func validateISCSI(v *corev1.ISCSIVolumeSource, at place) field.ErrorList {
	errs := mandatory(v.TargetPortal, at.in("targetPortal"))
	target := volumespec.ISCSI{IQN: v.IQN, LUN: v.Lun, Initiator: v.InitiatorName, BadName: "must be valid format starting with iqn, eui, or naa"}
	errs = append(errs, target.Target(at.path())...)
	if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
		errs = append(errs, field.Required(at.in("secretRef").path(), ""))
	}
	return append(errs, target.Own(at.path())...)
}
