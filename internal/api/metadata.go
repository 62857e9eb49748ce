package api

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// validateMetaUpdate says what is wrong with a changed object's metadata. Upstream's storage and the kind's own rules look at it one after the other, so
// that what did not hold is named by both; whole: the kind's rules look at all of it, and not only at what an update changes.
func validateMetaUpdate(obj, old kinds.Object, whole bool) field.ErrorList {
	meta := field.NewPath("metadata")
	all := validation.ValidateObjectMetaAccessor(obj, obj.GetNamespace() != "", kinds.PathSegment, meta)
	update := validation.ValidateObjectMetaAccessorUpdate(obj, old, meta)
	finalizers := validateFinalizers(obj.GetFinalizers())
	errs := slices.Concat(all, update)
	if whole {
		errs = slices.Concat(errs, all, finalizers)
	}
	return slices.Concat(errs, update, finalizers)
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
