package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// bound shows what bindings of both kinds have: the policy, its parameters, and what of the policy's resources is meant. It points into the
// object that it was made of.
type bound struct {
	spec   any // all of it
	policy string
	params *admissionv1.ParamRef
	match  *admissionv1.MatchResources
}

// bindings is what both kinds have in common. rest checks what they have not, and comes last.
func bindings(read func(kinds.Object) bound, rest func(kinds.Object, *field.Path) field.ErrorList) *kinds.Kind {
	return &kinds.Kind{
		Categories: categories(), RequireVersion: true, Warnings: reservedName,
		Default:       func(obj kinds.Object) { defaultMatch(read(obj).match) },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) { obj.SetGeneration(1) },
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) { raise(obj, old, read(obj).spec, read(old).spec) },
		Validate: func(obj kinds.Object) field.ErrorList {
			path := field.NewPath("spec")
			return append(read(obj).validate(path), rest(obj, path)...)
		},
		Columns: []kinds.Column{
			kinds.NameColumn(),
			column("PolicyName", "string", "PolicyName indicates the policy definition which the policy binding binded to", func(obj kinds.Object) any {
				return read(obj).policy
			}),
			column("ParamRef", "string", "ParamRef indicates the param resource which sets the configuration param", func(obj kinds.Object) any {
				return shownParams(read(obj).params)
			}),
			kinds.AgeColumn(),
		},
	}
}

func (b bound) validate(path *field.Path) (errs field.ErrorList) {
	at := path.Child("policyName")
	if b.policy == "" {
		errs = append(errs, field.Required(at, ""))
	} else {
		errs = append(errs, invalid(at, b.policy, validation.NameIsDNSSubdomain(b.policy, false))...)
	}
	if b.params != nil {
		errs = append(errs, validateParamRef(b.params, path.Child("paramRef"))...)
	}
	if b.match != nil {
		errs = append(errs, validateMatch(b.match, path.Child("matchResources"))...)
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
