package core

import (
	"maps"
	"net"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
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
		{s.HostPath != nil, "hostPath", "", func(at *field.Path) field.ErrorList { return validateHostPath(s.HostPath, at) }},
		{s.GCEPersistentDisk != nil, "gcePersistentDisk", "persistentDisk", func(at *field.Path) field.ErrorList {
			return append(need(at, "pdName", s.GCEPersistentDisk.PDName), partition(s.GCEPersistentDisk.Partition, at)...)
		}},
		{s.AWSElasticBlockStore != nil, "awsElasticBlockStore", "", func(at *field.Path) field.ErrorList {
			return append(need(at, "volumeID", s.AWSElasticBlockStore.VolumeID), partition(s.AWSElasticBlockStore.Partition, at)...)
		}},
		{s.Glusterfs != nil, "glusterfs", "", func(at *field.Path) field.ErrorList { return validateGluster(s.Glusterfs, at) }},
		{s.Flocker != nil, "flocker", "", func(at *field.Path) field.ErrorList { return validateFlocker(s.Flocker, at) }},
		{s.NFS != nil, "nfs", "", func(at *field.Path) field.ErrorList {
			errs := need(at, "server", s.NFS.Server, "path", s.NFS.Path)
			if !path.IsAbs(s.NFS.Path) {
				errs = append(errs, field.Invalid(at.Child("path"), s.NFS.Path, "must be an absolute path"))
			}
			return errs
		}},
		{s.RBD != nil, "rbd", "", func(at *field.Path) field.ErrorList {
			return append(needSome(len(s.RBD.CephMonitors), at.Child("monitors")), need(at, "image", s.RBD.RBDImage)...)
		}},
		{s.Quobyte != nil, "quobyte", "", func(at *field.Path) field.ErrorList { return validateQuobyte(s.Quobyte, at) }},
		{s.CephFS != nil, "cephFS", "cephfs", func(at *field.Path) field.ErrorList { return needSome(len(s.CephFS.Monitors), at.Child("monitors")) }},
		{s.ISCSI != nil, "iscsi", "", func(at *field.Path) field.ErrorList { return validateISCSI(s.ISCSI, name, at) }},
		{s.Cinder != nil, "cinder", "", func(at *field.Path) field.ErrorList {
			errs := need(at, "volumeID", s.Cinder.VolumeID)
			if ref := s.Cinder.SecretRef; ref != nil {
				errs = append(errs, need(at.Child("secretRef"), "name", ref.Name, "namespace", ref.Namespace)...)
			}
			return errs
		}},
		{s.FC != nil, "fc", "", func(at *field.Path) field.ErrorList { return validateFC(s.FC, at) }},
	}
}

// vendorSources are the second half of upstream's order.
func vendorSources(s *corev1.PersistentVolumeSpec) []source {
	return []source{
		{s.FlexVolume != nil, "flexVolume", "", func(at *field.Path) field.ErrorList { return validateFlex(s.FlexVolume, at) }},
		{s.AzureFile != nil, "azureFile", "", func(at *field.Path) field.ErrorList {
			errs := need(at, "secretName", s.AzureFile.SecretName, "shareName", s.AzureFile.ShareName)
			if ns := s.AzureFile.SecretNamespace; ns != nil {
				errs = append(errs, need(at, "secretNamespace", *ns)...)
			}
			return errs
		}},
		{s.VsphereVolume != nil, "vsphereVolume", "", func(at *field.Path) field.ErrorList { return need(at, "volumePath", s.VsphereVolume.VolumePath) }},
		{s.PhotonPersistentDisk != nil, "photonPersistentDisk", "", func(at *field.Path) field.ErrorList { return need(at, "pdID", s.PhotonPersistentDisk.PdID) }},
		{s.PortworxVolume != nil, "portworxVolume", "", func(at *field.Path) field.ErrorList { return need(at, "volumeID", s.PortworxVolume.VolumeID) }},
		{s.AzureDisk != nil, "azureDisk", "", func(at *field.Path) field.ErrorList { return validateAzureDisk(s.AzureDisk, at) }},
		{s.ScaleIO != nil, "scaleIO", "", func(at *field.Path) field.ErrorList {
			return need(at, "gateway", s.ScaleIO.Gateway, "system", s.ScaleIO.System, "volumeName", s.ScaleIO.VolumeName)
		}},
		{s.Local != nil, "local", "", func(at *field.Path) field.ErrorList {
			return append(need(at, "path", s.Local.Path), noWayUp(s.Local.Path, at.Child("path"))...)
		}},
		{s.StorageOS != nil, "storageos", "", func(at *field.Path) field.ErrorList { return validateStorageOS(s.StorageOS, at) }},
		{s.CSI != nil, "csi", "", func(at *field.Path) field.ErrorList { return validateCSI(s.CSI, at) }},
	}
}

