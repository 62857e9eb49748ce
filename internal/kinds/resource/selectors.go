package resource

import (
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	devicecel "k8s.io/dynamic-resource-allocation/cel"
)

// selectors checks which devices are wanted. stored: they were there before, and may use what new ones may not yet or no longer.
func selectors(list []resourcev1.DeviceSelector, stored bool, at *field.Path) field.ErrorList {
	return each(list, resourcev1.DeviceSelectorsMaxSize, at, func(s *resourcev1.DeviceSelector, at *field.Path) field.ErrorList {
		if s.CEL == nil {
			return field.ErrorList{field.Required(at.Child("cel"), "")}
		}
		return expression(s.CEL.Expression, stored, at.Child("cel", "expression"))
	})
}

// expression compiles what is asked of a device. Upstream's package keeps one compiler, made at the first use.
func expression(text string, stored bool, at *field.Path) field.ErrorList {
	if len(text) > resourcev1.CELSelectorExpressionMaxLength {
		return field.ErrorList{field.TooLong(at, "", resourcev1.CELSelectorExpressionMaxLength)}
	}
	env := environment.NewExpressions
	if stored {
		env = environment.StoredExpressions
	}
	// List attributes wait behind a gate that is off.
	result := devicecel.GetCompiler(devicecel.Features{EnableConsumableCapacity: true}).CompileCELExpression(text, devicecel.Options{EnvType: &env})
	switch {
	case result.Error == nil && result.MaxCost > resourcev1.CELSelectorExpressionMaxCost:
		return field.ErrorList{field.Forbidden(at, "too complex, exceeds cost limit")}
	case result.Error == nil:
		return nil
	case result.Error.Type == cel.ErrorTypeRequired:
		return field.ErrorList{field.Required(at, result.Error.Detail)}
	case result.Error.Type == cel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(at, text, result.Error.Detail)}
	}
	return field.ErrorList{field.InternalError(at, result.Error)}
}
