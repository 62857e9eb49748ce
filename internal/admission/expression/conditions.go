package expression

import (
	"context"
	"sync"

	"github.com/google/cel-go/cel"
	celtypes "github.com/google/cel-go/common/types"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/version"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/floe-k8s/floe/internal/auth"
)

// Base is the environment that all others extend. What is stored already is compiled with all that is known, whatever the release.
func Base() *environment.EnvSet { return environment.MustBaseEnvSet(version.MajorMinor(1, 35)) }

// Compiler compiles expressions that know no variables of a policy's. The zero value makes its environments when it is first used; it is safe for concurrent use.
type Compiler struct {
	once     sync.Once
	compiler plugincel.ConditionCompiler
}

// Compile compiles expressions.
func (c *Compiler) Compile(list []plugincel.ExpressionAccessor, options plugincel.OptionalVariableDeclarations) plugincel.ConditionEvaluator {
	c.once.Do(func() { c.compiler = plugincel.NewConditionCompiler(Base()) })
	return c.compiler.CompileCondition(list, options, environment.StoredExpressions)
}

// Conditions are the match conditions of a webhook or a policy. They are compiled when they are first asked, and are safe for concurrent use.
type Conditions struct {
	evaluator func() plugincel.ConditionEvaluator
	ignore    bool
}

// Compiles is a compiler's function.
type Compiles func(list []plugincel.ExpressionAccessor, options plugincel.OptionalVariableDeclarations) plugincel.ConditionEvaluator

// NewConditions returns nil when list is empty. ignore says that what fails does not match.
func NewConditions(list []admissionv1.MatchCondition, ignore, params bool, compile Compiles) *Conditions {
	if len(list) == 0 {
		return nil
	}
	return &Conditions{ignore: ignore, evaluator: sync.OnceValue(func() plugincel.ConditionEvaluator {
		all := make([]plugincel.ExpressionAccessor, 0, len(list))
		for _, c := range list {
			all = append(all, Text{c.Name, c.Expression, []*cel.Type{cel.BoolType}})
		}
		return compile(all, plugincel.OptionalVariableDeclarations{HasParams: params, HasAuthorizer: true})
	})}
}

// Verdict is what conditions say.
type Verdict struct {
	Matches bool
	Failed  int   // how many could not be evaluated
	Err     error // what is wrong, when failures count; Matches is false then
}

// Match asks all conditions; nil conditions match. One that is false decides, whatever else fails.
func (c *Conditions) Match(ctx context.Context, in *Input, params Params, authorize auth.Authorizer) Verdict {
	if c == nil {
		return Verdict{Matches: true}
	}
	results, _, err := c.evaluator().ForInput(ctx, in.versioned, in.Request, in.bindings(params, authorize), nil, celconfig.RuntimeCELCostBudgetMatchConditions)
	if err != nil {
		return c.failed(0, err)
	}
	var errs []error
	for _, r := range results {
		if r.Error != nil {
			errs = append(errs, r.Error)
		}
		if r.EvalResult == celtypes.False {
			return Verdict{Failed: len(errs)}
		}
	}
	if len(errs) > 0 {
		return c.failed(len(errs), utilerrors.NewAggregate(errs))
	}
	return Verdict{Matches: true}
}

func (c *Conditions) failed(n int, err error) Verdict {
	if c.ignore {
		err = nil
	}
	return Verdict{Failed: n, Err: err}
}
