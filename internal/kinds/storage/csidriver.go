package storage

import (
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// CSIDriver is storage.k8s.io/v1 CSIDriver: how the driver of this name is to be spoken to.
func CSIDriver() *kinds.Kind {
	return &kinds.Kind{
		GVK: storagev1.SchemeGroupVersion.WithKind("CSIDriver"), Resource: "csidrivers", Singular: "csidriver", RequireVersion: true,
		ReturnDeleted: true,
		New:           func() kinds.Object { return &storagev1.CSIDriver{} },
		NewList:       func() runtime.Object { return &storagev1.CSIDriverList{} },
		Default: func(obj kinds.Object) {
			s := &obj.(*storagev1.CSIDriver).Spec
			def(&s.AttachRequired, true)
			def(&s.PodInfoOnMount, false)
			def(&s.StorageCapacity, false)
			def(&s.FSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
			if len(s.VolumeLifecycleModes) == 0 {
				s.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}
			}
			def(&s.RequiresRepublish, false)
			def(&s.SELinuxMount, false)
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			obj.(*storagev1.CSIDriver).Spec.PreventPodSchedulingIfMissing = nil // VolumeLimitScaling is off
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			d, was := obj.(*storagev1.CSIDriver), old.(*storagev1.CSIDriver)
			if was.Spec.PreventPodSchedulingIfMissing == nil {
				d.Spec.PreventPodSchedulingIfMissing = nil
			}
			if changed(d.Spec, was.Spec) {
				d.Generation = was.Generation + 1
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			return validateCSIDriver(&obj.(*storagev1.CSIDriver).Spec, field.NewPath("spec"))
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			s, was, path := &obj.(*storagev1.CSIDriver).Spec, &old.(*storagev1.CSIDriver).Spec, field.NewPath("spec")
			errs := validation.ValidateImmutableField(s.AttachRequired, was.AttachRequired, path.Child("attachedRequired")) // sic, here and below
			return append(errs, validation.ValidateImmutableField(s.VolumeLifecycleModes, was.VolumeLifecycleModes, path.Child("volumeLifecycleModes"))...)
		},
		Warnings: driverWarnings,
		Columns:  csiDriverColumns(),
	}
}

func validateCSIDriver(s *storagev1.CSIDriverSpec, path *field.Path) (errs field.ErrorList) {
	set := func(name string, value *bool) {
		if value == nil {
			errs = append(errs, field.Required(path.Child(name), ""))
		}
	}
	set("attachedRequired", s.AttachRequired)
	set("podInfoOnMount", s.PodInfoOnMount)
	set("storageCapacity", s.StorageCapacity)
	if p := s.FSGroupPolicy; p != nil {
		known := []storagev1.FSGroupPolicy{storagev1.FileFSGroupPolicy, storagev1.NoneFSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy}
		if !sets.New(known...).Has(*p) {
			errs = append(errs, field.NotSupported(path.Child("fsGroupPolicy"), *p, known))
		}
	}
	errs = append(errs, validateTokens(s.TokenRequests, path.Child("tokenRequests"))...)
	for _, mode := range s.VolumeLifecycleModes {
		if mode != storagev1.VolumeLifecyclePersistent && mode != storagev1.VolumeLifecycleEphemeral {
			errs = append(errs, field.NotSupported(path.Child("volumeLifecycleModes"), mode, []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent, storagev1.VolumeLifecycleEphemeral}))
		}
	}
	set("seLinuxMount", s.SELinuxMount)
	if n := s.NodeAllocatableUpdatePeriodSeconds; n != nil && *n < 10 {
		errs = append(errs, field.Invalid(path.Child("nodeAllocatableUpdatePeriodSeconds"), *n, "must be greater than or equal to 10 seconds"))
	}
	if in := s.ServiceAccountTokenInSecrets; in != nil && len(s.TokenRequests) == 0 {
		errs = append(errs, field.Invalid(path.Child("serviceAccountTokenInSecrets"), *in, "serviceAccountTokenInSecrets is set but no tokenRequests are specified"))
	}
	return errs
}

// validateTokens checks which tokens of a pod's service account the driver is given, one for each audience.
func validateTokens(list []storagev1.TokenRequest, path *field.Path) (errs field.ErrorList) {
	seen := sets.New[string]()
	for i, r := range list {
		if seen.Has(r.Audience) {
			errs = append(errs, field.Duplicate(path.Index(i).Child("audience"), r.Audience))
			continue
		}
		seen.Insert(r.Audience)
		at := path.Index(i).Child("expirationSeconds")
		switch n := r.ExpirationSeconds; {
		case n == nil:
		case *n < 600:
			errs = append(errs, field.Invalid(at, *n, "may not specify a duration less than 10 minutes"))
		case *n > 1<<32:
			errs = append(errs, field.Invalid(at, *n, "may not specify a duration larger than 2^32 seconds"))
		}
	}
	return errs
}

func csiDriverColumns() []kinds.Column {
	doc := storagev1.CSIDriverSpec{}.SwaggerDoc()
	cell := func(name, kind, field string, f func(*storagev1.CSIDriverSpec) any) kinds.Column {
		return column(name, kind, doc[field], func(d *storagev1.CSIDriver) any { return f(&d.Spec) })
	}
	return []kinds.Column{
		kinds.NameColumn(),
		cell("AttachRequired", "boolean", "attachRequired", func(s *storagev1.CSIDriverSpec) any { return or(s.AttachRequired, true) }),
		cell("PodInfoOnMount", "boolean", "podInfoOnMount", func(s *storagev1.CSIDriverSpec) any { return or(s.PodInfoOnMount, false) }),
		cell("StorageCapacity", "boolean", "storageCapacity", func(s *storagev1.CSIDriverSpec) any { return or(s.StorageCapacity, false) }),
		cell("TokenRequests", "string", "tokenRequests", func(s *storagev1.CSIDriverSpec) any {
			if s.TokenRequests == nil {
				return "<unset>"
			}
			var list []string
			for _, r := range s.TokenRequests {
				list = append(list, r.Audience)
			}
			return strings.Join(list, ",")
		}),
		cell("RequiresRepublish", "boolean", "requiresRepublish", func(s *storagev1.CSIDriverSpec) any { return or(s.RequiresRepublish, false) }),
		cell("Modes", "string", "volumeLifecycleModes", func(s *storagev1.CSIDriverSpec) any {
			var list []string
			for _, m := range s.VolumeLifecycleModes {
				list = append(list, string(m))
			}
			if text := strings.Join(list, ","); text != "" {
				return text
			}
			return "<none>"
		}),
		kinds.AgeColumn(),
	}
}
