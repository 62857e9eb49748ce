package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// LimitRange is v1 LimitRange: what one pod, container or claim of a namespace may ask for at least and at most. Without a name it is given one
// that nothing else has, its own UID.
func LimitRange() *kinds.Kind {
	return &kinds.Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("LimitRange"), Resource: "limitranges", Singular: "limitrange", ShortNames: []string{"limits"}, Namespaced: true,
		MetaAgain:      kinds.MetaObject,
		New:            func() kinds.Object { return &corev1.LimitRange{} },
		NewList:        func() runtime.Object { return &corev1.LimitRangeList{} },
		CreateOnUpdate: true,
		Default: func(obj kinds.Object) {
			limits := obj.(*corev1.LimitRange).Spec.Limits
			for i := range limits {
				defaultLimit(&limits[i])
			}
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			if obj.GetName() == "" {
				obj.SetName(string(obj.GetUID()))
			}
		},
		Validate: func(obj kinds.Object) (errs field.ErrorList) {
			seen, path := sets.New[corev1.LimitType](), field.NewPath("spec", "limits")
			for i, item := range obj.(*corev1.LimitRange).Spec.Limits {
				at := path.Index(i)
				errs = append(errs, validateLimitType(item.Type, at.Child("type"))...)
				if seen.Has(item.Type) {
					errs = append(errs, field.Duplicate(at.Child("type"), item.Type))
				}
				seen.Insert(item.Type)
				errs = append(errs, validateLimit(&item, at)...)
			}
			return errs
		},
	}
}

// defaultLimit completes the limits of containers: a limit is the maximum unless said, a request the limit, or else the minimum.
func defaultLimit(item *corev1.LimitRangeItem) {
	if item.Type == corev1.LimitTypeContainer {
		if item.Default == nil {
			item.Default = corev1.ResourceList{}
		}
		if item.DefaultRequest == nil {
			item.DefaultRequest = corev1.ResourceList{}
		}
		complete(item.Default, item.Max)
		complete(item.DefaultRequest, item.Default)
		complete(item.DefaultRequest, item.Min)
	}
	kinds.RoundUp(item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio)
}

// complete adds to list what it lacks and from has.
func complete(list, from corev1.ResourceList) {
	for name, q := range from {
		if _, ok := list[name]; !ok {
			list[name] = q.DeepCopy()
		}
	}
}

func validateLimitType(t corev1.LimitType, path *field.Path) (errs field.ErrorList) {
	for _, msg := range utilvalidation.IsQualifiedName(string(t)) {
		errs = append(errs, field.Invalid(path, t, msg))
	}
	known := t == corev1.LimitTypePod || t == corev1.LimitTypeContainer || t == corev1.LimitTypePersistentVolumeClaim
	if len(errs) == 0 && !known && !strings.Contains(string(t), "/") {
		errs = append(errs, field.Invalid(path, t, "must be a standard limit type or fully qualified"))
	}
	return errs
}

// validateLimit checks one item: the names first, list by list, then how the lists agree, resource by resource.
func validateLimit(item *corev1.LimitRangeItem, path *field.Path) (errs field.ErrorList) {
	used := sets.New[corev1.ResourceName]()
	names := func(child string, list corev1.ResourceList) {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			rule := validateResource
			if item.Type == corev1.LimitTypePod || item.Type == corev1.LimitTypeContainer {
				rule = validateContainerResource
			}
			errs = append(errs, rule(name, path.Child(child).Key(string(name)))...)
			used.Insert(name)
		}
	}
	names("max", item.Max)
	names("min", item.Min)
	if item.Type == corev1.LimitTypePod {
		if len(item.Default) > 0 {
			errs = append(errs, field.Forbidden(path.Child("default"), "may not be specified when `type` is 'Pod'"))
		}
		if len(item.DefaultRequest) > 0 {
			errs = append(errs, field.Forbidden(path.Child("defaultRequest"), "may not be specified when `type` is 'Pod'"))
		}
		item = &corev1.LimitRangeItem{Type: item.Type, Max: item.Max, Min: item.Min, MaxLimitRequestRatio: item.MaxLimitRequestRatio}
	} else {
		names("default", item.Default)
		names("defaultRequest", item.DefaultRequest)
	}
	if item.Type == corev1.LimitTypePersistentVolumeClaim {
		_, least := item.Min[corev1.ResourceStorage]
		if _, most := item.Max[corev1.ResourceStorage]; !least && !most {
			errs = append(errs, field.Required(path.Child("limits"), "either minimum or maximum storage value is required, but neither was provided"))
		}
	}
	names("maxLimitRequestRatio", item.MaxLimitRequestRatio)
	for _, name := range slices.Sorted(maps.Keys(used)) {
		errs = append(errs, validateLimitOf(name, item, path)...)
	}
	return errs
}

// validateLimitOf checks that minimum ≤ default request ≤ default ≤ maximum for one resource, of what is given, and that its ratio can be met.
func validateLimitOf(name corev1.ResourceName, item *corev1.LimitRangeItem, path *field.Path) (errs field.ErrorList) {
	least, hasLeast := item.Min[name]
	most, hasMost := item.Max[name]
	limit, hasLimit := item.Default[name]
	request, hasRequest := item.DefaultRequest[name]
	ordered := func(both bool, low, high resource.Quantity, child string, shown resource.Quantity, lowIs, highIs string) {
		if both && low.Cmp(high) > 0 {
			errs = append(errs, field.Invalid(path.Child(child).Key(string(name)), shown, fmt.Sprintf("%s value %s is greater than %s value %s", lowIs, low.String(), highIs, high.String())))
		}
	}
	ordered(hasLeast && hasMost, least, most, "min", least, "min", "max")
	ordered(hasRequest && hasLeast, least, request, "defaultRequest", request, "min", "default request")
	ordered(hasRequest && hasMost, request, most, "defaultRequest", request, "default request", "max")
	ordered(hasRequest && hasLimit, request, limit, "defaultRequest", request, "default request", "default limit")
	ordered(hasLimit && hasLeast, least, limit, "default", least, "min", "default")
	ordered(hasLimit && hasMost, limit, most, "default", most, "default", "max")
	if ratio, ok := item.MaxLimitRequestRatio[name]; ok {
		errs = append(errs, validateRatio(ratio, least, most, hasLeast && hasMost, path.Child("maxLimitRequestRatio").Key(string(name)))...)
	}
	fixed := !isNative(name) || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) // cannot be promised twice
	if fixed && hasLimit && hasRequest && limit.Cmp(request) != 0 {
		errs = append(errs, field.Invalid(path.Child("defaultRequest").Key(string(name)), request,
			fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", limit.String(), request.String(), name)))
	}
	return errs
}

// validateRatio checks how many times its request a limit may be: at least once, and no more than maximum and minimum (both) leave room for.
func validateRatio(ratio, least, most resource.Quantity, both bool, path *field.Path) (errs field.ErrorList) {
	if ratio.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0 {
		errs = append(errs, field.Invalid(path, ratio, fmt.Sprintf("ratio %s is less than 1", ratio.String())))
	}
	if !both {
		return errs
	}
	r, low, high := float64(ratio.Value()), least.Value(), most.Value()
	if ratio.Value() < resource.MaxMilliValue && low < resource.MaxMilliValue && high < resource.MaxMilliValue {
		r, low, high = float64(ratio.MilliValue())/1000, least.MilliValue(), most.MilliValue()
	}
	if room := float64(high) / float64(low); r > room {
		errs = append(errs, field.Invalid(path, ratio, fmt.Sprintf("ratio %s is greater than max/min = %f", ratio.String(), room)))
	}
	return errs
}
