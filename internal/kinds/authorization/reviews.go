// Package authorization holds the kinds of authorization.k8s.io, which are never stored: a client sends one that asks whether somebody may do something, and
// the answer is the same object with a status.
//
// # What it leaves to others
//
// The answers are package api/review's; who may do what is decided by auth.
package authorization

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

func review(kind, resource, singular string, obj func() kinds.Object) *kinds.Kind {
	return &kinds.Kind{
		GVK: authorizationv1.SchemeGroupVersion.WithKind(kind), Resource: resource, Singular: singular,
		Verbs: []string{"create"}, Answered: true, New: obj,
	}
}

// SubjectAccessReview is authorization.k8s.io/v1 SubjectAccessReview: whether a user may do something.
func SubjectAccessReview() *kinds.Kind {
	k := review("SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview", func() kinds.Object { return &authorizationv1.SubjectAccessReview{} })
	k.Validate = func(obj kinds.Object) field.ErrorList {
		r := obj.(*authorizationv1.SubjectAccessReview)
		return append(validateSubject(&r.Spec), noMetadata(&r.ObjectMeta, "must be empty")...)
	}
	return k
}

// LocalSubjectAccessReview is authorization.k8s.io/v1 LocalSubjectAccessReview: the same within a namespace, so that asking can be allowed there only.
func LocalSubjectAccessReview() *kinds.Kind {
	k := review("LocalSubjectAccessReview", "localsubjectaccessreviews", "localsubjectaccessreview", func() kinds.Object {
		return &authorizationv1.LocalSubjectAccessReview{}
	})
	k.Namespaced = true
	k.Validate = func(obj kinds.Object) field.ErrorList {
		r := obj.(*authorizationv1.LocalSubjectAccessReview)
		errs := validateSubject(&r.Spec)
		meta := r.ObjectMeta
		meta.Namespace = ""
		if len(noMetadata(&meta, "")) > 0 {
			errs = append(errs, field.Invalid(field.NewPath("metadata"), r.ObjectMeta, "must be empty except for namespace"))
		}
		if on := r.Spec.ResourceAttributes; on != nil && on.Namespace != r.Namespace {
			errs = append(errs, field.Invalid(field.NewPath("spec.resourceAttributes.namespace"), on.Namespace, "must match metadata.namespace"))
		}
		if on := r.Spec.NonResourceAttributes; on != nil {
			errs = append(errs, field.Invalid(field.NewPath("spec.nonResourceAttributes"), untagged.Value(on), "disallowed on this kind of request"))
		}
		return errs
	}
	return k
}

// SelfSubjectAccessReview is authorization.k8s.io/v1 SelfSubjectAccessReview: whether the client may do something.
func SelfSubjectAccessReview() *kinds.Kind {
	k := review("SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview", func() kinds.Object {
		return &authorizationv1.SelfSubjectAccessReview{}
	})
	k.Validate = func(obj kinds.Object) field.ErrorList {
		r := obj.(*authorizationv1.SelfSubjectAccessReview)
		errs := validateTarget(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
		errs = append(errs, validateSelectors(r.Spec.ResourceAttributes)...)
		return append(errs, noMetadata(&r.ObjectMeta, "must be empty")...)
	}
	return k
}

// SelfSubjectRulesReview is authorization.k8s.io/v1 SelfSubjectRulesReview: all that the client may do in a namespace.
func SelfSubjectRulesReview() *kinds.Kind {
	return review("SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview", func() kinds.Object {
		return &authorizationv1.SelfSubjectRulesReview{}
	})
}

// noMetadata refuses metadata: nothing bears a name that is not kept.
func noMetadata(meta *metav1.ObjectMeta, text string) field.ErrorList {
	bare := *meta
	bare.ManagedFields = nil
	if equality.Semantic.DeepEqual(metav1.ObjectMeta{}, bare) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), *meta, text)}
}

func validateSubject(spec *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := validateTarget(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), spec.User, "at least one of user or group must be specified"))
	}
	return append(errs, validateSelectors(spec.ResourceAttributes)...)
}

// validateTarget wants a resource or a path.
func validateTarget(resource *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) field.ErrorList {
	spec := field.NewPath("spec")
	switch {
	case resource != nil && path != nil:
		return field.ErrorList{field.Invalid(spec.Child("nonResourceAttributes"), untagged.Value(path), "cannot be specified in combination with resourceAttributes")}
	case resource == nil && path == nil:
		return field.ErrorList{field.Invalid(spec.Child("resourceAttributes"), path, "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
	}
	return nil
}

// validateSelectors takes operators that it does not know: a client may be newer, and a requirement that is passed over allows no more.
func validateSelectors(resource *authorizationv1.ResourceAttributes) (errs field.ErrorList) {
	if resource == nil {
		return nil
	}
	path := field.NewPath("spec.resourceAttributes")
	if s := resource.FieldSelector; s != nil {
		path := path.Child("fieldSelector")
		errs = validateSelector(s.RawSelector, len(s.Requirements), path)
		for i, r := range s.Requirements {
			opts := metavalidation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
			errs = append(errs, metavalidation.ValidateFieldSelectorRequirement(r, opts, path.Child("requirements").Index(i))...)
		}
	}
	if s := resource.LabelSelector; s != nil {
		path := path.Child("labelSelector")
		errs = append(errs, validateSelector(s.RawSelector, len(s.Requirements), path)...)
		for i, r := range s.Requirements {
			opts := metavalidation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
			errs = append(errs, metavalidation.ValidateLabelSelectorRequirement(r, opts, path.Child("requirements").Index(i))...)
		}
	}
	return errs
}

// validateSelector wants a selector as a text or as requirements.
func validateSelector(raw string, requirements int, path *field.Path) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(path.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(path.Child("requirements"), fmt.Sprintf("when %s is specified, requirements or rawSelector is required", path))}
	}
	return nil
}
