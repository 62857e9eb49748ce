package admissionregistration

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// What audit annotations may be: how many, and how many bytes of an expression. Their values may be twice as long, since expressions join texts.
const (
	maxAnnotations     = 20
	maxAnnotationBytes = 5 << 10
)

func (j *judge) validateValidation(v *admissionv1.Validation, path *field.Path) (errs field.ErrorList) {
	at := path.Child("expression")
	if strings.TrimSpace(v.Expression) == "" {
		errs = append(errs, field.Required(at, "expression is not specified"))
	} else {
		e := expression{text: v.Expression, returns: []*cel.Type{cel.BoolType}}
		errs = append(errs, wrong(j.compiler().CompileCELExpression(e, j.options(true, false), mode(j.stored.validations, e.text)), at, e.text)...)
	}
	at = path.Child("messageExpression")
	switch e := (expression{text: v.MessageExpression, returns: []*cel.Type{cel.StringType}}); {
	case e.text == "":
	case strings.TrimSpace(e.text) == "":
		errs = append(errs, field.Invalid(at, e.text, "must be non-empty if specified"))
	default:
		errs = append(errs, wrong(j.compiler().CompileCELExpression(e, j.options(false, false), mode(j.stored.messages, e.text)), at, e.text)...)
	}
	message := strings.TrimSpace(v.Message)
	switch {
	case v.Message != "" && message == "":
		errs = append(errs, field.Invalid(path.Child("message"), v.Message, "must be non-empty if specified"))
	case strings.ContainsAny(message, "\n\r"):
		errs = append(errs, field.Invalid(path.Child("message"), v.Message, "must not contain line breaks"))
	}
	return append(errs, knownOrNone(v.Reason, path.Child("reason"), metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge)...)
}

// validateAnnotations checks what a policy adds to the audit log. Keys are qualified by the policy's name there.
func (j *judge) validateAnnotations(name string, list []admissionv1.AuditAnnotation, path *field.Path) (errs field.ErrorList) {
	if len(list) > maxAnnotations {
		errs = append(errs, field.Invalid(path, untagged.Value(list), fmt.Sprintf("must not have more than %d auditAnnotations", maxAnnotations)))
	}
	keys := sets.New[string]()
	for i, a := range list {
		at := path.Index(i)
		if name == "" {
			errs = append(errs, field.Invalid(at.Child("key"), a.Key, "requires metadata.name be non-empty"))
		} else {
			errs = append(errs, invalid(at.Child("key"), name+"/"+a.Key, utilvalidation.IsQualifiedName(name+"/"+a.Key))...)
		}
		errs = append(errs, j.validateAnnotation(a.ValueExpression, at.Child("valueExpression"))...)
		if keys.Has(a.Key) {
			errs = append(errs, field.Duplicate(at.Child("key"), a.Key))
		}
		keys.Insert(a.Key)
	}
	return errs
}

func (j *judge) validateAnnotation(text string, path *field.Path) field.ErrorList {
	e := expression{text: strings.TrimSpace(text), returns: []*cel.Type{cel.StringType, cel.NullType}}
	switch {
	case e.text == "":
		return field.ErrorList{field.Required(path, "valueExpression is not specified")}
	case len(e.text) > maxAnnotationBytes:
		return field.ErrorList{field.Required(path, fmt.Sprintf("must not exceed %d bytes in length", maxAnnotationBytes))}
	}
	return wrong(j.compiler().CompileCELExpression(e, j.options(true, false), mode(j.stored.annotations, text)), path, text)
}
