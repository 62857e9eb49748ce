package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// Rules of persistent volumes, besides those of each source.

// mountOptions is where options stood before there was a field for them.
const mountOptions = "volume.beta.kubernetes.io/mount-options"

// validateVolume checks pv as the next state of was; nil: there is none.
func validateVolume(pv, was *corev1.PersistentVolume) field.ErrorList {
	s, path := &pv.Spec, field.NewPath("spec")
	var errs field.ErrorList
	if len(s.AccessModes) == 0 {
		errs = append(errs, field.Required(path.Child("accessModes"), ""))
	}
	errs = append(errs, volumespec.Modes(s.AccessModes, path.Child("accessModes"))...)
	errs = append(errs, validateCapacity(s.Capacity, path.Child("capacity"))...)
	if p := s.PersistentVolumeReclaimPolicy; p != "" {
		errs = append(errs, oneOf(path.Child("persistentVolumeReclaimPolicy"), p, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain)...)
	}
	errs = append(errs, validateVolumeAffinity(s.NodeAffinity, was, path.Child("nodeAffinity"))...)
	errs = append(errs, validateSources(s, pv.Name, path)...)
	if isRoot(s) && s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		errs = append(errs, field.Forbidden(path.Child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'"))
	}
	errs = append(errs, volumespec.Class(s.StorageClassName, path.Child("storageClassName"))...)
	if s.VolumeMode != nil {
		errs = append(errs, oneOf(path.Child("volumeMode"), *s.VolumeMode, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)...)
	}
	if class := s.VolumeAttributesClassName; class != nil {
		at := path.Child("volumeAttributesClassName")
		if *class == "" {
			errs = append(errs, field.Required(at, "an empty string is disallowed"))
		}
		errs = append(errs, volumespec.Class(*class, at)...)
		if s.CSI == nil {
			errs = append(errs, field.Required(path.Child("csi"), "has to be specified when using volumeAttributesClassName"))
		}
	}
	return errs
}

// oneOf refuses a value that is none of the allowed, and lists them in the order given.
func oneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

func validateCapacity(list corev1.ResourceList, path *field.Path) (errs field.ErrorList) {
	if len(list) == 0 {
		errs = append(errs, field.Required(path, ""))
	}
	if _, ok := list[corev1.ResourceStorage]; !ok || len(list) > 1 {
		errs = append(errs, field.NotSupported(path, list, []corev1.ResourceName{corev1.ResourceStorage}))
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		q, at := list[name], path.Key(string(name))
		errs = append(errs, notBelowZero(q.Value(), at)...)
		if q.Sign() <= 0 {
			errs = append(errs, field.Invalid(at, q.String(), "must be greater than zero"))
		}
	}
	return errs
}

// validateVolumeAffinity checks which nodes reach a volume. Values that no label can have stay where there were such before.
func validateVolumeAffinity(a *corev1.VolumeNodeAffinity, was *corev1.PersistentVolume, path *field.Path) (errs field.ErrorList) {
	if a == nil {
		return nil
	}
	at := path.Child("required")
	if a.Required == nil {
		return field.ErrorList{field.Required(at, "must specify required node constraints")}
	}
	at = at.Child("nodeSelectorTerms")
	if len(a.Required.NodeSelectorTerms) == 0 {
		return field.ErrorList{field.Required(at, "must have at least one node selector term")}
	}
	lax := was != nil && was.Spec.NodeAffinity != nil && was.Spec.NodeAffinity.Required != nil && podspec.OddNodeValues(was.Spec.NodeAffinity.Required.NodeSelectorTerms)
	for i, term := range a.Required.NodeSelectorTerms {
		errs = append(errs, podspec.NodeTerm(term, lax, at.Index(i))...)
	}
	return errs
}

// validateMountOptions refuses the annotation of old where the source never took it.
func validateMountOptions(pv *corev1.PersistentVolume) field.ErrorList {
	s := &pv.Spec
	takes := s.GCEPersistentDisk != nil || s.AWSElasticBlockStore != nil || s.Glusterfs != nil || s.NFS != nil || s.RBD != nil || s.Quobyte != nil ||
		s.ISCSI != nil || s.Cinder != nil || s.CephFS != nil || s.AzureFile != nil || s.VsphereVolume != nil || s.AzureDisk != nil || s.PhotonPersistentDisk != nil
	if _, ok := pv.Annotations[mountOptions]; !ok || takes {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("metadata", "annotations", mountOptions), "may not specify mount options for this volume type")}
}

