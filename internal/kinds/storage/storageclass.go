package storage

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// StorageClass is storage.k8s.io/v1 StorageClass.
func StorageClass() *kinds.Kind {
	return &kinds.Kind{
		GVK: storagev1.SchemeGroupVersion.WithKind("StorageClass"), Resource: "storageclasses", Singular: "storageclass", ShortNames: []string{"sc"},
		MetaAgain:     kinds.MetaAll,
		ReturnDeleted: true,
		New:           func() kinds.Object { return &storagev1.StorageClass{} },
		NewList:       func() runtime.Object { return &storagev1.StorageClassList{} },
		Default: func(obj kinds.Object) {
			c := obj.(*storagev1.StorageClass)
			def(&c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
			def(&c.VolumeBindingMode, storagev1.VolumeBindingImmediate)
		},
		Validate: func(obj kinds.Object) field.ErrorList { return validateStorageClass(obj.(*storagev1.StorageClass)) },
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			c, was := obj.(*storagev1.StorageClass), old.(*storagev1.StorageClass)
			errs := validation.ValidateImmutableField(c.Parameters, was.Parameters, field.NewPath("parameters"))
			errs = append(errs, validation.ValidateImmutableField(c.Provisioner, was.Provisioner, field.NewPath("provisioner"))...)
			errs = append(errs, validation.ValidateImmutableField(c.ReclaimPolicy, was.ReclaimPolicy, field.NewPath("reclaimPolicy"))...)
			return append(errs, validation.ValidateImmutableField(c.VolumeBindingMode, was.VolumeBindingMode, field.NewPath("volumeBindingMode"))...)
		},
		Warnings: classWarnings,
		Columns:  storageClassColumns(),
	}
}

func validateStorageClass(c *storagev1.StorageClass) field.ErrorList {
	errs := validateDriver(c.Provisioner, field.NewPath("provisioner"))
	errs = append(errs, validateParameters(c.Parameters, field.NewPath("parameters"))...)
	switch or(c.ReclaimPolicy, "") {
	case "", corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain:
	default:
		errs = append(errs, field.NotSupported(field.NewPath("reclaimPolicy"), *c.ReclaimPolicy,
			[]corev1.PersistentVolumeReclaimPolicy{corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain}))
	}
	path := field.NewPath("volumeBindingMode")
	switch mode := c.VolumeBindingMode; {
	case mode == nil:
		errs = append(errs, field.Required(path, ""))
	case *mode != storagev1.VolumeBindingImmediate && *mode != storagev1.VolumeBindingWaitForFirstConsumer:
		errs = append(errs, field.NotSupported(path, *mode, []storagev1.VolumeBindingMode{storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer}))
	}
	return append(errs, validateTopologies(c.AllowedTopologies, field.NewPath("allowedTopologies"))...)
}

// validateTopologies checks where volumes may be; no two terms mean the same.
func validateTopologies(list []corev1.TopologySelectorTerm, path *field.Path) (errs field.ErrorList) {
	// Upstream compares with an empty term for each term before it begins, so that an empty one is a duplicate, often.
	seen := make([]map[string]sets.Set[string], len(list))
	for i, term := range list {
		at := path.Index(i).Child("matchLabelExpressions")
		means, wrong := topology(term, at)
		errs = append(errs, wrong...)
		for _, other := range seen {
			if !changed(means, other) {
				errs = append(errs, field.Duplicate(at, ""))
			}
		}
		seen = append(seen, means)
	}
	return errs
}

// topology returns the values that a term allows by their labels.
func topology(term corev1.TopologySelectorTerm, path *field.Path) (map[string]sets.Set[string], field.ErrorList) {
	var errs field.ErrorList
	means := map[string]sets.Set[string]{}
	for i, e := range term.MatchLabelExpressions {
		at, values := path.Index(i), sets.New[string]()
		if len(e.Values) == 0 {
			errs = append(errs, field.Required(at.Child("values"), ""))
		}
		for j, v := range e.Values {
			if values.Has(v) {
				errs = append(errs, field.Duplicate(at.Child("values").Index(j), v))
			}
			values.Insert(v)
		}
		errs = append(errs, metavalidation.ValidateLabelName(e.Key, at.Child("key"))...)
		if _, ok := means[e.Key]; ok {
			errs = append(errs, field.Duplicate(at.Child("key"), e.Key))
		}
		means[e.Key] = values
	}
	return means, errs
}

func storageClassColumns() []kinds.Column {
	doc := storagev1.StorageClass{}.SwaggerDoc()
	name := kinds.NameColumn()
	name.Cell = func(_ kinds.Env, obj kinds.Object) any {
		notes := obj.GetAnnotations()
		if notes["storageclass.kubernetes.io/is-default-class"] == "true" || notes["storageclass.beta.kubernetes.io/is-default-class"] == "true" {
			return obj.GetName() + " (default)"
		}
		return obj.GetName()
	}
	return []kinds.Column{
		name,
		column("Provisioner", "string", doc["provisioner"], func(c *storagev1.StorageClass) any { return c.Provisioner }),
		column("ReclaimPolicy", "string", doc["reclaimPolicy"], func(c *storagev1.StorageClass) any {
			return string(or(c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete))
		}),
		column("VolumeBindingMode", "string", doc["volumeBindingMode"], func(c *storagev1.StorageClass) any {
			return string(or(c.VolumeBindingMode, storagev1.VolumeBindingImmediate))
		}),
		column("AllowVolumeExpansion", "string", doc["allowVolumeExpansion"], func(c *storagev1.StorageClass) any { return or(c.AllowVolumeExpansion, false) }),
		kinds.AgeColumn(),
	}
}
