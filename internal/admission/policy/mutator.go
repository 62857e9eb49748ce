package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"google.golang.org/protobuf/types/known/structpb"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	celmutation "k8s.io/apiserver/pkg/cel/mutation"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/expression"
	"github.com/floe-k8s/floe/internal/api/jsonpatch"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Types finds the schemas of a kind and of the bodies of its subresources, by which apply configurations are merged. It is safe for concurrent use.
type Types func(k *kinds.Kind) (managedfields.TypeConverter, error)

// mutator is a MutatingAdmissionPolicy compiled. It is safe for concurrent use.
type mutator struct {
	composed   *expression.Composed
	conditions *expression.Conditions
	mutations  []mutation
	again      bool // it wants to be asked again when somebody after it has changed the object
}

// mutation is one of its mutations.
type mutation struct {
	evaluator plugincel.MutatingEvaluator
	apply     bool // it makes an apply configuration; else a list of JSON patches
}

func compileMutator(spec *admissionv1.MutatingAdmissionPolicySpec, failOpen bool) *mutator {
	c := expression.Compose(spec.Variables, spec.ParamKind != nil)
	m := &mutator{
		composed: c, conditions: expression.NewConditions(spec.MatchConditions, failOpen, spec.ParamKind != nil, c.Compile),
		again: spec.ReinvocationPolicy == admissionv1.IfNeededReinvocationPolicy,
	}
	for _, one := range spec.Mutations {
		switch {
		case one.PatchType == admissionv1.PatchTypeJSONPatch && one.JSONPatch != nil:
			text := expression.Text{Expression: one.JSONPatch.Expression, Returns: []*cel.Type{cel.ListType(types.NewObjectType("JSONPatch"))}}
			m.mutations = append(m.mutations, mutation{evaluator: c.Mutation(text)})
		case one.PatchType == admissionv1.PatchTypeApplyConfiguration && one.ApplyConfiguration != nil:
			text := expression.Text{Expression: one.ApplyConfiguration.Expression, Returns: []*cel.Type{types.NewObjectType("Object")}}
			m.mutations = append(m.mutations, mutation{c.Mutation(text), true})
		}
	}
	return m
}

// change returns what the mutation makes of the object that in shows, in its form and private to the caller; the same when nothing is to be changed.
func (m mutation) change(ctx context.Context, a *admission.Attributes, in *expression.Input, w expression.With, types Types) (runtime.Object, error) {
	if errs := m.evaluator.CompilationErrors(); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	result, err := in.Mutate(ctx, m.evaluator, w, celconfig.RuntimeCELCostBudget)
	switch {
	case err != nil:
		return nil, err
	case result.Error != nil:
		return nil, result.Error
	case m.apply:
		return applied(a, in, result.EvalResult, types)
	}
	ops, err := operations(result.EvalResult)
	if err != nil {
		return nil, err
	}
	next, err := in.Form.Patched(a, in.Object, ops.Apply)
	switch {
	case errors.Is(err, jsonpatch.ErrTest):
		return in.Object, nil
	case err != nil:
		return nil, fmt.Errorf("JSON Patch: %w", err)
	}
	return next, nil
}

// operations reads a list of JSONPatch values.
func operations(list ref.Val) (ops jsonpatch.Patch, err error) {
	all, ok := list.(traits.Lister)
	if !ok {
		return nil, errors.New("type mismatch: JSONPatchType.expression should evaluate to array")
	}
	for it := all.Iterator(); it.HasNext() == types.True; {
		native, err := it.Next().ConvertToNative(reflect.TypeFor[*celmutation.JSONPatchVal]())
		if err != nil {
			return nil, fmt.Errorf("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch: %w", err)
		}
		one, ok := native.(*celmutation.JSONPatchVal)
		if !ok {
			return nil, fmt.Errorf("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch, got element of %T", native)
		}
		op := jsonpatch.Operation{}
		for field, text := range map[string]string{"op": one.Op, "path": one.Path, "from": one.From} {
			if text != "" || field != "from" {
				op[field] = raw(text)
			}
		}
		if one.Val != nil {
			if op["value"], err = valueOf(one.Val); err != nil {
				return nil, err
			}
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func raw(text string) *json.RawMessage {
	doc, err := json.Marshal(text)
	if err != nil {
		panic(fmt.Sprintf("a string cannot be written as JSON: %v", err))
	}
	return (*json.RawMessage)(&doc)
}

// valueOf is a value of CEL as JSON.
func valueOf(v ref.Val) (*json.RawMessage, error) {
	if obj, ok := v.(*dynamic.ObjectVal); ok {
		if err := obj.CheckTypeNamesMatchFieldPathNames(); err != nil {
			return nil, fmt.Errorf("type mismatch: %w", err)
		}
	}
	var doc []byte
	native, err := v.ConvertToNative(reflect.TypeFor[*structpb.Value]())
	if err == nil {
		doc, err = json.Marshal(native)
	}
	if err != nil {
		return nil, fmt.Errorf("JSONPath valueExpression evaluated to a type that could not marshal to JSON: %w", err)
	}
	return (*json.RawMessage)(&doc), nil
}

// applied merges an apply configuration into the object. Nobody comes to own its fields.
func applied(a *admission.Attributes, in *expression.Input, value ref.Val, types Types) (runtime.Object, error) {
	obj, ok := value.(*dynamic.ObjectVal)
	if !ok {
		return nil, fmt.Errorf("unsupported return type from ApplyConfiguration expression: %v", value.Type())
	}
	if err := obj.CheckTypeNamesMatchFieldPathNames(); err != nil {
		return nil, fmt.Errorf("type mismatch: %w", err)
	}
	fields, ok := obj.Value().(map[string]any)
	if !ok {
		return nil, fmt.Errorf("invalid return type: %T", value)
	}
	converter, err := types(in.Form.Served())
	if err != nil {
		return nil, err
	}
	patch := &unstructured.Unstructured{Object: fields}
	patch.SetGroupVersionKind(in.Form.Kind)
	merged, err := merge(converter, in.Object, patch)
	if err != nil {
		return nil, fmt.Errorf("error applying patch: %w", err)
	}
	return in.Form.Read(a, merged)
}

func merge(converter managedfields.TypeConverter, live runtime.Object, patch *unstructured.Unstructured) (map[string]any, error) {
	wanted, err := converter.ObjectToTyped(patch)
	if err != nil {
		return nil, fmt.Errorf("failed to convert patch object to typed object: %w", err)
	}
	if err := refuseAtomics(wanted); err != nil {
		return nil, fmt.Errorf("invalid ApplyConfiguration: %w", err)
	}
	have, err := converter.ObjectToTyped(live, typed.AllowDuplicates)
	if err != nil {
		return nil, fmt.Errorf("failed to convert original object to typed object: %w", err)
	}
	merged, err := have.Merge(wanted)
	if err != nil {
		return nil, fmt.Errorf("failed to merge patch: %w", err)
	}
	fields, ok := merged.AsValue().Unstructured().(map[string]any)
	if !ok {
		return nil, fmt.Errorf("failed to convert typed object to object: it is a %T", merged.AsValue().Unstructured())
	}
	return runtime.DeepCopyJSON(fields), nil
}
