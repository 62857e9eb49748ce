package core

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/untagged"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// Rules of persistent volume claims.

// validateClaimUpdate checks what may change: the volume and the class once, and of a bound claim its size and the class of its attributes.
func validateClaimUpdate(c, was *corev1.PersistentVolumeClaim) field.ErrorList {
	was = was.DeepCopy()
	agree(&was.Spec) // as those stored since are
	errs := volumespec.Claim(&c.Spec, &was.Spec, field.NewPath("spec"))
	next, before := c.DeepCopy(), was.DeepCopy()
	if before.Spec.VolumeName == "" {
		before.Spec.VolumeName = next.Spec.VolumeName
	}
	errs = append(errs, settleClass(next, before)...)
	if c.Status.Phase == corev1.ClaimBound {
		if next.Spec.Resources.Requests != nil {
			next.Spec.Resources.Requests[corev1.ResourceStorage] = before.Spec.Resources.Requests[corev1.ResourceStorage]
		}
		next.Spec.VolumeAttributesClassName = before.Spec.VolumeAttributesClassName
	}
	path := field.NewPath("spec")
	if changed(next.Spec, before.Spec) {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n%v",
			diff.Diff(untagged.Value(before.Spec), untagged.Value(next.Spec)))))
	}
	// A claim that failed to grow may ask for less again, but not for what there is already, or less.
	if size := c.Spec.Resources.Requests.Storage(); size.Cmp(*was.Spec.Resources.Requests.Storage()) < 0 && size.Cmp(*was.Status.Capacity.Storage()) <= 0 {
		errs = append(errs, field.Forbidden(path.Child("resources", "requests", "storage"), "field can not be less than status.capacity"))
	}
	errs = append(errs, validation.ValidateImmutableField(c.Spec.VolumeMode, was.Spec.VolumeMode, field.NewPath("volumeMode"))...)
	if class := c.Spec.VolumeAttributesClassName; was.Status.CurrentVolumeAttributesClassName != nil && changed(class, was.Spec.VolumeAttributesClassName) {
		at := path.Child("volumeAttributesClassName")
		if class == nil {
			errs = append(errs, field.Forbidden(at, "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil"))
		} else if *class == "" {
			errs = append(errs, field.Forbidden(at, "update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil"))
		}
	}
	return errs
}

// settleClass makes changes of the storage class that are allowed vanish from the comparison of next and before, copies of the new and the old
// claim: its move from the annotation of old to its field, and a claim without one being given one.
func settleClass(next, before *corev1.PersistentVolumeClaim) field.ErrorList {
	class, had := next.Spec.StorageClassName, before.Spec.StorageClassName
	old, annotated := before.Annotations[corev1.BetaStorageClassAnnotation]
	now, still := next.Annotations[corev1.BetaStorageClassAnnotation]
	if annotated && had == nil && class != nil && *class == old && (!still || now == old) {
		next.Spec.StorageClassName = nil
		return nil
	}
	if had == nil && class != nil && (!annotated || *class == old) {
		next.Spec.StorageClassName = nil
	}
	if now != old {
		return field.ErrorList{field.Invalid(field.NewPath("metadata", "annotations", corev1.BetaStorageClassAnnotation), now, validation.FieldImmutableErrorMsg)}
	}
	return nil
}

func validateClaimStatus(c *corev1.PersistentVolumeClaim) (errs field.ErrorList) {
	if len(c.Spec.AccessModes) == 0 {
		errs = append(errs, field.Required(field.NewPath("Spec", "accessModes"), ""))
	}
	s, path := &c.Status, field.NewPath("status")
	for _, name := range slices.Sorted(maps.Keys(s.Capacity)) {
		q := s.Capacity[name]
		errs = append(errs, notBelowZero(q.Value(), path.Child("capacity").Key(string(name)))...)
	}
	known := []corev1.ClaimResourceStatus{
		corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimControllerResizeInfeasible,
		corev1.PersistentVolumeClaimNodeResizeInProgress, corev1.PersistentVolumeClaimNodeResizeInfeasible, corev1.PersistentVolumeClaimNodeResizePending,
	}
	slices.Sort(known)
	for _, name := range slices.Sorted(maps.Keys(s.AllocatedResourceStatuses)) {
		at := path.Child("allocatedResourceStatuses")
		errs = append(errs, validateClaimResource(name, at)...)
		if !slices.Contains(known, s.AllocatedResourceStatuses[name]) {
			errs = append(errs, field.NotSupported(at, name, known))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.AllocatedResources)) {
		q, at := s.AllocatedResources[name], path.Child("allocatedResources")
		bad := validateClaimResource(name, at)
		if len(bad) == 0 {
			bad = notBelowZero(q.Value(), at.Key(string(name)))
		}
		errs = append(errs, bad...)
	}
	return errs
}

func notBelowZero(n int64, path *field.Path) field.ErrorList {
	if n >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, n, "must be a valid resource quantity")}
}

// validateClaimResource checks the name of what a claim is given: of the API's own resources, storage only.
func validateClaimResource(name corev1.ResourceName, path *field.Path) field.ErrorList {
	if msgs := utilvalidation.IsQualifiedName(string(name)); len(msgs) > 0 {
		return invalid(path, string(name), msgs)
	}
	if isNative(name) && name != corev1.ResourceStorage {
		return field.ErrorList{field.NotSupported(path, string(name), []corev1.ResourceName{corev1.ResourceStorage})}
	}
	return nil
}
