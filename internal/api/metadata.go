package api

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// validateMetaUpdate says what is wrong with a changed object's metadata. Upstream's storage and the kind's own rules look at it one after the other, so
// that what did not hold is named by both.
func validateMetaUpdate(obj, old kinds.Object) field.ErrorList {
	meta := field.NewPath("metadata")
	errs := validation.ValidateObjectMetaAccessor(obj, obj.GetNamespace() != "", kinds.PathSegment, meta)
	again := validation.ValidateObjectMetaAccessorUpdate(obj, old, meta)
	errs = append(append(errs, again...), again...)
	return append(errs, validateFinalizers(obj.GetFinalizers())...)
}

// validateFinalizers wants a domain in the names of finalizers that are not the system's own.
func validateFinalizers(list []string) (errs field.ErrorList) {
	for i, name := range list {
		switch name {
		case string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
			continue
		}
		if !strings.Contains(name, "/") {
			errs = append(errs, field.Invalid(field.NewPath("metadata", "finalizers").Index(i), name, "name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}
