package policystatus

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	celopenapi "k8s.io/apiserver/pkg/cel/openapi"
	"k8s.io/utils/lru"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

// keptTypes is how many types are kept, and typesLast how long after the last use: a pod's is 0.8 MB, and making it takes 40 ms.
const (
	keptTypes = 16
	typesLast = time.Minute
)

// checker checks policies. It is used by one goroutine at a time.
type checker struct {
	catalog engine.Catalog
	types   *lru.Cache // *apiservercel.DeclType by typeKey
	used    time.Time  // when a policy was checked last
}

// typeKey names a type, and changes when the schema does.
type typeKey struct{ identity, name string }

func newChecker(catalog engine.Catalog) *checker {
	return &checker{catalog: catalog, types: lru.New(keptTypes)}
}

// suspect is one expression of a policy and what was found about it.
type suspect struct {
	at    *field.Path
	text  string
	found []string
}

func suspects(p *admissionv1.ValidatingAdmissionPolicy) (list []*suspect) {
	for i, v := range p.Spec.Validations {
		at := field.NewPath("spec", "validations").Index(i)
		list = append(list, &suspect{at: at.Child("expression"), text: v.Expression})
		if v.MessageExpression != "" {
			list = append(list, &suspect{at: at.Child("messageExpression"), text: v.MessageExpression})
		}
	}
	return list
}

// rest forgets the types that nobody has used for long.
func (c *checker) rest(now time.Time) {
	if now.Sub(c.used) >= typesLast {
		c.types.Clear()
	}
}

// warnings is what is to be said of a policy's expressions; nil when nothing is.
func (c *checker) warnings(p *admissionv1.ValidatingAdmissionPolicy, now time.Time) (out []admissionv1.ExpressionWarning) {
	c.used = now
	served, _ := c.catalog()
	all, params := suspects(p), c.params(served, p)
	for _, k := range matched(served, p) {
		object, err := c.typeOf(k, k.GVK.Kind+"0")
		if err != nil {
			continue // there is nothing to check against
		}
		env, err := declare(object, params)
		if err != nil {
			continue // the policy works nevertheless: it is evaluated without types
		}
		env.declareVariables(p.Spec.Variables)
		for _, s := range all {
			if err := env.compile(s.text).Error; err != nil {
				s.found = append(s.found, tell(k.GVK, err))
			}
		}
	}
	for _, s := range all {
		if len(s.found) > 0 {
			out = append(out, admissionv1.ExpressionWarning{FieldRef: s.at.String(), Warning: strings.Join(s.found, "\n")})
		}
	}
	return out
}

// tell says what is wrong with an expression for a kind.
func tell(gvk schema.GroupVersionKind, err *apiservercel.Error) string {
	if err.Type == apiservercel.ErrorTypeInvalid {
		return fmt.Sprintf("%v: %s\n", gvk, err)
	}
	return fmt.Sprintf("%v: type checking error: %v\n", gvk, err)
}

// variable is one that expressions know. Of a nil declared nothing is known, and all is allowed.
type variable struct {
	known    bool // there is such a variable
	declared *apiservercel.DeclType
}

// params is the policy's parameter.
func (c *checker) params(served []*kinds.Kind, p *admissionv1.ValidatingAdmissionPolicy) variable {
	if p.Spec.ParamKind == nil {
		return variable{}
	}
	gv, err := schema.ParseGroupVersion(p.Spec.ParamKind.APIVersion)
	if err != nil {
		return variable{}
	}
	out := variable{known: true}
	for _, k := range served {
		if k.GVK != gv.WithKind(p.Spec.ParamKind.Kind) {
			continue
		}
		if declared, err := c.typeOf(k, k.GVK.Kind+"1"); err == nil {
			out.declared = declared
		}
		break
	}
	return out
}

