package apps

import (
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Claims for volumes inside a stateful set.

// defaultClaim fills a claim. Upstream shows such claims with a kind of their own.
func defaultClaim(c *corev1.PersistentVolumeClaim) {
	c.APIVersion, c.Kind = "v1", "PersistentVolumeClaim"
	if c.Status.Phase == "" {
		c.Status.Phase = corev1.ClaimPending
	}
	def(&c.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	for _, list := range []corev1.ResourceList{c.Spec.Resources.Limits, c.Spec.Resources.Requests, c.Status.Capacity, c.Status.AllocatedResources} {
		for name, q := range list {
			q.RoundUp(resource.Milli)
			list[name] = q
		}
	}
}

func validateClaim(s *corev1.PersistentVolumeClaimSpec, path *field.Path) (errs field.ErrorList) {
	modes := path.Child("accessModes")
	if len(s.AccessModes) == 0 {
		errs = append(errs, field.Required(modes, "at least 1 access mode is required"))
	}
	if s.Selector != nil {
		errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, path.Child("selector"))...)
	}
	errs = append(errs, validateModes(s.AccessModes, modes)...)
	at := path.Child("resources").Key("storage")
	if q, ok := s.Resources.Requests[corev1.ResourceStorage]; !ok {
		errs = append(errs, field.Required(at, ""))
	} else if q.Sign() <= 0 {
		errs = append(errs, field.Invalid(at, q.String(), "must be greater than zero"))
	}
	errs = append(errs, validateClass(s.StorageClassName, path.Child("storageClassName"))...)
	if m := s.VolumeMode; m != nil && *m != corev1.PersistentVolumeBlock && *m != corev1.PersistentVolumeFilesystem {
		errs = append(errs, field.NotSupported(path.Child("volumeMode"), *m, []corev1.PersistentVolumeMode{corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem}))
	}
	errs = append(errs, validateSources(s, path)...)
	return append(errs, validateClass(s.VolumeAttributesClassName, path.Child("volumeAttributesClassName"))...)
}

func validateModes(list []corev1.PersistentVolumeAccessMode, path *field.Path) (errs field.ErrorList) {
	known := []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod}
	others := false
	for _, m := range list {
		if !slices.Contains(known, m) {
			errs = append(errs, field.NotSupported(path, m, known))
		} else if m != corev1.ReadWriteOncePod {
			others = true
		}
	}
	if others && slices.Contains(list, corev1.ReadWriteOncePod) {
		errs = append(errs, field.Forbidden(path, "may not use ReadWriteOncePod with other access modes"))
	}
	return errs
}

func validateClass(name *string, path *field.Path) (errs field.ErrorList) {
	if name == nil || *name == "" {
		return nil
	}
	for _, msg := range validation.NameIsDNSSubdomain(*name, false) {
		errs = append(errs, field.Invalid(path, *name, msg))
	}
	return errs
}

// validateSources checks what a volume is filled from. The field has an older and a newer form, which agree when both are given.
func validateSources(s *corev1.PersistentVolumeClaimSpec, path *field.Path) (errs field.ErrorList) {
	older, newer := s.DataSource, s.DataSourceRef
	if older != nil {
		errs = append(errs, validateSource(older.APIGroup, older.Kind, older.Name, path.Child("dataSource"))...)
	}
	if newer == nil {
		return errs
	}
	at := path.Child("dataSourceRef")
	errs = append(errs, validateSource(newer.APIGroup, newer.Kind, newer.Name, at)...)
	elsewhere := newer.Namespace != nil && *newer.Namespace != ""
	if elsewhere {
		for _, msg := range validation.ValidateNamespaceName(*newer.Namespace, false) {
			errs = append(errs, field.Invalid(at.Child("namespace"), *newer.Namespace, msg))
		}
	}
	switch {
	case older == nil:
	case elsewhere:
		errs = append(errs, field.Invalid(path, path.Child("dataSource"), "may not be specified when dataSourceRef.namespace is specified"))
	case older.Kind != newer.Kind || older.Name != newer.Name || !reflect.DeepEqual(older.APIGroup, newer.APIGroup):
		errs = append(errs, field.Invalid(path, path.Child("dataSource"), "must match dataSourceRef"))
	}
	return errs
}

func validateSource(group *string, kind, name string, path *field.Path) (errs field.ErrorList) {
	if name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	if kind == "" {
		errs = append(errs, field.Required(path.Child("kind"), ""))
	}
	if group == nil || *group == "" {
		if kind != "PersistentVolumeClaim" {
			errs = append(errs, field.Invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
		}
		return errs
	}
	for _, msg := range utilvalidation.IsDNS1123Subdomain(*group) {
		errs = append(errs, field.Invalid(path.Child("apiGroup"), *group, msg))
	}
	return errs
}