// need wants texts, given as pairs of a field's name and its value, not to be empty.
func need(path *field.Path, pairs ...string) (errs field.ErrorList) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			errs = append(errs, field.Required(path.Child(pairs[i]), ""))
		}
	}
	return errs
}

func needSome(n int, path *field.Path) field.ErrorList {
	if n > 0 {
		return nil
	}
	return field.ErrorList{field.Required(path, "")}
}

// partition checks a number. Upstream's message says less than it allows.
func partition(n int32, path *field.Path) field.ErrorList {
	if n >= 0 && n <= 255 {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("partition"), n, utilvalidation.InclusiveRangeError(1, 255))}
}

func noWayUp(p string, path *field.Path) field.ErrorList {
	if slices.Contains(strings.Split(filepath.ToSlash(p), "/"), "..") {
		return field.ErrorList{field.Invalid(path, p, "must not contain '..'")}
	}
	return nil
}

func validateHostPath(v *corev1.HostPathVolumeSource, path *field.Path) field.ErrorList {
	if v.Path == "" {
		return need(path, "path", "")
	}
	errs := noWayUp(v.Path, path.Child("path"))
	known := []corev1.HostPathType{
		corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate,
		corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket,
	}
	if v.Type != nil && !slices.Contains(known, *v.Type) {
		errs = append(errs, field.NotSupported(path.Child("type"), v.Type, known))
	}
	return errs
}

func validateGluster(v *corev1.GlusterfsPersistentVolumeSource, path *field.Path) field.ErrorList {
	errs := need(path, "endpoints", v.EndpointsName, "path", v.Path)
	if v.EndpointsNamespace == nil {
		return errs
	}
	ns, at := *v.EndpointsNamespace, path.Child("endpointsNamespace")
	if ns == "" {
		return append(errs, field.Invalid(at, ns, "if the endpointnamespace is set, it must be a valid namespace name"))
	}
	return append(errs, invalid(at, ns, validation.ValidateNamespaceName(ns, false))...)
}

func validateFlocker(v *corev1.FlockerVolumeSource, path *field.Path) (errs field.ErrorList) {
	if v.DatasetName == "" && v.DatasetUUID == "" {
		errs = append(errs, field.Required(path, "one of datasetName and datasetUUID is required"))
	}
	if v.DatasetName != "" && v.DatasetUUID != "" {
		errs = append(errs, field.Invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
	}
	if strings.Contains(v.DatasetName, "/") {
		errs = append(errs, field.Invalid(path.Child("datasetName"), v.DatasetName, "must not contain '/'"))
	}
	return errs
}

func validateQuobyte(v *corev1.QuobyteVolumeSource, path *field.Path) (errs field.ErrorList) {
	const pairs = "must be a host:port pair or multiple pairs separated by commas"
	switch {
	case v.Registry == "":
		errs = append(errs, field.Required(path.Child("registry"), pairs))
	case len(v.Tenant) >= 65:
		errs = append(errs, field.Required(path.Child("tenant"), "must be a UUID and may not exceed a length of 64 characters"))
	default:
		for pair := range strings.SplitSeq(v.Registry, ",") {
			if _, _, err := net.SplitHostPort(pair); err != nil {
				errs = append(errs, field.Invalid(path.Child("registry"), v.Registry, pairs))
			}
		}
	}
	return append(errs, need(path, "volume", v.Volume)...)
}

func validateISCSI(v *corev1.ISCSIPersistentVolumeSource, name string, path *field.Path) field.ErrorList {
	errs := need(path, "targetPortal", v.TargetPortal)
	if v.InitiatorName != nil && len(name+":"+v.TargetPortal) > 64 {
		errs = append(errs, field.Invalid(path.Child("targetportal"), v.TargetPortal,
			"Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."))
	}
	if v.IQN == "" {
		errs = append(errs, need(path, "iqn", "")...)
	} else if !isQualified(v.IQN) {
		errs = append(errs, field.Invalid(path.Child("iqn"), v.IQN, "must be valid format"))
	}
	if v.Lun < 0 || v.Lun > 255 {
		errs = append(errs, field.Invalid(path.Child("lun"), v.Lun, utilvalidation.InclusiveRangeError(0, 255)))
	}
	if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
		errs = append(errs, field.Required(path.Child("secretRef"), ""))
	}
	if v.SecretRef != nil {
		errs = append(errs, need(path.Child("secretRef"), "name", v.SecretRef.Name)...)
	}
	if v.InitiatorName != nil && !isQualified(*v.InitiatorName) {
		errs = append(errs, field.Invalid(path.Child("initiatorname"), *v.InitiatorName, "must be valid format"))
	}
	return errs
}

