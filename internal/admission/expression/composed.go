package expression

import (
	"context"
	"fmt"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/floe-k8s/floe/internal/auth"
)

// Text is an expression and what it may evaluate to.
type Text struct {
	Name, Expression string // variables and match conditions have a name
	Returns          []*cel.Type
}

var _ plugincel.NamedExpressionAccessor = Text{}

// GetName implements plugincel.NamedExpressionAccessor.
func (t Text) GetName() string { return t.Name }

// GetExpression implements plugincel.ExpressionAccessor.
func (t Text) GetExpression() string { return t.Expression }

// ReturnTypes implements plugincel.ExpressionAccessor.
func (t Text) ReturnTypes() []*cel.Type { return t.Returns }

// Composed compiles the expressions of one policy, which know its variables. Everything is compiled before anything is evaluated; from then on what was compiled
// is safe for concurrent use.
type Composed struct {
	compiler *plugincel.CompositedCompiler
	params   bool
}

// Compose compiles variables, in their order. What is wrong with one is told by the expressions that use it.
func Compose(variables []admissionv1.Variable, params bool) *Composed {
	compiler, err := plugincel.NewCompositedCompiler(Base())
	if err != nil {
		panic(fmt.Sprintf("CEL cannot declare variables: %v", err)) // nothing of a user's is in there yet
	}
	c := &Composed{compiler, params}
	for _, v := range variables {
		text := Text{v.Name, v.Expression, []*cel.Type{cel.AnyType, cel.DynType}}
		compiler.CompileAndStoreVariable(text, c.options(true), environment.StoredExpressions)
	}
	return c
}

func (c *Composed) options(authorizer bool) plugincel.OptionalVariableDeclarations {
	return plugincel.OptionalVariableDeclarations{HasParams: c.params, HasAuthorizer: authorizer}
}

// Compile implements Compiles.
func (c *Composed) Compile(list []plugincel.ExpressionAccessor, options plugincel.OptionalVariableDeclarations) plugincel.ConditionEvaluator {
	return c.compiler.CompileCondition(list, options, environment.StoredExpressions)
}

// Texts compiles expressions that are evaluated together; one without a text has no result. authorizer says whether they may ask what a user may do.
func (c *Composed) Texts(list []Text, authorizer bool) plugincel.ConditionEvaluator {
	all := make([]plugincel.ExpressionAccessor, len(list))
	for i, t := range list {
		if t.Expression != "" {
			all[i] = t
		}
	}
	return c.Compile(all, c.options(authorizer))
}

// Mutation compiles an expression that makes patches.
func (c *Composed) Mutation(t Text) plugincel.MutatingEvaluator {
	options := c.options(true)
	options.HasPatchTypes = true
	return c.compiler.CompileMutatingEvaluator(t, options, environment.StoredExpressions)
}

// Context is one in which what Mutation has compiled knows the variables.
func (c *Composed) Context(ctx context.Context) context.Context { return c.compiler.CreateContext(ctx) }

// With is what an evaluation has besides the wish itself.
type With struct {
	Params     Params
	Authorizer auth.Authorizer   // nil: expressions may not ask
	Namespace  *corev1.Namespace // that the wish is in; nil: none
}

// Visible is what expressions see of a namespace.
func Visible(ns *corev1.Namespace) *corev1.Namespace { return plugincel.CreateNamespaceObject(ns) }

// Evaluate evaluates expressions within a budget and returns what is left of it. An error means that the budget, or something else that all need, was missing.
func (in *Input) Evaluate(ctx context.Context, e plugincel.ConditionEvaluator, w With, budget int64) ([]plugincel.EvaluationResult, int64, error) {
	return e.ForInput(ctx, in.versioned, in.Request, in.bindings(w.Params, w.Authorizer), w.Namespace, budget)
}

// Mutate evaluates an expression that makes patches.
func (in *Input) Mutate(ctx context.Context, e plugincel.MutatingEvaluator, w With, budget int64) (plugincel.EvaluationResult, error) {
	result, _, err := e.ForInput(ctx, in.versioned, in.Request, in.bindings(w.Params, w.Authorizer), w.Namespace, budget)
	return result, err
}
