package storage

import (
	"math"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

const (
	maxAttachmentBytes = 256 << 10 // of metadata, keys and values together
	maxErrorBytes      = 1024      // of an error's message
)

// VolumeAttachment is storage.k8s.io/v1 VolumeAttachment. It has no defaults: those of an inline volume are for sources that are refused here.
func VolumeAttachment() *kinds.Kind {
	gvk := storagev1.SchemeGroupVersion.WithKind("VolumeAttachment")
	return &kinds.Kind{
		GVK: gvk, Resource: "volumeattachments", Singular: "volumeattachment", RequireVersion: true, MetaAgain: kinds.MetaObject,
		ReturnDeleted: true,
		New:           func() kinds.Object { return &storagev1.VolumeAttachment{} },
		NewList:       func() runtime.Object { return &storagev1.VolumeAttachmentList{} },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			obj.(*storagev1.VolumeAttachment).Status = storagev1.VolumeAttachmentStatus{}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			obj.(*storagev1.VolumeAttachment).Status = *old.(*storagev1.VolumeAttachment).Status.DeepCopy()
		},
		Validate: validateAttachment,
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			s, was := &obj.(*storagev1.VolumeAttachment).Spec, &old.(*storagev1.VolumeAttachment).Spec
			if !changed(s, was) {
				return nil
			}
			return field.ErrorList{field.Invalid(field.NewPath("spec"), untagged.Value(s), "field is immutable")}
		},
		Columns: attachmentColumns(),
		Indexes: kinds.AttachmentIndexes(),
		Resets:  []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"metadata", "spec"}, Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				obj.(*storagev1.VolumeAttachment).Spec = *old.(*storagev1.VolumeAttachment).Spec.DeepCopy()
				metav1.ResetObjectMetaForStatus(obj, old.DeepCopyObject().(kinds.Object))
				return validateAttachment(obj)
			}},
		},
	}
}

func validateAttachment(obj kinds.Object) field.ErrorList {
	a, path := obj.(*storagev1.VolumeAttachment), field.NewPath("spec")
	errs := validateCSIName(a.Spec.Attacher, path.Child("attacher"))
	errs = append(errs, validateSource(&a.Spec.Source, path.Child("source"))...)
	errs = append(errs, invalid(path.Child("nodeName"), a.Spec.NodeName, validation.NameIsDNSSubdomain(a.Spec.NodeName, false))...)
	errs = append(errs, validateAttachmentStatus(&a.Status, field.NewPath("status"))...)
	if name := a.Spec.Source.PersistentVolumeName; name != nil {
		errs = append(errs, invalid(field.NewPath("spec.source.persistentVolumeName"), *name, validation.NameIsDNSSubdomain(*name, false))...)
	}
	return errs
}

func validateSource(s *storagev1.VolumeAttachmentSource, path *field.Path) field.ErrorList {
	const one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
	switch inline, name := s.InlineVolumeSpec, s.PersistentVolumeName; {
	case inline == nil && name == nil:
		return field.ErrorList{field.Required(path, one)}
	case inline != nil && name != nil:
		return field.ErrorList{field.Forbidden(path, one)}
	case inline != nil:
		return validateInline(inline, path.Child("inlineVolumeSpec"))
	case *name == "":
		return field.ErrorList{field.Required(path.Child("persistentVolumeName"), "must specify non empty persistentVolumeName")}
	}
	return nil
}

func validateAttachmentStatus(s *storagev1.VolumeAttachmentStatus, path *field.Path) (errs field.ErrorList) {
	size := 0
	for k, v := range s.AttachmentMetadata {
		size += len(k) + len(v)
	}
	if size > maxAttachmentBytes {
		errs = append(errs, field.TooLong(path.Child("attachmentMetadata"), "", maxAttachmentBytes))
	}
	errs = append(errs, validateVolumeError(s.AttachError, path.Child("attachError"))...)
	return append(errs, validateVolumeError(s.DetachError, path.Child("detachError"))...)
}

func validateVolumeError(e *storagev1.VolumeError, path *field.Path) (errs field.ErrorList) {
	if e == nil {
		return nil
	}
	if len(e.Message) > maxErrorBytes {
		errs = append(errs, field.TooLong(path.Child("message"), "", maxAttachmentBytes)) // upstream names the other bound
	}
	if c := e.ErrorCode; c != nil && *c < 0 {
		errs = append(errs, field.Invalid(path.Child("errorCode"), *c, utilvalidation.InclusiveRangeError(0, math.MaxInt32)))
	}
	return errs
}

func attachmentColumns() []kinds.Column {
	spec := storagev1.VolumeAttachmentSpec{}.SwaggerDoc()
	attacher := column("Attacher", "string", spec["attacher"], func(a *storagev1.VolumeAttachment) any { return a.Spec.Attacher })
	attacher.Format = "name"
	return []kinds.Column{
		kinds.NameColumn(),
		attacher,
		column("PV", "string", storagev1.VolumeAttachmentSource{}.SwaggerDoc()["persistentVolumeName"], func(a *storagev1.VolumeAttachment) any {
			return or(a.Spec.Source.PersistentVolumeName, "")
		}),
		column("Node", "string", spec["nodeName"], func(a *storagev1.VolumeAttachment) any { return a.Spec.NodeName }),
		column("Attached", "boolean", storagev1.VolumeAttachmentStatus{}.SwaggerDoc()["attached"], func(a *storagev1.VolumeAttachment) any { return a.Status.Attached }),
		kinds.AgeColumn(),
	}
}
