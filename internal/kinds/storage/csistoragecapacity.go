package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// CSIStorageCapacity is storage.k8s.io/v1 CSIStorageCapacity: how much room there is for volumes of a class in one part of the cluster.
func CSIStorageCapacity() *kinds.Kind {
	return &kinds.Kind{
		GVK: storagev1.SchemeGroupVersion.WithKind("CSIStorageCapacity"), Resource: "csistoragecapacities", Singular: "csistoragecapacity", Namespaced: true, RequireVersion: true,
		MetaAgain: kinds.MetaAll,
		New:       func() kinds.Object { return &storagev1.CSIStorageCapacity{} },
		NewList:   func() runtime.Object { return &storagev1.CSIStorageCapacityList{} },
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) {
				return nil
			}
			return validateCapacity(obj.(*storagev1.CSIStorageCapacity), metavalidation.LabelSelectorValidationOptions{})
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			c, was := obj.(*storagev1.CSIStorageCapacity), old.(*storagev1.CSIStorageCapacity)
			var opts metavalidation.LabelSelectorValidationOptions
			// A stored selector that would be refused today may stay.
			opts.AllowInvalidLabelValueInSelector = len(metavalidation.ValidateLabelSelector(was.NodeTopology, opts, nil)) > 0
			errs := validateCapacity(c, opts)
			if changed(c.NodeTopology, was.NodeTopology) {
				errs = append(errs, field.Invalid(field.NewPath("nodeTopology"), c.NodeTopology, "field is immutable"))
			}
			if c.StorageClassName != was.StorageClassName {
				errs = append(errs, field.Invalid(field.NewPath("storageClassName"), c.StorageClassName, "field is immutable"))
			}
			return errs
		},
		Warnings: capacityWarnings,
	}
}

func validateCapacity(c *storagev1.CSIStorageCapacity, opts metavalidation.LabelSelectorValidationOptions) field.ErrorList {
	errs := metavalidation.ValidateLabelSelector(c.NodeTopology, opts, field.NewPath("nodeTopology"))
	errs = append(errs, invalid(field.NewPath("storageClassName"), c.StorageClassName, validation.NameIsDNSSubdomain(c.StorageClassName, false))...)
	if q := c.Capacity; q != nil && q.Sign() < 0 {
		errs = append(errs, field.Invalid(field.NewPath("capacity"), text(q), "must be greater than or equal to 0"))
	}
	return errs
}

// text is q as it is written. A quantity keeps its text when it is first asked for it, and this one may only be read.
func text(q *resource.Quantity) string {
	own := q.DeepCopy()
	return own.String()
}
