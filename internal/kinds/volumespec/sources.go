package volumespec

import (
	"maps"
	"net"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Need wants texts, given as pairs of a field's name and its value, not to be empty.
func Need(path *field.Path, pairs ...string) (errs field.ErrorList) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			errs = append(errs, field.Required(path.Child(pairs[i]), ""))
		}
	}
	return errs
}

// NeedSome wants a list of n things not to be empty.
func NeedSome(n int, path *field.Path) field.ErrorList {
	if n > 0 {
		return nil
	}
	return field.ErrorList{field.Required(path, "")}
}

// Disk checks a disk of a cloud: where its name stands, and the number of its partition. Upstream's message says less of numbers than it allows.
func Disk(name, value string, partition int32, path *field.Path) field.ErrorList {
	errs := Need(path, name, value)
	if partition < 0 || partition > 255 {
		errs = append(errs, field.Invalid(path.Child("partition"), partition, utilvalidation.InclusiveRangeError(1, 255)))
	}
	return errs
}

// NoWayUp refuses a path that leads up.
func NoWayUp(p string, path *field.Path) field.ErrorList {
	if slices.Contains(strings.Split(filepath.ToSlash(p), "/"), "..") {
		return field.ErrorList{field.Invalid(path, p, "must not contain '..'")}
	}
	return nil
}

// HostPath checks a place on the node.
func HostPath(v *corev1.HostPathVolumeSource, path *field.Path) field.ErrorList {
	if v.Path == "" {
		return Need(path, "path", "")
	}
	errs := NoWayUp(v.Path, path.Child("path"))
	if v.Type != nil {
		errs = append(errs, oneOf(path.Child("type"), *v.Type, corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
			corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
	}
	return errs
}

// NFS checks an exported directory.
func NFS(v *corev1.NFSVolumeSource, at *field.Path) field.ErrorList {
	errs := Need(at, "server", v.Server, "path", v.Path)
	if !path.IsAbs(v.Path) {
		errs = append(errs, field.Invalid(at.Child("path"), v.Path, "must be an absolute path"))
	}
	return errs
}

// Flocker checks a dataset, which has a name or an identity.
func Flocker(v *corev1.FlockerVolumeSource, path *field.Path) (errs field.ErrorList) {
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

// Quobyte checks a volume behind registries.
func Quobyte(v *corev1.QuobyteVolumeSource, path *field.Path) (errs field.ErrorList) {
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
	return append(errs, Need(path, "volume", v.Volume)...)
}

// ISCSI is what of a target pods and persistent volumes have in common; their references to secrets differ.
type ISCSI struct {
	IQN       string
	LUN       int32
	Initiator *string // nil: the node's own
	BadName   string  // the detail for a name of no known form
}

// Target checks what a target is called, and which of its units is used.
func (v ISCSI) Target(path *field.Path) (errs field.ErrorList) {
	if v.IQN == "" {
		errs = Need(path, "iqn", "")
	} else {
		errs = v.name(v.IQN, path.Child("iqn"))
	}
	if v.LUN < 0 || v.LUN > 255 {
		errs = append(errs, field.Invalid(path.Child("lun"), v.LUN, utilvalidation.InclusiveRangeError(0, 255)))
	}
	return errs
}

// Own checks the name under which a node appears.
func (v ISCSI) Own(path *field.Path) field.ErrorList {
	if v.Initiator == nil {
		return nil
	}
	return v.name(*v.Initiator, path.Child("initiatorname"))
}

// name knows iSCSI's three forms (RFC 3720, 3.2.6; RFC 3980).
func (v ISCSI) name(name string, at *field.Path) field.ErrorList {
	for _, form := range []struct{ prefix, pattern string }{
		{"iqn", `iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`}, {"eui", `^eui.[[:alnum:]]{16}$`}, {"naa", `^naa.[[:alnum:]]{32}$`},
	} {
		if !strings.HasPrefix(name, form.prefix) {
			continue
		}
		if regexp.MustCompile(form.pattern).MatchString(name) {
			return nil
		}
		return field.ErrorList{field.Invalid(at, name, "must be valid format")}
	}
	return field.ErrorList{field.Invalid(at, name, v.BadName)}
}

// FC checks a disk behind a fibre channel.
func FC(v *corev1.FCVolumeSource, path *field.Path) (errs field.ErrorList) {
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

// Flex checks a driver that is a program on the node, and its options.
func Flex(driver string, options map[string]string, path *field.Path) field.ErrorList {
	errs := Need(path, "driver", driver)
	for _, k := range slices.Sorted(maps.Keys(options)) {
		domain, _, _ := strings.Cut(k, "/")
		domain = "." + strings.ToLower(domain)
		if strings.HasSuffix(domain, ".kubernetes.io") || strings.HasSuffix(domain, ".k8s.io") {
			errs = append(errs, field.Invalid(path.Child("options").Key(k), k, "kubernetes.io and k8s.io namespaces are reserved"))
		}
	}
	return errs
}

// AzureDisk checks a disk of Azure's, whose address has the form that its kind asks for.
func AzureDisk(v *corev1.AzureDiskVolumeSource, path *field.Path) field.ErrorList {
	errs := Need(path, "diskName", v.DiskName, "diskURI", v.DataDiskURI)
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

// StorageOS checks the name of a volume and its namespace, which may be left out.
func StorageOS(name, namespace string, path *field.Path) field.ErrorList {
	errs := Need(path, "volumeName", name)
	if name != "" {
		errs = append(errs, invalid(path.Child("volumeName"), name, utilvalidation.IsDNS1123Label(name))...)
	}
	if namespace != "" {
		errs = append(errs, invalid(path.Child("volumeNamespace"), namespace, utilvalidation.IsDNS1123Label(namespace))...)
	}
	return errs
}

// DriverName checks the name of a CSI driver.
func DriverName(name string, path *field.Path) (errs field.ErrorList) {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if len(name) > 63 {
		errs = append(errs, field.TooLong(path, "", 63))
	}
	return append(errs, invalid(path, name, utilvalidation.IsDNS1123Subdomain(strings.ToLower(name)))...)
}
