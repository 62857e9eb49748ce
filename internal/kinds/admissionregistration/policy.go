package admissionregistration

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"

	"github.com/floe-k8s/floe/internal/kinds"
)

// judge judges one policy. It is used by one goroutine.
type judge struct {
	plain          func() plugincel.Compiler // the kind's, shared by all its policies
	composes       bool                      // there may be variables: the policy has a compiler of its own
	own            *plugincel.CompositedCompiler
	params         bool        // there is a paramKind: expressions may speak of parameters
	sameConditions bool        // an update changed neither match conditions nor paramKind: they are not judged again
	stored         expressions // of the stored object, on an update
}

// compiler is made when the first expression needs it.
func (j *judge) compiler() plugincel.Compiler {
	if !j.composes {
		return j.plain()
	}
	if j.own == nil {
		j.own = composing()
	}
	return j.own
}

// options are what an expression may speak of besides the objects of the request.
func (j *judge) options(authorizer, patches bool) plugincel.OptionalVariableDeclarations {
	return plugincel.OptionalVariableDeclarations{HasParams: j.params, HasAuthorizer: authorizer, HasPatchTypes: patches}
}

// validateHead checks what both kinds of policy begin with.
func (j *judge) validateHead(failure *admissionv1.FailurePolicyType, param *admissionv1.ParamKind, match *admissionv1.MatchResources, path *field.Path) field.ErrorList {
	j.params = param != nil
	errs := oneOf(failure, path.Child("failurePolicy"), failurePolicies()...)
	if param != nil {
		errs = append(errs, validateParamKind(param, path.Child("paramKind"))...)
	}
	at := path.Child("matchConstraints")
	if match == nil {
		return append(errs, field.Required(at, ""))
	}
	errs = append(errs, validateMatch(match, at)...)
	if len(match.ResourceRules) == 0 { // they say of which types the objects are
		errs = append(errs, field.Required(at.Child("resourceRules"), ""))
	}
	return errs
}

func (j *judge) validateConditions(list []admissionv1.MatchCondition, path *field.Path) field.ErrorList {
	if j.sameConditions {
		return nil
	}
	return conditionRules{compiler: j.plain, params: j.params, stored: j.stored.conditions}.validate(list, path)
}

func (j *judge) validateVariables(list []admissionv1.Variable, path *field.Path) (errs field.ErrorList) {
	for i, v := range list {
		at := path.Index(i)
		switch {
		case strings.TrimSpace(v.Name) == "":
			errs = append(errs, field.Required(at.Child("name"), "name is not specified"))
		case !isIdentifier(v.Name):
			errs = append(errs, field.Invalid(at.Child("name"), v.Name, "must be a valid CEL identifier"))
		}
		if strings.TrimSpace(v.Expression) == "" {
			errs = append(errs, field.Required(at.Child("expression"), "expression is not specified"))
			continue
		}
		j.compiler() // makes j.own: where there are variables the policy composes
		e := expression{name: v.Name, text: v.Expression, returns: []*cel.Type{cel.AnyType, cel.DynType}}
		result := j.own.CompileAndStoreVariable(e, j.options(true, false), mode(j.stored.validations, v.Expression)) // validations': upstream keeps no variables
		errs = append(errs, wrong(result, at.Child("expression"), v.Expression)...)
	}
	return errs
}

// isIdentifier says that CEL takes name for a name.
func isIdentifier(name string) bool {
	reserved := []string{
		"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return",
		"var", "void", "while",
	}
	for i, c := range name {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || '9' < c) {
			return false
		}
	}
	return name != "" && !slices.Contains(reserved, name)
}

func validateParamKind(k *admissionv1.ParamKind, path *field.Path) (errs field.ErrorList) {
	at := path.Child("apiVersion")
	if k.APIVersion == "" {
		errs = append(errs, field.Required(at, ""))
	} else {
		errs = append(errs, validateGroupVersion(k.APIVersion, at)...)
	}
	if k.Kind == "" {
		errs = append(errs, field.Required(path.Child("kind"), ""))
	} else if bad := utilvalidation.IsDNS1035Label(strings.ToLower(k.Kind)); len(bad) > 0 {
		errs = append(errs, field.Invalid(path.Child("kind"), k.Kind, "may have mixed case, but should otherwise match: "+strings.Join(bad, ",")))
	}
	return errs
}

func validateGroupVersion(text string, path *field.Path) (errs field.ErrorList) {
	group, version, found := strings.Cut(text, "/")
	if !found {
		group, version = "", text
	}
	if strings.Contains(version, "/") {
		return field.ErrorList{field.Invalid(path, text, fmt.Sprintf("unexpected GroupVersion string: %v", text))}
	}
	if bad := utilvalidation.IsDNS1123Subdomain(group); group != "" && len(bad) > 0 {
		errs = append(errs, field.Invalid(path, group, strings.Join(bad, ",")))
	}
	if version == "" {
		return append(errs, field.Invalid(path, text, "version must be specified"))
	}
	if bad := utilvalidation.IsDNS1035Label(version); len(bad) > 0 {
		errs = append(errs, field.Invalid(path, version, strings.Join(bad, ",")))
	}
	return errs
}

func changed(a, b any) bool { return !equality.Semantic.DeepEqual(a, b) }

// raise raises the generation when the specification changed.
func raise(obj, old kinds.Object, spec, was any) {
	if changed(spec, was) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
}

// policyColumns are the table of a kind of policy. read returns how many rules a policy has and what it is parameterized with.
func policyColumns[T kinds.Object](name, doc string, read func(T) (int, *admissionv1.ParamKind)) []kinds.Column {
	return []kinds.Column{
		kinds.NameColumn(),
		column(name, "integer", doc, func(p T) any {
			n, _ := read(p)
			return int64(n)
		}),
		column("ParamKind", "string", "ParamKind specifies the kind of resources used to parameterize this policy", func(p T) any {
			if _, kind := read(p); kind != nil {
				return kind.APIVersion + "/" + kind.Kind
			}
			return "<unset>"
		}),
		kinds.AgeColumn(),
	}
}
