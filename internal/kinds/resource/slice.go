package resource

import (
	"fmt"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// What a slice may have at most.
const (
	maxCounterSets = 8
	maxCounters    = 32
)

// ResourceSlice is resource.k8s.io/v1 ResourceSlice: some of the devices of a pool, as their driver publishes them.
func ResourceSlice() *kinds.Kind {
	return &kinds.Kind{
		GVK: resourcev1.SchemeGroupVersion.WithKind("ResourceSlice"), Resource: "resourceslices", Singular: "resourceslice", ReturnDeleted: true,
		New:     func() kinds.Object { return &resourcev1.ResourceSlice{} },
		NewList: func() runtime.Object { return &resourcev1.ResourceSliceList{} },
		Default: func(obj kinds.Object) {
			for _, d := range obj.(*resourcev1.ResourceSlice).Spec.Devices {
				defaultMappings(d.NodeAllocatableResourceMappings)
			}
		},
		PrepareCreate: func(env kinds.Env, obj kinds.Object) {
			s := obj.(*resourcev1.ResourceSlice)
			s.Generation = 1
			sinceNow(env, s)
			dropDisabled(s, nil)
		},
		PrepareUpdate: func(env kinds.Env, obj, old kinds.Object) {
			s, was := obj.(*resourcev1.ResourceSlice), old.(*resourcev1.ResourceSlice)
			sinceNow(env, s)
			if !equality.Semantic.DeepEqual(s.Spec, was.Spec) { // in what is dropped next too, as upstream counts
				s.Generation = was.Generation + 1
			}
			dropDisabled(s, was)
		},
		ValidateCreate: func(obj kinds.Object) field.ErrorList {
			return validateSlice(&obj.(*resourcev1.ResourceSlice).Spec, nil, field.NewPath("spec"))
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validateSlice(&obj.(*resourcev1.ResourceSlice).Spec, &old.(*resourcev1.ResourceSlice).Spec, field.NewPath("spec"))
		},
		Warnings: func(obj, _ kinds.Object) []string {
			driver := obj.(*resourcev1.ResourceSlice).Spec.Driver
			if driver == strings.ToLower(driver) {
				return nil
			}
			return []string{fmt.Sprintf("spec.driver: driver names should be lowercase; %q contains uppercase characters", driver)}
		},
		Columns: sliceColumns(),
		Fields: func(obj kinds.Object) fields.Set {
			s := &obj.(*resourcev1.ResourceSlice).Spec
			return fields.Set{resourcev1.ResourceSliceSelectorNodeName: nodeOf(s), resourcev1.ResourceSliceSelectorDriver: s.Driver}
		},
		UnknownField: "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: %s",
		Facts:        []kinds.Fact{{Name: "spec.nodeName", Path: []int32{2, 3}, Index: true}, {Name: "spec.driver", Path: []int32{2, 1}}},
		Indexes: []kinds.Index{{Name: kinds.PoolIndex, Values: func(obj kinds.Object) []string {
			s := &obj.(*resourcev1.ResourceSlice).Spec
			return []string{kinds.PoolValue(s.Driver, s.Pool.Name)}
		}}},
	}
}

func nodeOf(s *resourcev1.ResourceSliceSpec) string {
	if s.NodeName == nil {
		return ""
	}
	return *s.NodeName
}

func sliceColumns() []kinds.Column {
	cell := func(name, doc string, f func(*resourcev1.ResourceSliceSpec) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(&obj.(*resourcev1.ResourceSlice).Spec) }}
	}
	spec := resourcev1.ResourceSliceSpec{}.SwaggerDoc()
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Node", spec["nodeName"], nodeOf),
		cell("Driver", spec["driver"], func(s *resourcev1.ResourceSliceSpec) string { return s.Driver }),
		cell("Pool", resourcev1.ResourcePool{}.SwaggerDoc()["name"], func(s *resourcev1.ResourceSliceSpec) string { return s.Pool.Name }),
		kinds.AgeColumn(),
	}
}

// sinceNow says since when taints are there that do not say it themselves.
func sinceNow(env kinds.Env, s *resourcev1.ResourceSlice) {
	now := metav1.NewTime(env.Now).Rfc3339Copy()
	for _, d := range s.Spec.Devices {
		for j := range d.Taints {
			if d.Taints[j].TimeAdded == nil {
				d.Taints[j].TimeAdded = &now
			}
		}
	}
}

// dropDisabled takes out what waits behind gates that are off, unless was has it: lists as attributes (DRAListTypeAttributes) and what devices take of their
// node (DRANodeAllocatableResources).
func dropDisabled(s, was *resourcev1.ResourceSlice) {
	lists, mappings := false, false
	for _, d := range devicesOf(was) {
		mappings = mappings || len(d.NodeAllocatableResourceMappings) > 0
		for _, a := range d.Attributes {
			lists = lists || hasList(a)
		}
	}
	for i := range s.Spec.Devices {
		d := &s.Spec.Devices[i]
		if !mappings {
			d.NodeAllocatableResourceMappings = nil
		}
		for k, a := range d.Attributes {
			if !lists && hasList(a) {
				a.BoolValues, a.IntValues, a.StringValues, a.VersionValues = nil, nil, nil, nil
				d.Attributes[k] = a
			}
		}
	}
}

