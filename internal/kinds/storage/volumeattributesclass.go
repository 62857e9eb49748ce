package storage

import (
	"reflect"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// inUse is the finalizer that keeps a class while a volume or claim has it; a controller takes it away.
const inUse = "kubernetes.io/vac-protection"

// VolumeAttributesClass is storage.k8s.io/v1 VolumeAttributesClass: how fast a volume is, which can change while it is in use.
func VolumeAttributesClass() *kinds.Kind {
	return &kinds.Kind{
		GVK: storagev1.SchemeGroupVersion.WithKind("VolumeAttributesClass"), Resource: "volumeattributesclasses", Singular: "volumeattributesclass", ShortNames: []string{"vac"},
		MetaAgain:     kinds.MetaChangeFirst,
		ReturnDeleted: true,
		New:           func() kinds.Object { return &storagev1.VolumeAttributesClass{} },
		NewList:       func() runtime.Object { return &storagev1.VolumeAttributesClassList{} },
		Admission:     []kinds.Admission{kinds.ProtectInUse(inUse)},
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) { // the order of upstream's errors: what may not change comes first
				return nil
			}
			return validateAttributes(obj.(*storagev1.VolumeAttributesClass))
		},
		ValidateUpdate: func(obj, old kinds.Object) (errs field.ErrorList) {
			c, was := obj.(*storagev1.VolumeAttributesClass), old.(*storagev1.VolumeAttributesClass)
			if c.DriverName != was.DriverName {
				errs = append(errs, field.Forbidden(field.NewPath("driverName"), "updates to driverName are forbidden."))
			}
			if !reflect.DeepEqual(c.Parameters, was.Parameters) { // none and an empty list differ here, as upstream's do
				errs = append(errs, field.Forbidden(field.NewPath("parameters"), "updates to parameters are forbidden."))
			}
			return append(errs, validateAttributes(c)...)
		},
		Columns: []kinds.Column{
			kinds.NameColumn(),
			column("DriverName", "string", storagev1.VolumeAttributesClass{}.SwaggerDoc()["driverName"], func(c *storagev1.VolumeAttributesClass) any { return c.DriverName }),
			kinds.AgeColumn(),
		},
	}
}

func validateAttributes(c *storagev1.VolumeAttributesClass) field.ErrorList {
	errs := validateDriver(c.DriverName, field.NewPath("driverName"))
	errs = append(errs, validateParameters(c.Parameters, field.NewPath("parameters"))...)
	if len(c.Parameters) == 0 {
		errs = append(errs, field.Required(field.NewPath("parameters"), "must contain at least one key/value pair"))
	}
	return errs
}
