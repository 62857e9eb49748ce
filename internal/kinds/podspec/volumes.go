package podspec

import (
	"path"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateVolumes returns the volumes by name, and what is wrong with them. A volume whose name or source is bad is none that can be mounted.
func validateVolumes(list []corev1.Volume, at *field.Path, pod bool) (found volumes, errs field.ErrorList) {
	found = volumes{}
	names := sets.New[string]()
	for i := range list {
		v, at := &list[i], at.Index(i)
		bad := dnsLabel(v.Name, at.Child("name"))
		if names.Has(v.Name) {
			bad = append(bad, field.Duplicate(at.Child("name"), v.Name))
		}
		bad = append(validateSource(&v.VolumeSource, at, pod), bad...)
		if len(bad) == 0 {
			names.Insert(v.Name)
			found[v.Name] = &v.VolumeSource
		}
		errs = append(errs, bad...)
	}
	return found, errs
}

// validateSource checks the first source that is set, and forbids the others. The order is upstream's, which puts sizeless and common ones before
// the disks of clouds.
func validateSource(v *corev1.VolumeSource, at *field.Path, pod bool) (errs field.ErrorList) {
	if d := v.EmptyDir; d != nil && d.SizeLimit != nil && d.SizeLimit.Sign() < 0 {
		errs = append(errs, field.Forbidden(at.Child("emptyDir", "sizeLimit"), "SizeLimit field must be a valid resource quantity"))
	}
	found := v.EmptyDir != nil
	value := reflect.ValueOf(v).Elem()
	for _, name := range sourceOrder() {
		source, _ := value.Type().FieldByName(name)
		if value.FieldByIndex(source.Index).IsNil() {
			continue
		}
		label, _, _ := strings.Cut(source.Tag.Get("json"), ",")
		if found {
			errs = append(errs, field.Forbidden(at.Child(forbiddenLabel(label)), "may not specify more than 1 volume type"))
			continue
		}
		found = true
		errs = append(errs, validateKnown(name, v, at.Child(label), pod)...)
	}
	if !found {
		errs = append(errs, field.Required(at, "must specify a volume type"))
	}
	return errs
}

// sourceOrder are the fields of a source after EmptyDir.
func sourceOrder() []string {
	return []string{
		"HostPath", "GitRepo", "GCEPersistentDisk", "AWSElasticBlockStore", "Secret", "NFS", "ISCSI", "Glusterfs", "Flocker", "PersistentVolumeClaim", "RBD", "Cinder",
		"CephFS", "Quobyte", "DownwardAPI", "FC", "FlexVolume", "ConfigMap", "AzureFile", "VsphereVolume", "PhotonPersistentDisk", "PortworxVolume", "AzureDisk",
		"StorageOS", "Projected", "ScaleIO", "CSI", "Ephemeral", "Image",
	}
}

// forbiddenLabel is how upstream spells a source that is one too many.
func forbiddenLabel(label string) string {
	switch label {
	case "cephfs":
		return "cephFS"
	case "downwardAPI":
		return "downwarAPI"
	}
	return label
}

// validateKnown checks the source of the given name, if it is one that a node here can give.
func validateKnown(name string, v *corev1.VolumeSource, at *field.Path, pod bool) (errs field.ErrorList) {
	switch name {
	case "HostPath":
		return validateHostPath(v.HostPath, at)
	case "Secret":
		errs = append(errs, mandatory(v.Secret.SecretName, at.Child("secretName"))...)
		errs = append(errs, fileMode(v.Secret.DefaultMode, at.Child("defaultMode"))...)
		return append(errs, validateItems(v.Secret.Items, at.Child("items"))...)
	case "NFS":
		errs = append(errs, mandatory(v.NFS.Server, at.Child("server"))...)
		errs = append(errs, mandatory(v.NFS.Path, at.Child("path"))...)
		if !path.IsAbs(v.NFS.Path) {
			errs = append(errs, field.Invalid(at.Child("path"), v.NFS.Path, "must be an absolute path"))
		}
		return errs
	case "PersistentVolumeClaim":
		return mandatory(v.PersistentVolumeClaim.ClaimName, at.Child("claimName"))
	case "DownwardAPI":
		errs = append(errs, fileMode(v.DownwardAPI.DefaultMode, at.Child("defaultMode"))...)
		for i := range v.DownwardAPI.Items {
			errs = append(errs, validatePodFile(&v.DownwardAPI.Items[i], at)...)
		}
		return errs
	case "ConfigMap":
		errs = append(errs, mandatory(v.ConfigMap.Name, at.Child("name"))...)
		errs = append(errs, fileMode(v.ConfigMap.DefaultMode, at.Child("defaultMode"))...)
		return append(errs, validateItems(v.ConfigMap.Items, at.Child("items"))...)
	case "Projected":
		return validateProjected(v.Projected, at)
	case "Image":
		if pod {
			errs = append(errs, mandatory(v.Image.Reference, at.Child("reference"))...)
		}
		return append(errs, pullPolicies(v.Image.PullPolicy, at.Child("pullPolicy"))...)
	case "Ephemeral":
		if v.Ephemeral.VolumeClaimTemplate == nil {
			errs = append(errs, field.Required(at.Child("volumeClaimTemplate"), ""))
		}
	}
	return errs
}

func mandatory(value string, at *field.Path) field.ErrorList {
	if value != "" {
		return nil
	}
	return field.ErrorList{field.Required(at, "")}
}

func fileMode(m *int32, at *field.Path) field.ErrorList {
	if m == nil || *m >= 0 && *m <= 0o777 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *m, "must be a number between 0 and 0777 (octal), both inclusive")}
}

func validateHostPath(h *corev1.HostPathVolumeSource, at *field.Path) field.ErrorList {
	if h.Path == "" {
		return mandatory("", at.Child("path"))
	}
	errs := noBacksteps(h.Path, at.Child("path"))
	return append(errs, optional(h.Type, at.Child("type"), corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
		corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
}

func validateItems(items []corev1.KeyToPath, at *field.Path) (errs field.ErrorList) {
	for i, item := range items {
		errs = append(errs, validateItem(item, at.Index(i))...)
	}
	return errs
}

func validateItem(item corev1.KeyToPath, at *field.Path) field.ErrorList {
	errs := mandatory(item.Key, at.Child("key"))
	errs = append(errs, mandatory(item.Path, at.Child("path"))...)
	errs = append(errs, ownPath(item.Path, at.Child("path"))...)
	return append(errs, fileMode(item.Mode, at.Child("mode"))...)
}

// validatePodFile checks a file that tells a field of the pod, or a resource of one of its containers.
func validatePodFile(f *corev1.DownwardAPIVolumeFile, at *field.Path) (errs field.ErrorList) {
	errs = append(errs, mandatory(f.Path, at.Child("path"))...)
	errs = append(errs, ownPath(f.Path, at.Child("path"))...)
	switch {
	case f.FieldRef != nil:
		errs = append(errs, validateFieldRef(f.FieldRef, volumeFields(), at.Child("fieldRef"))...)
		if f.ResourceFieldRef != nil {
			errs = append(errs, field.Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
		}
	case f.ResourceFieldRef != nil:
		errs = append(errs, validateResourceRef(f.ResourceFieldRef, at.Child("resourceFieldRef"), true)...)
	default:
		errs = append(errs, field.Required(at, "one of fieldRef and resourceFieldRef is required"))
	}
	return append(errs, fileMode(f.Mode, at.Child("mode"))...)
}
