package podspec

import (
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// maxPortal is how long the name of an iSCSI volume and its portal may be together, in characters.
const maxPortal = 64

// validateVolumes reports what is wrong with the volumes, and tells s which can be mounted: those whose name and source are good.
func validateVolumes(s *subject, at place) (errs field.ErrorList) {
	s.volumes = volumes{}
	names, made := sets.New[string](), s.madeClaims()
	for i := range s.Volumes {
		v, at := &s.Volumes[i], at.nth(i)
		bad := append(validateSource(s, v, at), dnsLabel(v.Name, at.in("name"))...)
		if names.Has(v.Name) {
			bad = append(bad, field.Duplicate(at.in("name").path(), v.Name))
		}
		if len(bad) == 0 {
			names.Insert(v.Name)
			s.volumes[v.Name] = &v.VolumeSource
		}
		errs = append(errs, bad...)
		if claim := v.PersistentVolumeClaim; claim != nil && made.Has(claim.ClaimName) {
			errs = append(errs, field.Invalid(at.in("persistentVolumeClaim", "claimName").path(), claim.ClaimName, "must not reference a PVC that gets created for an ephemeral volume"))
		}
	}
	return errs
}

// madeClaims are the names of the claims that are made with the pod. A template does not know them.
func (s *subject) madeClaims() sets.Set[string] {
	made := sets.New[string]()
	for i := range s.Volumes {
		if s.meta != nil && s.meta.Name != "" && s.Volumes[i].Ephemeral != nil {
			made.Insert(s.meta.Name + "-" + s.Volumes[i].Name)
		}
	}
	return made
}

// validateSource checks the first source that is set, and forbids the others. The order is upstream's, which puts sizeless and common ones before
// the disks of clouds.
func validateSource(s *subject, v *corev1.Volume, at place) (errs field.ErrorList) {
	if d := v.EmptyDir; d != nil && d.SizeLimit != nil && d.SizeLimit.Sign() < 0 {
		errs = append(errs, field.Forbidden(at.in("emptyDir", "sizeLimit").path(), "SizeLimit field must be a valid resource quantity"))
	}
	found := v.EmptyDir != nil
	value := reflect.ValueOf(&v.VolumeSource).Elem()
	for _, name := range sourceOrder() {
		source, _ := value.Type().FieldByName(name)
		if value.FieldByIndex(source.Index).IsNil() {
			continue
		}
		label, _, _ := strings.Cut(source.Tag.Get("json"), ",")
		if found {
			errs = append(errs, field.Forbidden(at.in(forbiddenLabel(label)).path(), "may not specify more than 1 volume type"))
		} else if name == "Ephemeral" {
			errs = append(errs, validateOwnClaim(s, v, at)...)
		} else {
			errs = append(errs, validateKnown(s, name, v, at.in(sourceLabel(label)))...)
		}
		found = true
		if name == "ISCSI" && v.ISCSI.InitiatorName != nil && len(v.Name+":"+v.ISCSI.TargetPortal) > maxPortal {
			errs = append(errs, field.Invalid(at.in("name").path(), v.Name, "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."))
		}
	}
	if !found {
		errs = append(errs, field.Required(at.path(), "must specify a volume type"))
	}
	return errs
}

// sourceLabel is where upstream says that something in a source is wrong.
func sourceLabel(label string) string {
	if label == "gcePersistentDisk" {
		return "persistentDisk"
	}
	return label
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

// validateKnown checks the source of the given name.
func validateKnown(s *subject, name string, v *corev1.Volume, at place) (errs field.ErrorList) {
	switch name {
	case "Secret":
		errs = append(errs, mandatory(v.Secret.SecretName, at.in("secretName"))...)
		errs = append(errs, fileMode(v.Secret.DefaultMode, at.in("defaultMode"))...)
		return append(errs, validateItems(v.Secret.Items, at.in("items"))...)
	case "PersistentVolumeClaim":
		return mandatory(v.PersistentVolumeClaim.ClaimName, at.in("claimName"))
	case "DownwardAPI":
		errs = append(errs, fileMode(v.DownwardAPI.DefaultMode, at.in("defaultMode"))...)
		for i := range v.DownwardAPI.Items {
			errs = append(errs, validatePodFile(&v.DownwardAPI.Items[i], at)...)
		}
		return errs
	case "ConfigMap":
		errs = append(errs, mandatory(v.ConfigMap.Name, at.in("name"))...)
		errs = append(errs, fileMode(v.ConfigMap.DefaultMode, at.in("defaultMode"))...)
		return append(errs, validateItems(v.ConfigMap.Items, at.in("items"))...)
	case "Projected":
		return validateProjected(s, v.Projected, at)
	case "Image":
		if s.isPod() {
			errs = append(errs, mandatory(v.Image.Reference, at.in("reference"))...)
		}
		return append(errs, pullPolicies(v.Image.PullPolicy, at.in("pullPolicy"))...)
	}
	return validateDisk(name, &v.VolumeSource, at)
}

// validateOwnClaim checks a claim that is made with the pod, and its name, where the pod's is known.
func validateOwnClaim(s *subject, v *corev1.Volume, volume place) (errs field.ErrorList) {
	at := volume.in("ephemeral")
	if v.Ephemeral.VolumeClaimTemplate == nil {
		errs = append(errs, field.Required(at.in("volumeClaimTemplate").path(), ""))
	} else {
		errs = append(errs, volumespec.ClaimTemplate(v.Ephemeral.VolumeClaimTemplate, at.in("volumeClaimTemplate").path())...)
	}
	if s.meta == nil || s.meta.Name == "" || v.Name == "" {
		return errs
	}
	name := s.meta.Name + "-" + v.Name
	for _, msg := range subdomain(name) {
		errs = append(errs, field.Invalid(volume.in("name").path(), v.Name, fmt.Sprintf("PVC name %q: %v", name, msg)))
	}
	return errs
}

func mandatory(value string, at place) field.ErrorList {
	if value != "" {
		return nil
	}
	return field.ErrorList{field.Required(at.path(), "")}
}

func fileMode(m *int32, at place) field.ErrorList {
	if m == nil || *m >= 0 && *m <= 0o777 {
		return nil
	}
	return field.ErrorList{field.Invalid(at.path(), *m, "must be a number between 0 and 0777 (octal), both inclusive")}
}

func validateItems(items []corev1.KeyToPath, at place) (errs field.ErrorList) {
	for i, item := range items {
		errs = append(errs, validateItem(item, at.nth(i))...)
	}
	return errs
}

func validateItem(item corev1.KeyToPath, at place) field.ErrorList {
	errs := mandatory(item.Key, at.in("key"))
	errs = append(errs, mandatory(item.Path, at.in("path"))...)
	errs = append(errs, ownPath(item.Path, at.in("path"))...)
	return append(errs, fileMode(item.Mode, at.in("mode"))...)
}

// validatePodFile checks a file that tells a field of the pod, or a resource of one of its containers.
func validatePodFile(f *corev1.DownwardAPIVolumeFile, at place) (errs field.ErrorList) {
	errs = append(errs, mandatory(f.Path, at.in("path"))...)
	errs = append(errs, ownPath(f.Path, at.in("path"))...)
	switch {
	case f.FieldRef != nil:
		errs = append(errs, validateFieldRef(f.FieldRef, volumeFields(), at.in("fieldRef"))...)
		if f.ResourceFieldRef != nil {
			errs = append(errs, field.Invalid(at.path(), "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
		}
	case f.ResourceFieldRef != nil:
		errs = append(errs, validateResourceRef(f.ResourceFieldRef, at.in("resourceFieldRef"), true)...)
	default:
		errs = append(errs, field.Required(at.path(), "one of fieldRef and resourceFieldRef is required"))
	}
	return append(errs, fileMode(f.Mode, at.in("mode"))...)
}
