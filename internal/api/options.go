package api

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The verbs check their options themselves; who reads a body first can ask before. Most writes have no options: for them nothing is made to say where one
// is wrong.

// CheckCreate says what is wrong with the options of a create.
func CheckCreate(opts metav1.CreateOptions) error {
	if opts.FieldManager == "" && opts.FieldValidation == "" && len(opts.DryRun) == 0 {
		return nil
	}
	return invalidOptions("CreateOptions", metavalidation.ValidateCreateOptions(&opts))
}

// CheckUpdate says what is wrong with the options of an update.
func CheckUpdate(opts metav1.UpdateOptions) error {
	if opts.FieldManager == "" && opts.FieldValidation == "" && len(opts.DryRun) == 0 {
		return nil
	}
	return invalidOptions("UpdateOptions", metavalidation.ValidateUpdateOptions(&opts))
}

// CheckPatch says what is wrong with the options of a patch in a language.
func CheckPatch(opts metav1.PatchOptions, language types.PatchType) error {
	return invalidOptions("PatchOptions", metavalidation.ValidatePatchOptions(&opts, language))
}

// CheckDelete says what is wrong with the options of a deletion.
func CheckDelete(opts metav1.DeleteOptions) error {
	return invalidOptions("DeleteOptions", metavalidation.ValidateDeleteOptions(&opts))
}

func invalidOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}
