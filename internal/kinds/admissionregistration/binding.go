package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// validateBinding checks what bindings of both kinds have: the policy, its parameters, and what of the policy's resources is meant.
func validateBinding(policy string, ref *admissionv1.ParamRef, match *admissionv1.MatchResources, path *field.Path) (errs field.ErrorList) {
	at := path.Child("policyName")
	if policy == "" {
		errs = append(errs, field.Required(at, ""))
	} else {
		errs = append(errs, invalid(at, policy, validation.NameIsDNSSubdomain(policy, false))...)
	}
	if ref != nil {
		errs = append(errs, validateParamRef(ref, path.Child("paramRef"))...)
	}
	if match != nil {
		errs = append(errs, validateMatch(match, path.Child("matchResources"))...)
	}
	return errs
}

func validateParamRef(r *admissionv1.ParamRef, path *field.Path) (errs field.ErrorList) {
	const either = "name and selector are mutually exclusive"
	if r.Name != "" {
		errs = append(errs, invalid(path.Child("name"), r.Name, content.IsPathSegmentName(r.Name))...)
		if r.Selector != nil {
			errs = append(errs, field.Forbidden(path.Child("name"), either))
		}
	}
	if r.Selector != nil {
		errs = append(errs, metavalidation.ValidateLabelSelector(r.Selector, metavalidation.LabelSelectorValidationOptions{}, path.Child("selector"))...)
		if r.Name != "" {
			errs = append(errs, field.Forbidden(path.Child("selector"), either))
		}
	}
	if r.Name == "" && r.Selector == nil {
		errs = append(errs, field.Required(path, "one of name or selector must be specified"))
	}
	at, action := path.Child("parameterNotFoundAction"), r.ParameterNotFoundAction
	if action == nil || *action == "" {
		return append(errs, field.Required(at, ""))
	}
	return append(errs, oneOf(action, at, admissionv1.DenyAction, admissionv1.AllowAction)...)
}

// bindingColumns are the table of a kind of binding. read returns the policy and the parameters.
func bindingColumns[T kinds.Object](read func(T) (string, *admissionv1.ParamRef)) []kinds.Column {
	return []kinds.Column{
		kinds.NameColumn(),
		column("PolicyName", "string", "PolicyName indicates the policy definition which the policy binding binded to", func(b T) any {
			policy, _ := read(b)
			return policy
		}),
		column("ParamRef", "string", "ParamRef indicates the param resource which sets the configuration param", func(b T) any {
			_, ref := read(b)
			return shownParams(ref)
		}),
		kinds.AgeColumn(),
	}
}

// shownParams is how tables show parameters. Whether they live in namespaces cannot be told from here: those without one are shown in "*".
func shownParams(r *admissionv1.ParamRef) string {
	switch {
	case r == nil || r.Name == "" && r.Selector == nil:
		return "<unset>"
	case r.Name == "":
		return r.Selector.String()
	case r.Namespace == "":
		return "*/" + r.Name
	default:
		return r.Namespace + "/" + r.Name
	}
}