// isQualified says that a name is one of iSCSI's three forms (RFC 3720, 3.2.6; RFC 3980).
func isQualified(name string) bool {
	for _, form := range []struct{ prefix, pattern string }{
		{"iqn", `iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`}, {"eui", `^eui.[[:alnum:]]{16}$`}, {"naa", `^naa.[[:alnum:]]{32}$`},
	} {
		if strings.HasPrefix(name, form.prefix) {
			return regexp.MustCompile(form.pattern).MatchString(name)
		}
	}
	return false
}

func validateFC(v *corev1.FCVolumeSource, path *field.Path) (errs field.ErrorList) {
	names := path.Child("targetWWNs")
	if len(v.TargetWWNs) == 0 && len(v.WWIDs) == 0 {
		errs = append(errs, field.Required(names, "must specify either targetWWNs or wwids, but not both"))
	}
	if len(v.TargetWWNs) != 0 && len(v.WWIDs) != 0 {
		errs = append(errs, field.Invalid(names, v.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously"))
	}
	switch {
	case len(v.TargetWWNs) == 0:
	case v.Lun == nil:
		errs = append(errs, field.Required(path.Child("lun"), "lun is required if targetWWNs is specified"))
	case *v.Lun < 0 || *v.Lun > 255:
		errs = append(errs, field.Invalid(path.Child("lun"), v.Lun, utilvalidation.InclusiveRangeError(0, 255)))
	}
	return errs
}

func validateFlex(v *corev1.FlexPersistentVolumeSource, path *field.Path) field.ErrorList {
	errs := need(path, "driver", v.Driver)
	for _, k := range slices.Sorted(maps.Keys(v.Options)) {
		domain, _, _ := strings.Cut(k, "/")
		domain = "." + strings.ToLower(domain)
		if strings.HasSuffix(domain, ".kubernetes.io") || strings.HasSuffix(domain, ".k8s.io") {
			errs = append(errs, field.Invalid(path.Child("options").Key(k), k, "kubernetes.io and k8s.io namespaces are reserved"))
		}
	}
	return errs
}

func validateAzureDisk(v *corev1.AzureDiskVolumeSource, path *field.Path) field.ErrorList {
	errs := need(path, "diskName", v.DiskName, "diskURI", v.DataDiskURI)
	if v.CachingMode != nil {
		errs = append(errs, oneOf(path.Child("cachingMode"), *v.CachingMode, corev1.AzureDataDiskCachingNone, corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)...)
	}
	if v.Kind == nil {
		return errs
	}
	errs = append(errs, oneOf(path.Child("kind"), *v.Kind, corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)...)
	prefix, form := "https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
	if *v.Kind == corev1.AzureManagedDisk {
		prefix, form = "/subscriptions/", "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
	}
	if !strings.HasPrefix(v.DataDiskURI, prefix) {
		errs = append(errs, field.NotSupported(path.Child("diskURI"), v.DataDiskURI, []string{form}))
	}
	return errs
}

func validateStorageOS(v *corev1.StorageOSPersistentVolumeSource, path *field.Path) field.ErrorList {
	errs := need(path, "volumeName", v.VolumeName)
	if v.VolumeName != "" {
		errs = append(errs, invalid(path.Child("volumeName"), v.VolumeName, utilvalidation.IsDNS1123Label(v.VolumeName))...)
	}
	if ns := v.VolumeNamespace; ns != "" {
		errs = append(errs, invalid(path.Child("volumeNamespace"), ns, utilvalidation.IsDNS1123Label(ns))...)
	}
	if ref := v.SecretRef; ref != nil {
		errs = append(errs, need(path.Child("secretRef"), "name", ref.Name, "namespace", ref.Namespace)...)
	}
	return errs
}

func validateCSI(v *corev1.CSIPersistentVolumeSource, path *field.Path) (errs field.ErrorList) {
	driver := path.Child("driver")
	if v.Driver == "" {
		errs = append(errs, field.Required(driver, ""))
	} else {
		if len(v.Driver) > 63 {
			errs = append(errs, field.TooLong(driver, "", 63))
		}
		errs = append(errs, invalid(driver, v.Driver, utilvalidation.IsDNS1123Subdomain(strings.ToLower(v.Driver)))...)
	}
	errs = append(errs, need(path, "volumeHandle", v.VolumeHandle)...)
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
