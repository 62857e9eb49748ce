package volumespec

import (
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// DefaultClaim fills what a claim leaves open.
func DefaultClaim(s *corev1.PersistentVolumeClaimSpec) {
	if s.VolumeMode == nil {
		mode := corev1.PersistentVolumeFilesystem
		s.VolumeMode = &mode
	}
	kinds.RoundUp(s.Resources.Limits, s.Resources.Requests)
}

// Claim checks s as the next state of was; nil: there is none. What was odd before may stay so.
func Claim(s, was *corev1.PersistentVolumeClaimSpec, path *field.Path) (errs field.ErrorList) {
	if len(s.AccessModes) == 0 {
		errs = append(errs, field.Required(path.Child("accessModes"), "at least 1 access mode is required"))
	}
	if s.Selector != nil {
		strict := metavalidation.LabelSelectorValidationOptions{}
		lax := was != nil && len(metavalidation.ValidateLabelSelector(was.Selector, strict, nil)) > 0
		errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: lax}, path.Child("selector"))...)
	}
	errs = append(errs, Modes(s.AccessModes, path.Child("accessModes"))...)
	at := path.Child("resources").Key("storage") // so upstream names it
	if q, ok := s.Resources.Requests[corev1.ResourceStorage]; !ok {
		errs = append(errs, field.Required(at, ""))
	} else if q.Sign() <= 0 {
		errs = append(errs, field.Invalid(at, q.String(), "must be greater than zero"))
	}
	if s.StorageClassName != nil {
		errs = append(errs, Class(*s.StorageClassName, path.Child("storageClassName"))...)
	}
	if s.VolumeMode != nil {
		errs = append(errs, oneOf(path.Child("volumeMode"), *s.VolumeMode, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)...)
	}
	lax := was != nil && (was.DataSource != nil && was.DataSource.APIGroup != nil || was.DataSourceRef != nil && was.DataSourceRef.APIGroup != nil)
	errs = append(errs, validateFilling(s, lax, path)...)
	if s.VolumeAttributesClassName != nil {
		errs = append(errs, Class(*s.VolumeAttributesClassName, path.Child("volumeAttributesClassName"))...)
	}
	return errs
}

// ClaimTemplate checks a claim that is made with a pod, as its ephemeral volume.
func ClaimTemplate(t *corev1.PersistentVolumeClaimTemplate, path *field.Path) field.ErrorList {
	return append(TemplateMeta(t.ObjectMeta, path.Child("metadata")), Claim(&t.Spec, nil, path.Child("spec"))...)
}

// TemplateMeta checks the metadata of what is made with another object: labels and annotations.
func TemplateMeta(m metav1.ObjectMeta, at *field.Path) field.ErrorList {
	errs := validation.ValidateAnnotations(m.Annotations, at.Child("annotations"))
	errs = append(errs, metavalidation.ValidateLabels(m.Labels, at.Child("labels"))...)
	return append(errs, onlyLabels(m, at)...)
}

// onlyLabels refuses what else metadata has: no object is made of it.
func onlyLabels(m metav1.ObjectMeta, at *field.Path) (errs field.ErrorList) {
	v := reflect.ValueOf(m)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Name == "Annotations" || f.Name == "Labels" || v.Field(i).IsZero() {
			continue
		}
		errs = append(errs, field.Forbidden(at.Child(lowerFirst(f.Name)), "cannot be set"))
	}
	return errs
}

func lowerFirst(name string) string { return string(name[0]|0x20) + name[1:] }

// Modes checks how a volume may be used. That none is given is for the caller to refuse.
func Modes(list []corev1.PersistentVolumeAccessMode, path *field.Path) (errs field.ErrorList) {
	known := []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod}
	others := false
	for _, m := range list {
		bad := oneOf(path, m, known...)
		errs = append(errs, bad...)
		others = others || len(bad) == 0 && m != corev1.ReadWriteOncePod
	}
	if others && slices.Contains(list, corev1.ReadWriteOncePod) {
		errs = append(errs, field.Forbidden(path, "may not use ReadWriteOncePod with other access modes"))
	}
	return errs
}

// Class checks the name of a class; "" is none.
func Class(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return nil
	}
	return invalid(path, name, validation.NameIsDNSSubdomain(name, false))
}

// SameSource says whether the older and the newer form of what a volume is filled from mean the same.
func SameSource(older *corev1.TypedLocalObjectReference, newer *corev1.TypedObjectReference) bool {
	return older.Kind == newer.Kind && older.Name == newer.Name && reflect.DeepEqual(older.APIGroup, newer.APIGroup)
}

// validateFilling checks what a volume is filled from. Both forms, where both are given, mean the same.
func validateFilling(s *corev1.PersistentVolumeClaimSpec, lax bool, path *field.Path) (errs field.ErrorList) {
	older, newer := s.DataSource, s.DataSourceRef
	if older != nil {
		errs = append(errs, validateFiller(older.APIGroup, older.Kind, older.Name, lax, path.Child("dataSource"))...)
	}
	if newer == nil {
		return errs
	}
	at := path.Child("dataSourceRef")
	errs = append(errs, validateFiller(newer.APIGroup, newer.Kind, newer.Name, lax, at)...)
	elsewhere := newer.Namespace != nil && *newer.Namespace != ""
	if elsewhere {
		errs = append(errs, invalid(at.Child("namespace"), *newer.Namespace, validation.ValidateNamespaceName(*newer.Namespace, false))...)
	}
	switch {
	case older == nil:
	case elsewhere:
		errs = append(errs, field.Invalid(path, path.Child("dataSource"), "may not be specified when dataSourceRef.namespace is specified"))
	case !SameSource(older, newer):
		errs = append(errs, field.Invalid(path, path.Child("dataSource"), "must match dataSourceRef"))
	}
	return errs
}

func validateFiller(group *string, kind, name string, lax bool, path *field.Path) field.ErrorList {
	errs := Need(path, "name", name, "kind", kind)
	if group == nil || *group == "" {
		if kind != "PersistentVolumeClaim" {
			errs = append(errs, field.Invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
		}
		return errs
	}
	if lax {
		return errs
	}
	return append(errs, invalid(path.Child("apiGroup"), *group, utilvalidation.IsDNS1123Subdomain(*group))...)
}

func oneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

func invalid(path *field.Path, value string, msgs []string) (errs field.ErrorList) {
	for _, msg := range msgs {
		errs = append(errs, field.Invalid(path, value, msg))
	}
	return errs
}

// ClaimWarnings are what who writes a claim is told: there are no parts of bytes.
func ClaimWarnings(s *corev1.PersistentVolumeClaimSpec, path *field.Path) (list []string) {
	for _, part := range []struct {
		name string
		q    resource.Quantity
	}{{"requests", s.Resources.Requests[corev1.ResourceStorage]}, {"limits", s.Resources.Limits[corev1.ResourceStorage]}} {
		if part.q.MilliValue()%1000 != 0 {
			list = append(list, fmt.Sprintf("%s: fractional byte value %q is invalid, must be an integer", path.Child("resources", part.name).Key("storage"), part.q.String()))
		}
	}
	return list
}
