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

// validName is the rule of the names of k's objects, of which obj is one.
func validName(k *kinds.Kind, obj kinds.Object) validation.ValidateNameFunc {
	switch {
	case k.NameOf != nil:
		return k.NameOf(obj)
	case k.ValidName != nil:
		return k.ValidName
	}
	return validation.NameIsDNSSubdomain
}

// validateNew is what is wrong with a new object, in the order in which upstream names it.
func validateNew(k *kinds.Kind, obj kinds.Object) field.ErrorList {
	judge := func(rule func(kinds.Object) field.ErrorList) field.ErrorList {
		if rule == nil {
			return nil
		}
		return rule(obj)
	}
	all, fresh := judge(k.Validate), judge(k.ValidateCreate)
	if k.MetaAgain == kinds.MetaNone && len(all)+len(fresh) > 0 {
		return slices.Concat(all, fresh)
	}
	meta := validation.ValidateObjectMetaAccessor(obj, k.Namespaced, validName(k, obj), field.NewPath("metadata"))
	meta = append(meta, validateFinalizers(k, obj.GetFinalizers())...)
	if k.MetaLate {
		return slices.Concat(all, meta, fresh)
	}
	return slices.Concat(meta, all, fresh)
}

// metaErrors is what is wrong with a changed object's metadata, in the order in which an update names it: by the rules that hold for all kinds, and by those
// that the kind's own rules repeat, before and after its Validate.
type metaErrors struct{ common, before, after field.ErrorList }

// validateMetaUpdate looks at a changed object's metadata with the rules that the kind repeats.
func validateMetaUpdate(k *kinds.Kind, again kinds.MetaRules, obj, old kinds.Object) metaErrors {
	meta := field.NewPath("metadata")
	object := validation.ValidateObjectMetaAccessor(obj, obj.GetNamespace() != "", kinds.PathSegment, meta)
	change := validation.ValidateObjectMetaAccessorUpdate(obj, old, meta)
	errs := metaErrors{common: slices.Concat(object, change)}
	finalizers := validateFinalizers(k, obj.GetFinalizers())
	named := validation.ValidateObjectMetaAccessor(obj, obj.GetNamespace() != "", validName(k, obj), meta) // the kind's own rules know its names
	object, change = slices.Concat(named, finalizers), slices.Concat(change, finalizers)
	switch again {
	case kinds.MetaChange:
		errs.before = change
	case kinds.MetaAll:
		errs.before, errs.after = object, change
	case kinds.MetaChangeFirst:
		errs.before = slices.Concat(change, object)
	case kinds.MetaObject:
		errs.before = object
	case kinds.MetaTwice:
		errs.before, errs.after = object, object
	case kinds.MetaNone:
	}
	return errs
}

// validateFinalizers wants a domain in the names of finalizers that are not the system's own, where the kind does.
func validateFinalizers(k *kinds.Kind, list []string) (errs field.ErrorList) {
	if k.PlainFinalizers {
		return nil
	}
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