// validateVolumeUpdate reports what is wrong with pv itself twice, as upstream does: clients see each cause.
func validateVolumeUpdate(pv, was *corev1.PersistentVolume) field.ErrorList {
	errs := append(validateVolume(pv, was), validateMountOptions(pv)...)
	errs = append(errs, validateVolume(pv, was)...)
	source := pv.Spec.PersistentVolumeSource.DeepCopy()
	if source.CSI != nil && was.Spec.CSI != nil && was.Spec.CSI.ControllerExpandSecretRef == nil {
		source.CSI.ControllerExpandSecretRef = nil // may be added
	}
	if changed(*source, was.Spec.PersistentVolumeSource) {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "persistentvolumesource"), fmt.Sprintf("spec.persistentvolumesource is immutable after creation\n%v",
			diff.Diff(shownSource{&was.Spec.PersistentVolumeSource}, shownSource{source}))))
	}
	errs = append(errs, validation.ValidateImmutableField(pv.Spec.VolumeMode, was.Spec.VolumeMode, field.NewPath("volumeMode"))...)
	if a, before := pv.Spec.NodeAffinity, was.Spec.NodeAffinity; before != nil && changed(a, renewed(before, a)) {
		errs = append(errs, field.Invalid(field.NewPath("nodeAffinity"), untagged.Value(a), validation.FieldImmutableErrorMsg+", except for updating from beta label to GA"))
	}
	if pv.Spec.VolumeAttributesClassName == nil && was.Spec.VolumeAttributesClassName != nil {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "volumeAttributesClassName"), "update from non-nil value to nil is forbidden"))
	}
	return errs
}

// renewed is an affinity whose requirements on labels of old have taken the labels that came after them, where next has those.
func renewed(a, next *corev1.VolumeNodeAffinity) *corev1.VolumeNodeAffinity {
	if a.Required == nil || next == nil || next.Required == nil {
		return a
	}
	a = a.DeepCopy()
	after := map[string]string{
		corev1.LabelFailureDomainBetaZone: corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaRegion: corev1.LabelTopologyRegion,
		"beta.kubernetes.io/os": corev1.LabelOSStable, "beta.kubernetes.io/arch": corev1.LabelArchStable,
		corev1.LabelInstanceType: corev1.LabelInstanceTypeStable,
	}
	take := func(list, next []corev1.NodeSelectorRequirement) {
		for i := range list {
			if now := after[list[i].Key]; now != "" && i < len(next) && next[i].Key == now {
				list[i].Key = now
			}
		}
	}
	for i := range a.Required.NodeSelectorTerms {
		if i < len(next.Required.NodeSelectorTerms) {
			take(a.Required.NodeSelectorTerms[i].MatchExpressions, next.Required.NodeSelectorTerms[i].MatchExpressions)
			take(a.Required.NodeSelectorTerms[i].MatchFields, next.Required.NodeSelectorTerms[i].MatchFields)
		}
	}
	return a
}

// shownSource prints a source as upstream's messages do, whose fields stand in an order of their own.
type shownSource struct{ *corev1.PersistentVolumeSource }

// MarshalJSON is how a difference is made.
func (s shownSource) MarshalJSON() ([]byte, error) {
	v := reflect.ValueOf(s.PersistentVolumeSource).Elem()
	var out bytes.Buffer
	for i, name := range []string{
		"GCEPersistentDisk", "AWSElasticBlockStore", "HostPath", "Glusterfs", "NFS", "RBD", "Quobyte", "ISCSI", "FlexVolume", "Cinder", "CephFS", "FC", "Flocker",
		"AzureFile", "VsphereVolume", "AzureDisk", "PhotonPersistentDisk", "PortworxVolume", "ScaleIO", "Local", "StorageOS", "CSI",
	} {
		text, err := json.Marshal(untagged.Value(v.FieldByName(name).Interface()))
		if err != nil {
			return nil, err
		}
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(&out, "%s%q:%s", sep, name, text)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
