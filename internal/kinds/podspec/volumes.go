package podspec

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateVolumes returns the names of the volumes, and what is wrong with them.
func validateVolumes(list []corev1.Volume, at *field.Path) (names sets.Set[string], errs field.ErrorList) {
	names = sets.New[string]()
	for i := range list {
		v, at := &list[i], at.Index(i)
		errs = append(errs, dnsLabel(v.Name, at.Child("name"))...)
		if names.Has(v.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), v.Name))
		}
		names.Insert(v.Name)
		errs = append(errs, validateSource(&v.VolumeSource, at)...)
	}
	return names, errs
}

func validateSource(v *corev1.VolumeSource, at *field.Path) (errs field.ErrorList) {
	switch n := sources(v); {
	case n == 0:
		errs = append(errs, field.Required(at, "must specify a volume type"))
	case n > 1:
		errs = append(errs, field.Forbidden(at, "may not specify more than 1 volume type"))
	}
	if s := v.ConfigMap; s != nil {
		if s.Name == "" {
			errs = append(errs, field.Required(at.Child("configMap", "name"), ""))
		}
		errs = append(errs, validateItems(s.Items, at.Child("configMap", "items"))...)
	}
	if s := v.Secret; s != nil {
		if s.SecretName == "" {
			errs = append(errs, field.Required(at.Child("secret", "secretName"), ""))
		}
		errs = append(errs, validateItems(s.Items, at.Child("secret", "items"))...)
	}
	if s := v.HostPath; s != nil && s.Path == "" {
		errs = append(errs, field.Required(at.Child("hostPath", "path"), ""))
	}
	if s := v.PersistentVolumeClaim; s != nil && s.ClaimName == "" {
		errs = append(errs, field.Required(at.Child("persistentVolumeClaim", "claimName"), ""))
	}
	if s := v.EmptyDir; s != nil && s.SizeLimit != nil && s.SizeLimit.Sign() < 0 {
		errs = append(errs, field.Forbidden(at.Child("emptyDir", "sizeLimit"), "SizeLimit field must be a valid resource quantity"))
	}
	return errs
}

// sources counts the kinds of source that are set.
func sources(v *corev1.VolumeSource) (n int) {
	value := reflect.ValueOf(v).Elem()
	for i := range value.NumField() {
		if !value.Field(i).IsNil() {
			n++
		}
	}
	return n
}

func validateItems(items []corev1.KeyToPath, at *field.Path) (errs field.ErrorList) {
	for i, item := range items {
		at := at.Index(i)
		if item.Key == "" {
			errs = append(errs, field.Required(at.Child("key"), ""))
		}
		if item.Path == "" {
			errs = append(errs, field.Required(at.Child("path"), ""))
		}
		errs = append(errs, localPath(item.Path, at.Child("path"))...)
		if m := item.Mode; m != nil && (*m < 0 || *m > 0o777) {
			errs = append(errs, field.Invalid(at.Child("mode"), *m, "must be a number between 0 and 0777 (octal), both inclusive"))
		}
	}
	return errs
}