func devicesOf(s *resourcev1.ResourceSlice) []resourcev1.Device {
	if s == nil {
		return nil
	}
	return s.Spec.Devices
}

func hasList(a resourcev1.DeviceAttribute) bool {
	return a.BoolValues != nil || a.IntValues != nil || a.StringValues != nil || a.VersionValues != nil
}

// validateSlice checks a slice; was is what it replaces, nil for a new one.
func validateSlice(s, was *resourcev1.ResourceSliceSpec, at *field.Path) field.ErrorList {
	errs := volumespec.DriverName(s.Driver, at.Child("driver"))
	errs = append(errs, poolName(s.Pool.Name, at.Child("pool", "name"))...)
	if n := s.Pool.ResourceSliceCount; n <= 0 {
		errs = append(errs, field.Invalid(at.Child("pool", "resourceSliceCount"), n, "must be greater than zero"))
	}
	if n := s.Pool.Generation; n < 0 {
		errs = append(errs, field.Invalid(at.Child("pool", "generation"), n, "must be greater than or equal to zero"))
	}
	if was != nil {
		errs = append(errs, validation.ValidateImmutableField(s.Pool.Name, was.Pool.Name, at.Child("pool", "name"))...)
		errs = append(errs, validation.ValidateImmutableField(s.Driver, was.Driver, at.Child("driver"))...)
		errs = append(errs, validation.ValidateImmutableField(s.NodeName, was.NodeName, at.Child("nodeName"))...)
	}
	errs = append(errs, validateReach(s, at)...)
	if s.SharedCounters != nil && s.Devices != nil {
		errs = append(errs, field.Invalid(at, "", "only one of `sharedCounters` or `devices` is allowed"))
	}
	before := map[string]*resourcev1.Device{}
	for i := 0; was != nil && i < len(was.Devices); i++ {
		before[was.Devices[i].Name] = &was.Devices[i]
	}
	apart := s.PerDeviceNodeSelection != nil && *s.PerDeviceNodeSelection
	errs = append(errs, unique(s.Devices, mostDevices(s), at.Child("devices"), func(d *resourcev1.Device) string { return d.Name }, func(d *resourcev1.Device, at *field.Path) field.ErrorList {
		return validateDevice(d, before[d.Name], apart, at)
	})...)
	return append(errs, unique(s.SharedCounters, maxCounterSets, at.Child("sharedCounters"), func(c *resourcev1.CounterSet) string { return c.Name },
		func(c *resourcev1.CounterSet, at *field.Path) field.ErrorList {
			return validateCounters(c.Name, "name", c.Counters, at)
		})...)
}

// mostDevices bounds a slice: what devices say in addition takes room too.
func mostDevices(s *resourcev1.ResourceSliceSpec) int {
	for _, d := range s.Devices {
		if len(d.Taints) > 0 || len(d.ConsumesCounters) > 0 {
			return resourcev1.ResourceSliceMaxDevicesWithAdvancedFeatures
		}
		for _, a := range d.Attributes {
			if hasList(a) {
				return resourcev1.ResourceSliceMaxDevicesWithAdvancedFeatures
			}
		}
	}
	return resourcev1.ResourceSliceMaxDevices
}

// one counts which of several ways is chosen.
type one struct {
	set  []string
	errs field.ErrorList
}

func (o *one) node(name *string, at *field.Path, empty string) {
	switch {
	case name == nil:
	case *name == "":
		o.errs = append(o.errs, field.Invalid(at, *name, empty))
	default:
		o.set = append(o.set, "`nodeName`")
		o.errs = append(o.errs, invalid(at, *name, utilvalidation.IsDNS1123Subdomain(*name))...)
	}
}

func (o *one) truth(name string, b *bool, at *field.Path) {
	switch {
	case b == nil:
	case *b:
		o.set = append(o.set, "`"+name+"`")
	default:
		o.errs = append(o.errs, field.Invalid(at.Child(name), false, "must be either unset or set to true"))
	}
}

// validateReach checks which nodes reach the devices: exactly one way says it.
func validateReach(s *resourcev1.ResourceSliceSpec, at *field.Path) field.ErrorList {
	const detail = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
	o := &one{}
	o.node(s.NodeName, at.Child("nodeName"), "must be either unset or set to a non-empty string")
	if n := s.NodeSelector; n != nil {
		o.set = append(o.set, "`nodeSelector`")
		o.errs = append(o.errs, podspec.NodeSelector(n, false, at.Child("nodeSelector"))...)
		if len(n.NodeSelectorTerms) != 1 {
			o.errs = append(o.errs, field.Invalid(at.Child("nodeSelector", "nodeSelectorTerms"), n.NodeSelectorTerms, "must have exactly one node selector term"))
		}
	}
	o.truth("allNodes", s.AllNodes, at)
	o.truth("perDeviceNodeSelection", s.PerDeviceNodeSelection, at)
	switch len(o.set) {
	case 0:
		return append(o.errs, field.Required(at, detail))
	case 1:
		return o.errs
	}
	return append(o.errs, field.Invalid(at, "{"+strings.Join(o.set, ", ")+"}", detail+", but multiple fields are set"))
}
