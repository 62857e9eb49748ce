package admissionregistration

import (
	"fmt"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// maxConditions is how many match conditions there may be.
const maxConditions = 64

// expression is one text in CEL and what it may evaluate to. Variables have a name as well.
type expression struct {
	name, text string
	returns    []*cel.Type
}

var _ plugincel.NamedExpressionAccessor = expression{}

func (e expression) GetName() string          { return e.name }
func (e expression) GetExpression() string    { return e.text }
func (e expression) ReturnTypes() []*cel.Type { return e.returns }

// base is the environment that all others extend. New expressions may use what release 1.35 knows, the one before the API's.
func base() *environment.EnvSet { return environment.MustBaseEnvSet(version.MajorMinor(1, 35)) }

// lazyCompiler makes a compiler without variables when it is first asked for, and returns that one from then on. It may be used concurrently.
func lazyCompiler() func() plugincel.Compiler {
	return sync.OnceValue(func() plugincel.Compiler { return plugincel.NewCompiler(base()) })
}

// composing is a compiler that remembers the variables it has seen: one is made for each policy that is judged.
func composing() *plugincel.CompositedCompiler {
	c, err := plugincel.NewCompositedCompiler(base())
	if err != nil {
		panic(fmt.Sprintf("CEL cannot declare variables: %v", err)) // nothing of a user's is in there yet
	}
	return c
}

// expressions are the texts of a stored object, by where they stand. The zero value has none.
type expressions struct {
	conditions, validations, messages, annotations, mutations sets.Set[string]
}

// storedConditions are the expressions of match conditions.
func storedConditions(list []admissionv1.MatchCondition, into sets.Set[string]) sets.Set[string] {
	if into == nil {
		into = sets.New[string]()
	}
	for _, c := range list {
		into.Insert(c.Expression)
	}
	return into
}

// mode says with what an expression is compiled: with all that is known when it is stored already.
func mode(stored sets.Set[string], text string) environment.Type {
	if stored.Has(text) {
		return environment.StoredExpressions
	}
	return environment.NewExpressions
}

// wrong turns what a compiler says of an expression into what the API says of it. shown is the text as the user wrote it.
func wrong(result plugincel.CompilationResult, path *field.Path, shown string) field.ErrorList {
	switch err := result.Error; {
	case err == nil:
		return nil
	case err.Type == apiservercel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(path, shown, err.Detail)}
	default:
		return field.ErrorList{field.InternalError(path, err)}
	}
}

// conditionRules are what match conditions are judged by.
type conditionRules struct {
	compiler func() plugincel.Compiler
	params   bool             // conditions may speak of parameters
	stored   sets.Set[string] // expressions of the stored object
}

func (r conditionRules) validate(list []admissionv1.MatchCondition, path *field.Path) (errs field.ErrorList) {
	if len(list) > maxConditions {
		errs = append(errs, field.TooMany(path, len(list), maxConditions))
	}
	names := sets.New[string]()
	for i, c := range list {
		at := path.Index(i)
		if text := strings.TrimSpace(c.Expression); text == "" {
			errs = append(errs, field.Required(at.Child("expression"), ""))
		} else {
			e := expression{text: text, returns: []*cel.Type{cel.BoolType}}
			options := plugincel.OptionalVariableDeclarations{HasParams: r.params, HasAuthorizer: true}
			errs = append(errs, wrong(r.compiler().CompileCELExpression(e, options, mode(r.stored, text)), at.Child("expression"), text)...)
		}
		if c.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
			continue
		}
		errs = append(errs, invalid(at.Child("name"), c.Name, utilvalidation.IsQualifiedName(c.Name))...)
		if names.Has(c.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		}
		names.Insert(c.Name)
	}
	return errs
}
