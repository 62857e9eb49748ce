package custom

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"

	"github.com/floe-k8s/floe/internal/kinds"
)

// This file is what becomes of an object that a client writes: prepared, and held against its schema.

func (v *served) prepareCreate(_ kinds.Env, obj kinds.Object) {
	if v.status {
		delete(obj.(*unstructured.Unstructured).Object, "status")
	}
	obj.SetGeneration(1)
}

// prepareUpdate raises the generation with any change outside the metadata; where there is a status subresource, the status stays as it is.
func (v *served) prepareUpdate(_ kinds.Env, obj, old kinds.Object) {
	next, was := obj.(*unstructured.Unstructured).Object, old.(*unstructured.Unstructured).Object
	if v.status {
		if status, ok := was["status"]; ok {
			next["status"] = status
		} else {
			delete(next, "status")
		}
	}
	if !sameContent(next, was) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
}

// sameContent says that two objects differ in nothing but their metadata.
func sameContent(a, b map[string]any) bool {
	without := func(fields map[string]any) map[string]any {
		out := make(map[string]any, len(fields))
		for name, value := range fields {
			if name != "metadata" {
				out[name] = value
			}
		}
		return out
	}
	return equality.Semantic.DeepEqual(without(a), without(b))
}

// prepareStatus makes obj old with obj's status.
func prepareStatus(obj, old *unstructured.Unstructured) {
	status, ok := obj.Object["status"]
	owners := obj.GetManagedFields()
	obj.Object = old.DeepCopy().Object
	obj.SetManagedFields(owners)
	if ok {
		obj.Object["status"] = status
	} else {
		delete(obj.Object, "status")
	}
}

func (v *served) validateCreate(obj kinds.Object) field.ErrorList {
	u := obj.(*unstructured.Unstructured)
	if errs := v.validateType(u); len(errs) > 0 {
		return errs
	}
	c, err := v.schema()
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	errs := byField(validation.ValidateCustomResource(nil, u.Object, c.values))
	errs = append(errs, v.validateScale(u, true)...)
	errs = append(errs, objectmeta.Validate(nil, u.Object, c.structural, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, c.structural, u.Object)...)
	return c.evaluate(errs, u.Object, nil)
}

func (v *served) validateUpdate(obj, old kinds.Object) field.ErrorList {
	u, was := obj.(*unstructured.Unstructured), old.(*unstructured.Unstructured)
	if errs := v.validateType(u); len(errs) > 0 {
		return errs
	}
	c, err := v.schema()
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	pair := common.NewCorrelatedObject(u.Object, was.Object, &model.Structural{Structural: c.structural})
	errs := byField(validation.ValidateCustomResourceUpdate(nil, u.Object, was.Object, c.values, validation.WithRatcheting(pair)))
	errs = append(errs, v.validateScale(u, true)...)
	errs = append(errs, objectmeta.Validate(nil, u.Object, c.structural, false)...)
	errs = append(errs, c.freshListErrors(u.Object, was.Object)...)
	return c.evaluate(errs, u.Object, was.Object, cel.WithRatcheting(pair))
}

// updateStatus serves the status subresource.
func (v *served) updateStatus(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
	u, was := obj.(*unstructured.Unstructured), old.(*unstructured.Unstructured)
	if errs := v.validateType(u); len(errs) > 0 {
		return errs
	}
	prepareStatus(u, was)
	c, err := v.schema()
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	pair := common.NewCorrelatedObject(u.Object, was.Object, &model.Structural{Structural: c.structural})
	var options []validation.ValidationOption
	if c.structural != nil {
		options = append(options, validation.WithRatcheting(pair.Key("status")))
	}
	var errs field.ErrorList
	if status, ok := u.Object["status"]; ok {
		errs = byField(validation.ValidateCustomResourceUpdate(field.NewPath("status"), status, was.Object["status"], c.status, options...))
	}
	errs = append(errs, v.validateScale(u, false)...)
	errs = append(errs, c.freshListErrors(u.Object, was.Object)...)
	return c.evaluate(errs, u.Object, was.Object, cel.WithRatcheting(pair))
}

