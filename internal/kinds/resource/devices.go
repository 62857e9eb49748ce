package resource

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// What a device may have at most.
const (
	maxAttributeValues = 48
	maxKey             = resourcev1.DeviceMaxDomainLength + 1 + resourcev1.DeviceMaxIDLength // characters
	maxTaints          = 16
	maxConsumptions    = 2
	maxOptions         = 10
)

// semantic is a version by semver.org, 2.0.0.
var semantic = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
		`(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)
})

// validateDevice checks one device. was is the device of that name before; apart says that each device of the slice names its own nodes.
func validateDevice(d, was *resourcev1.Device, apart bool, at *field.Path) field.ErrorList {
	errs := label(d.Name, at.Child("name"))
	if n := len(d.Attributes) + len(d.Capacity); n > resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice {
		errs = append(errs, field.Invalid(at, n, fmt.Sprintf("the total number of attributes and capacities must not exceed %d", resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice)))
	}
	if n := countValues(d); n > maxAttributeValues {
		errs = append(errs, field.Invalid(at, n, fmt.Sprintf("the total number of attribute values must not exceed %d", maxAttributeValues)))
	}
	errs = append(errs, entries(d.Attributes, -1, maxKey, at.Child("attributes"), qualified, validateAttribute)...)
	shared := d.AllowMultipleAllocations != nil && *d.AllowMultipleAllocations
	errs = append(errs, entries(d.Capacity, -1, maxKey, at.Child("capacity"), qualified, func(c resourcev1.DeviceCapacity, at *field.Path) field.ErrorList {
		at = at.Child("requestPolicy")
		switch {
		case c.RequestPolicy == nil:
			return nil
		case !shared:
			return field.ErrorList{field.Forbidden(at, "allowMultipleAllocations must be true")}
		}
		return validatePolicy(c.Value, c.RequestPolicy, at)
	})...)
	if was == nil || !equality.Semantic.DeepEqual(was.Taints, d.Taints) {
		errs = append(errs, each(d.Taints, maxTaints, at.Child("taints"), validateTaint)...)
	}
	errs = append(errs, unique(d.ConsumesCounters, maxConsumptions, at.Child("consumesCounters"), func(c *resourcev1.DeviceCounterConsumption) string { return c.CounterSet },
		func(c *resourcev1.DeviceCounterConsumption, at *field.Path) field.ErrorList {
			return validateCounters(c.CounterSet, "counterSet", c.Counters, at)
		})...)
	errs = append(errs, validateOwnReach(d, apart, at)...)
	errs = append(errs, validateBinding(d.BindingConditions, d.BindingFailureConditions, at)...)
	return append(errs, validateMappings(d, at.Child("nodeAllocatableResourceMappings"))...)
}

func countValues(d *resourcev1.Device) (n int) {
	for _, a := range d.Attributes {
		n += max(1, len(a.BoolValues)+len(a.IntValues)+len(a.StringValues)+len(a.VersionValues))
	}
	return n
}

func validateOwnReach(d *resourcev1.Device, apart bool, at *field.Path) field.ErrorList {
	const detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
	if !apart {
		if d.NodeName == nil && d.NodeSelector == nil && d.AllNodes == nil {
			return nil
		}
		return field.ErrorList{field.Invalid(at, nil, "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec")}
	}
	o := &one{}
	o.node(d.NodeName, at.Child("nodeName"), "must not be empty")
	if d.NodeSelector != nil {
		o.set = append(o.set, "`nodeSelector`")
		o.errs = append(o.errs, podspec.NodeSelector(d.NodeSelector, false, at.Child("nodeSelector"))...)
	}
	o.truth("allNodes", d.AllNodes, at)
	switch len(o.set) {
	case 0:
		return append(o.errs, field.Required(at, detail))
	case 1:
		return o.errs
	}
	return append(o.errs, field.Invalid(at, "{"+strings.Join(o.set, ", ")+"}", detail))
}

// validateAttribute wants exactly one value, or one list of values.
func validateAttribute(a resourcev1.DeviceAttribute, at *field.Path) (errs field.ErrorList) {
	n := 0
	count := func(set bool) {
		if set {
			n++
		}
	}
	count(a.BoolValue != nil)
	count(a.IntValue != nil)
	if count(a.StringValue != nil); a.StringValue != nil {
		errs = append(errs, shortText(a.StringValue, at.Child("string"))...)
	}
	if count(a.VersionValue != nil); a.VersionValue != nil {
		errs = append(errs, versionText(a.VersionValue, at.Child("version"))...)
	}
	count(a.BoolValues != nil)
	errs = append(errs, values(a.BoolValues, at.Child("bools"), nil)...)
	count(a.IntValues != nil)
	errs = append(errs, values(a.IntValues, at.Child("ints"), nil)...)
	count(a.StringValues != nil)
	errs = append(errs, values(a.StringValues, at.Child("strings"), shortText)...)
	count(a.VersionValues != nil)
	errs = append(errs, values(a.VersionValues, at.Child("versions"), versionText)...)
	switch n {
	case 0:
		return append(errs, field.Invalid(at, "", "exactly one value must be specified"))
	case 1:
		return errs
	}
	return append(errs, field.Invalid(at, untagged.Value(a), "exactly one value must be specified"))
}

// values checks a list of an attribute, which has items when it is there.
func values[T any](list []T, at *field.Path, check func(*T, *field.Path) field.ErrorList) field.ErrorList {
	if list != nil && len(list) == 0 {
		return field.ErrorList{field.Invalid(at, list, "must not be empty if specified")}
	}
	if check == nil {
		return nil
	}
	return each(list, -1, at, check)
}

func versionText(s *string, at *field.Path) (errs field.ErrorList) {
	if !semantic().MatchString(*s) {
		errs = append(errs, field.Invalid(at, *s, "must be a string compatible with semver.org spec 2.0.0"))
	}
	return append(errs, shortText(s, at)...)
}

func shortText(s *string, at *field.Path) field.ErrorList {
	if len(*s) <= resourcev1.DeviceAttributeMaxValueLength {
		return nil
	}
	return field.ErrorList{field.TooLong(at, "", resourcev1.DeviceAttributeMaxValueLength)}
}

func validateCounters(set, name string, counters map[string]resourcev1.Counter, at *field.Path) (errs field.ErrorList) {
	if set == "" {
		errs = append(errs, field.Required(at.Child(name), ""))
	} else {
		errs = append(errs, label(set, at.Child(name))...)
	}
	if len(counters) == 0 {
		return append(errs, field.Required(at.Child("counters"), ""))
	}
	return append(errs, entries(counters, maxCounters, utilvalidation.DNS1123LabelMaxLength, at.Child("counters"), label,
		func(resourcev1.Counter, *field.Path) field.ErrorList { return nil })...)
}

func validateTaint(t *resourcev1.DeviceTaint, at *field.Path) field.ErrorList {
	errs := metavalidation.ValidateLabelName(t.Key, at.Child("key"))
	if t.Value != "" {
		errs = append(errs, invalid(at.Child("value"), t.Value, utilvalidation.IsValidLabelValue(t.Value))...)
	}
	return append(errs, validateEffect(t.Effect, at.Child("effect"))...)
}

// validatePolicy checks what may be asked of a capacity that several share: some amounts, or a range of them.
func validatePolicy(all resource.Quantity, p *resourcev1.CapacityRequestPolicy, at *field.Path) field.ErrorList {
	some := len(p.ValidValues) > 0
	switch {
	case some && p.ValidRange != nil:
		return field.ErrorList{field.Forbidden(at, `exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time`)}
	case some && p.Default == nil:
		return field.ErrorList{field.Required(at.Child("default"), "required when validValues is defined")}
	case some:
		return validateOptions(*p.Default, all, p.ValidValues, at.Child("validValues"))
	case p.ValidRange != nil && p.Default == nil:
		return field.ErrorList{field.Required(at.Child("default"), "required when validRange is defined")}
	case p.ValidRange != nil:
		return validateRange(*p.Default, all, p.ValidRange, at.Child("validRange"))
	}
	return nil
}

func validateOptions(standard, all resource.Quantity, list []resource.Quantity, at *field.Path) (errs field.ErrorList) {
	for i := 1; i < len(list); i++ {
		if list[i-1].Cmp(list[i]) > 0 {
			errs = append(errs, field.Invalid(at.Index(i), list[i].String(), "values must be sorted in ascending order"))
		}
	}
	found := false
	key := func(q *resource.Quantity) string { return strconv.FormatInt(q.Value(), 10) }
	errs = append(errs, unique(list, maxOptions, at, key, func(q *resource.Quantity, at *field.Path) field.ErrorList {
		found = found || q.Cmp(standard) == 0
		if q.Cmp(all) > 0 {
			return field.ErrorList{field.Invalid(at, q.String(), "option is larger than capacity value: "+all.String())}
		}
		return nil
	})...)
	if !found {
		errs = append(errs, field.Invalid(at, standard.String(), "default value is not valid according to the requestPolicy"))
	}
	return errs
}

func validateRange(standard, all resource.Quantity, r *resourcev1.CapacityRequestPolicyRange, at *field.Path) (errs field.ErrorList) {
	if r.Min == nil {
		return field.ErrorList{field.Required(at.Child("min"), "required when validRange is defined")}
	}
	refuse := func(bad bool, name string, q *resource.Quantity, detail string, than *resource.Quantity) {
		if bad {
			errs = append(errs, field.Invalid(at.Child(name), q.String(), detail+": "+than.String()))
		}
	}
	refuse(r.Min.Cmp(all) > 0, "min", r.Min, "min is larger than capacity value", &all)
	refuse(standard.Cmp(*r.Min) < 0, "min", &standard, "default is less than min", r.Min)
	if r.Max != nil {
		refuse(r.Min.Cmp(*r.Max) > 0, "max", r.Min, "min is larger than max", r.Max)
		refuse(r.Max.Cmp(all) > 0, "max", r.Max, "max is larger than capacity value", &all)
		refuse(standard.Cmp(*r.Max) > 0, "max", &standard, "default is more than max", r.Max)
	}
	if r.Step == nil {
		return errs
	}
	first := r.Min.DeepCopy()
	if first.Add(*r.Step); first.Cmp(all) > 0 {
		errs = append(errs, field.Invalid(at.Child("step"), r.Step.String(), fmt.Sprintf("one step %s is larger than capacity value: %s", first.String(), all.String())))
	}
	errs = append(errs, onStep(&standard, r, at.Child("step"))...)
	if r.Max != nil {
		errs = append(errs, onStep(r.Max, r, at.Child("step"))...)
	}
	return errs
}

// onStep wants a whole number of steps. A step of nothing reaches nothing; upstream's server fails on it.
func onStep(q *resource.Quantity, r *resourcev1.CapacityRequestPolicyRange, at *field.Path) field.ErrorList {
	if step := r.Step.Value(); step != 0 && (q.Value()-r.Min.Value())%step == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, q.String(), fmt.Sprintf("value is not a multiple of a given step (%s) from (%s)", r.Step.String(), r.Min.String()))}
}