// typeOf returns a kind's type by a name; nil when CEL can say nothing of it.
func (c *checker) typeOf(k *kinds.Kind, name string) (*apiservercel.DeclType, error) {
	key := typeKey{k.GVK.String(), name}
	if k.Dynamic != nil {
		key.identity = k.Dynamic.Identity
	}
	if kept, ok := c.types.Get(key); ok {
		return kept.(*apiservercel.DeclType), nil
	}
	whole, err := openapi.SchemaOf(k)
	if err != nil {
		return nil, err
	}
	declared := common.SchemaDeclType(&celopenapi.Schema{Schema: whole}, true)
	if declared != nil {
		declared = declared.MaybeAssignTypeName(name)
	}
	c.types.Add(key, declared)
	return declared, nil
}

// types is an environment that knows the types of one kind's objects and of the parameter. It compiles as plugincel does, but makes no program and takes
// whatever type an expression has.
type types struct{ composed *plugincel.CompositedCompiler }

var _ plugincel.Compiler = types{}

// declare makes the environment. It fails when the types contradict each other.
func declare(object *apiservercel.DeclType, params variable) (types, error) {
	request, namespace := plugincel.BuildRequestType(), plugincel.BuildNamespaceType()
	options := environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0), // there at all times
		EnvOptions:        []cel.EnvOption{cel.Variable(plugincel.AuthorizerVarName, library.AuthorizerType)},
	}
	add := func(declared *apiservercel.DeclType, names ...string) {
		known := cel.DynType
		if declared != nil {
			known = declared.CelType()
			options.DeclTypes = append(options.DeclTypes, declared)
		}
		for _, name := range names {
			options.EnvOptions = append(options.EnvOptions, cel.Variable(name, known))
		}
	}
	add(namespace, plugincel.NamespaceVarName)
	add(request, plugincel.RequestVarName)
	add(object, plugincel.ObjectVarName, plugincel.OldObjectVarName)
	if params.known {
		add(params.declared, plugincel.ParamsVarName)
	}
	env, err := environment.MustBaseEnvSet(version.MajorMinor(1, 35)).Extend(options)
	if err != nil {
		return types{}, err
	}
	composed, err := plugincel.NewCompositedCompilerForTypeChecking(env)
	if err != nil {
		return types{}, err
	}
	out := types{composed}
	composed.Compiler = out
	return out, nil
}

// declareVariables makes the policy's variables known. One that is wrong itself may be anything.
func (t types) declareVariables(list []admissionv1.Variable) {
	for _, v := range list {
		t.composed.CompileAndStoreVariable(expression{v.Name, v.Expression}, plugincel.OptionalVariableDeclarations{}, environment.StoredExpressions)
	}
}

func (t types) compile(text string) plugincel.CompilationResult {
	return t.CompileCELExpression(expression{text: text}, plugincel.OptionalVariableDeclarations{}, environment.StoredExpressions)
}

// CompileCELExpression implements plugincel.Compiler. The options are the environment's.
func (t types) CompileCELExpression(e plugincel.ExpressionAccessor, _ plugincel.OptionalVariableDeclarations, mode environment.Type) plugincel.CompilationResult {
	wrong := func(kind apiservercel.ErrorType, detail string) plugincel.CompilationResult {
		return plugincel.CompilationResult{ExpressionAccessor: e, Error: &apiservercel.Error{Type: kind, Detail: detail}}
	}
	env, err := t.composed.Env(mode)
	if err != nil {
		return wrong(apiservercel.ErrorTypeInternal, fmt.Sprintf("fail to build env: %v", err))
	}
	ast, issues := env.Compile(e.GetExpression())
	if issues != nil {
		return wrong(apiservercel.ErrorTypeInvalid, issues.String())
	}
	return plugincel.CompilationResult{ExpressionAccessor: e, OutputType: ast.OutputType()}
}

// expression is a text in CEL. Variables have a name as well.
type expression struct{ name, text string }

var _ plugincel.NamedExpressionAccessor = expression{}

// GetName implements plugincel.NamedExpressionAccessor.
func (e expression) GetName() string { return e.name }

// GetExpression implements plugincel.ExpressionAccessor.
func (e expression) GetExpression() string { return e.text }

// ReturnTypes implements plugincel.ExpressionAccessor.
func (e expression) ReturnTypes() []*cel.Type { return []*cel.Type{cel.AnyType} }