// byField gives errors an order, which the library's, that goes through maps, have not.
func byField(errs field.ErrorList) field.ErrorList {
	slices.SortStableFunc(errs, func(a, b *field.Error) int {
		return cmp.Or(strings.Compare(a.Field, b.Field), strings.Compare(a.ErrorBody(), b.ErrorBody()))
	})
	return errs
}

// freshListErrors are what is wrong with lists that are sets or maps, unless something was before.
func (c *compiled) freshListErrors(obj, old map[string]any) field.ErrorList {
	errs := listtype.ValidateListSetsAndMaps(nil, c.structural, obj)
	if len(errs) == 0 || len(listtype.ValidateListSetsAndMaps(nil, c.structural, old)) > 0 {
		return nil
	}
	return errs
}

// blocking are the errors after which rules, which rely on types and bounds, are not evaluated.
var blocking = []field.ErrorType{field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid}

// evaluate adds to errs what the schema's rules say.
func (c *compiled) evaluate(errs field.ErrorList, obj, old map[string]any, options ...cel.Option) field.ErrorList {
	rules := c.rules()
	if rules == nil {
		return errs
	}
	if slices.ContainsFunc(errs, func(e *field.Error) bool { return slices.Contains(blocking, e.Type) }) {
		return append(errs, field.Invalid(nil, nil,
			"some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"))
	}
	var before any
	if old != nil {
		before = old
	}
	found, _ := rules.Validate(context.Background(), nil, c.structural, obj, before, celconfig.RuntimeCELCostBudget, options...)
	return append(errs, found...)
}

// validateType holds what an object says it is against what is asked for.
func (v *served) validateType(obj *unstructured.Unstructured) (errs field.ErrorList) {
	if kind := obj.GetKind(); kind != v.gvk.Kind {
		errs = append(errs, field.Invalid(field.NewPath("kind"), kind, "must be "+v.gvk.Kind))
	}
	if version := obj.GetAPIVersion(); version != v.gvk.GroupVersion().String() {
		errs = append(errs, field.Invalid(field.NewPath("apiVersion"), version, "must be "+v.gvk.GroupVersion().String()))
	}
	return errs
}

// validateScale looks at what a Scale would show; with the wanted replicas, or only what is reported.
func (v *served) validateScale(obj *unstructured.Unstructured, wanted bool) (errs field.ErrorList) {
	if v.scale == nil {
		return nil
	}
	if wanted {
		errs = count(obj, v.scale.SpecReplicasPath)
	}
	errs = append(errs, count(obj, v.scale.StatusReplicasPath)...)
	if path := v.scale.LabelSelectorPath; path != nil {
		if text, _, err := unstructured.NestedString(obj.Object, split(*path)...); err != nil {
			errs = append(errs, field.Invalid(field.NewPath(*path), text, err.Error()))
		}
	}
	return errs
}

// count validates a number of replicas.
func count(obj *unstructured.Unstructured, path string) field.ErrorList {
	n, _, err := unstructured.NestedInt64(obj.Object, split(path)...)
	wrong := ""
	switch {
	case err != nil:
		wrong = err.Error()
	case n < 0:
		wrong = "should be a non-negative integer"
	case n > math.MaxInt32:
		wrong = fmt.Sprintf("should be less than or equal to %v", math.MaxInt32)
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath(path), n, wrong)}
}

// warnings are about the names of finalizers that old has not.
func warnings(obj, old kinds.Object) (list []string) {
	added := sets.New(obj.GetFinalizers()...)
	if old != nil {
		added.Delete(old.GetFinalizers()...)
	}
	for _, name := range sets.List(added) {
		list = append(list, oddFinalizer(name)...)
	}
	return list
}

// oddFinalizer is what is odd about the name of a finalizer.
func oddFinalizer(name string) (list []string) {
	say := func(text string) { list = append(list, fmt.Sprintf("metadata.finalizers: %q: %s", name, text)) }
	for _, wrong := range utilvalidation.IsQualifiedName(name) {
		say(wrong)
	}
	standard := []string{metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents, string(corev1.FinalizerKubernetes)}
	switch {
	case strings.Contains(name, "/"), slices.Contains(standard, name):
	case strings.Contains(name, "."):
		say("prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers")
	default:
		say("prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers")
	}
	return list
}
