package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"
	kjson "sigs.k8s.io/json"

	"github.com/floe-k8s/floe/internal/configfile"
	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// defaultArguments are upstream's.
func defaultArguments(p *Profile) {
	p.args = place.DefaultProfile()
	p.args.Filters, p.args.Scores = nil, nil
	p.BindTimeout = 600 * time.Second
	p.FilterTimeout, p.BindingTimeout = configv1.DynamicResourcesFilterTimeoutDefault, configv1.DynamicResourcesBindingTimeoutDefault
	p.CandidateShare, p.CandidatesLeast = 10, 100
}

// newArguments is an empty value for the arguments of a plug-in; nil for one that takes none.
func newArguments(plugin string) any {
	switch plugin {
	case "DefaultPreemption":
		return &configv1.DefaultPreemptionArgs{}
	case place.InterPodAffinity:
		return &configv1.InterPodAffinityArgs{}
	case place.NodeAffinity:
		return &configv1.NodeAffinityArgs{}
	case place.BalancedAllocation:
		return &configv1.NodeResourcesBalancedAllocationArgs{}
	case place.NodeResourcesFit:
		return &configv1.NodeResourcesFitArgs{}
	case place.PodTopologySpread:
		return &configv1.PodTopologySpreadArgs{}
	case "VolumeBinding":
		return &configv1.VolumeBindingArgs{}
	case "DynamicResources":
		return &configv1.DynamicResourcesArgs{}
	}
	return nil
}

// arguments takes what pluginConfig says of one plug-in. Upstream keeps arguments of plug-ins that take none, and does not read them. Fields that are
// not the arguments' are left to strict.
func (p *Profile) arguments(at *field.Path, c configv1.PluginConfig) (errs field.ErrorList) {
	args := newArguments(c.Name)
	if args == nil || len(c.Args.Raw) == 0 {
		return nil
	}
	if _, err := kjson.UnmarshalStrict(c.Args.Raw, args); err != nil {
		return nil // strict tells
	}
	errs = typed(args, c.Name, at)
	switch a := args.(type) {
	case *configv1.DefaultPreemptionArgs:
		errs = append(errs, p.preemptionArguments(at, a)...)
	case *configv1.InterPodAffinityArgs:
		errs = append(errs, p.affinityArguments(at, a)...)
	case *configv1.NodeAffinityArgs:
		errs = append(errs, p.nodeAffinityArguments(at, a)...)
	case *configv1.NodeResourcesBalancedAllocationArgs:
		errs = append(errs, p.balanceArguments(at, a)...)
	case *configv1.NodeResourcesFitArgs:
		errs = append(errs, p.fitArguments(at, a)...)
	case *configv1.PodTopologySpreadArgs:
		errs = append(errs, p.spreadArguments(at, a)...)
	case *configv1.VolumeBindingArgs:
		errs = append(errs, p.volumeArguments(at, a)...)
	case *configv1.DynamicResourcesArgs:
		errs = append(errs, p.deviceArguments(at, a)...)
	}
	return errs
}

// strict refuses fields of arguments that are none, or of another type, with their lines.
func (r *reader) strict(at *field.Path, c configv1.PluginConfig) error {
	args := newArguments(c.Name)
	if args == nil || len(c.Args.Raw) == 0 {
		return nil
	}
	part := r.source
	part.At = at.String()
	return configfile.DecodePart(part, nil, &args, func(*any) field.ErrorList { return nil })
}

// typed refuses arguments that say they are of another type; they need not say.
func typed(args any, name string, at *field.Path) field.ErrorList {
	var meta metav1.TypeMeta
	if o, ok := args.(runtime.Object); ok {
		meta.APIVersion, meta.Kind = o.GetObjectKind().GroupVersionKind().ToAPIVersionAndKind()
	}
	want := configv1.SchemeGroupVersion.WithKind(name + "Args")
	got := meta.GroupVersionKind()
	if meta.APIVersion != "" && got.GroupVersion() != want.GroupVersion() || meta.Kind != "" && got.Kind != want.Kind {
		return field.ErrorList{field.Invalid(at.Child("kind"), meta.Kind, fmt.Sprintf("args for plugin %s were not of type %s, got %s", name, want.GroupKind(), got.GroupKind()))}
	}
	return nil
}

func (p *Profile) preemptionArguments(at *field.Path, a *configv1.DefaultPreemptionArgs) (errs field.ErrorList) {
	share, least := at.Child("minCandidateNodesPercentage"), at.Child("minCandidateNodesAbsolute")
	p.CandidateShare, p.CandidatesLeast = ptr.Deref(a.MinCandidateNodesPercentage, 10), ptr.Deref(a.MinCandidateNodesAbsolute, 100)
	if p.CandidateShare < 0 || p.CandidateShare > 100 {
		errs = append(errs, field.Invalid(share, p.CandidateShare, "not in valid range [0, 100]"))
	}
	if p.CandidatesLeast < 0 {
		errs = append(errs, field.Invalid(least, p.CandidatesLeast, "not in valid range [0, inf)"))
	}
	if p.CandidateShare == 0 && p.CandidatesLeast == 0 {
		errs = append(errs, field.Invalid(share, p.CandidateShare, "cannot be zero at the same time as minCandidateNodesAbsolute"),
			field.Invalid(least, p.CandidatesLeast, "cannot be zero at the same time as minCandidateNodesPercentage"))
	}
	return errs
}

func (p *Profile) affinityArguments(at *field.Path, a *configv1.InterPodAffinityArgs) field.ErrorList {
	weight := ptr.Deref(a.HardPodAffinityWeight, 1)
	p.args.HardAffinityWeight, p.args.IgnorePreferredOfExisting = int64(weight), a.IgnorePreferredTermsOfExistingPods
	if weight < 0 || weight > 100 {
		return field.ErrorList{field.Invalid(at.Child("hardPodAffinityWeight"), weight, "not in valid range [0, 100]")}
	}
	return nil
}

func (p *Profile) nodeAffinityArguments(at *field.Path, a *configv1.NodeAffinityArgs) (errs field.ErrorList) {
	if p.args.AddedAffinity = a.AddedAffinity; a.AddedAffinity == nil {
		return nil
	}
	at = at.Child("addedAffinity")
	if ns := a.AddedAffinity.RequiredDuringSchedulingIgnoredDuringExecution; ns != nil {
		_, err := nodeaffinity.NewNodeSelector(ns, field.WithPath(at.Child("requiredDuringSchedulingIgnoredDuringExecution")))
		errs = append(errs, fieldErrors(at, err)...)
	}
	if terms := a.AddedAffinity.PreferredDuringSchedulingIgnoredDuringExecution; len(terms) > 0 {
		_, err := nodeaffinity.NewPreferredSchedulingTerms(terms, field.WithPath(at.Child("preferredDuringSchedulingIgnoredDuringExecution")))
		errs = append(errs, fieldErrors(at, err)...)
	}
	return errs
}

// fieldErrors takes an aggregate of field errors apart.
func fieldErrors(at *field.Path, err error) (errs field.ErrorList) {
	if err == nil {
		return nil
	}
	list := []error{err}
	var aggregate utilerrors.Aggregate
	if errors.As(err, &aggregate) {
		list = utilerrors.Flatten(aggregate).Errors()
	}
	for _, err := range list {
		var one *field.Error
		if !errors.As(err, &one) {
			one = field.InternalError(at, err)
		}
		errs = append(errs, one)
	}
	return errs
}

func weighted(in []configv1.ResourceSpec) []place.Weighted {
	if len(in) == 0 {
		return []place.Weighted{{Name: string(corev1.ResourceCPU), Weight: 1}, {Name: string(corev1.ResourceMemory), Weight: 1}}
	}
	var out []place.Weighted
	for _, r := range in {
		if r.Weight == 0 {
			r.Weight = 1
		}
		out = append(out, place.Weighted{Name: r.Name, Weight: r.Weight})
	}
	return out
}

func (p *Profile) balanceArguments(at *field.Path, a *configv1.NodeResourcesBalancedAllocationArgs) (errs field.ErrorList) {
	p.args.Balanced = weighted(a.Resources)
	seen := sets.New[string]()
	for i, r := range p.args.Balanced {
		at := at.Child("resources").Index(i)
		if seen.Has(r.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), r.Name))
		}
		seen.Insert(r.Name)
		if r.Weight != 1 {
			errs = append(errs, field.Invalid(at.Child("weight"), r.Weight, "must be 1"))
		}
	}
	return errs
}

func (p *Profile) fitArguments(at *field.Path, a *configv1.NodeResourcesFitArgs) (errs field.ErrorList) {
	for i, name := range a.IgnoredResources {
		errs = append(errs, metav1validation.ValidateLabelName(name, at.Child("ignoredResources").Index(i))...)
	}
	for i, group := range a.IgnoredResourceGroups {
		at := at.Child("ignoredResourceGroups").Index(i)
		if strings.Contains(group, "/") {
			errs = append(errs, field.Invalid(at, group, "resource group name can't contain '/'"))
		}
		errs = append(errs, metav1validation.ValidateLabelName(group, at)...)
	}
	p.args.IgnoredResources, p.args.IgnoredResourceGroups = a.IgnoredResources, a.IgnoredResourceGroups
	s := a.ScoringStrategy
	if s == nil {
		return errs
	}
	at = at.Child("scoringStrategy")
	p.args.Strategy, p.args.Resources = place.Strategy(s.Type), weighted(s.Resources)
	switch p.args.Strategy {
	case place.LeastAllocated, place.MostAllocated, place.RequestedToCapacityRatio:
	default:
		errs = append(errs, field.NotSupported(at.Child("type"), s.Type, []configv1.ScoringStrategyType{configv1.LeastAllocated, configv1.MostAllocated, configv1.RequestedToCapacityRatio}))
	}
	for i, r := range p.args.Resources {
		if r.Weight <= 0 || r.Weight > 100 {
			errs = append(errs, field.Invalid(at.Child("resources").Index(i).Child("weight"), r.Weight, fmt.Sprintf("resource weight of %v not in valid range (0, 100]", r.Name)))
		}
	}
	return append(errs, p.ratioArguments(at.Child("requestedToCapacityRatio"), s)...)
}

func (p *Profile) ratioArguments(at *field.Path, s *configv1.ScoringStrategy) (errs field.ErrorList) {
	ratio := s.RequestedToCapacityRatio
	switch {
	case s.Type != configv1.RequestedToCapacityRatio && ratio != nil:
		return field.ErrorList{field.Forbidden(at, "must be nil when type is not RequestedToCapacityRatio")}
	case s.Type != configv1.RequestedToCapacityRatio:
		return nil
	case ratio == nil:
		return field.ErrorList{field.Required(at, "must be specified when type is RequestedToCapacityRatio")}
	}
	at = at.Child("shape")
	if len(ratio.Shape) == 0 {
		return field.ErrorList{field.Required(at, "at least one point must be specified")}
	}
	for i := 1; i < len(ratio.Shape); i++ {
		if ratio.Shape[i-1].Utilization >= ratio.Shape[i].Utilization {
			errs = append(errs, field.Invalid(at.Index(i).Child("utilization"), ratio.Shape[i].Utilization, "values must be sorted in increasing order"))
			break
		}
	}
	for i, point := range ratio.Shape {
		if point.Utilization < 0 || point.Utilization > 100 {
			errs = append(errs, field.Invalid(at.Index(i).Child("utilization"), point.Utilization, "not in valid range [0, 100]"))
		}
		if point.Score < 0 || point.Score > 10 {
			errs = append(errs, field.Invalid(at.Index(i).Child("score"), point.Score, "not in valid range [0, 10]"))
		}
		p.args.Shape = append(p.args.Shape, place.ShapePoint{Utilization: int64(point.Utilization), Score: int64(point.Score)})
	}
	return errs
}

func (p *Profile) spreadArguments(at *field.Path, a *configv1.PodTopologySpreadArgs) (errs field.ErrorList) {
	kind, path, at := a.DefaultingType, at.Child("defaultConstraints"), at.Child("defaultingType")
	switch {
	case kind == "":
		kind = configv1.SystemDefaulting
	case kind != configv1.SystemDefaulting && kind != configv1.ListDefaulting:
		errs = append(errs, field.NotSupported(at, kind, []configv1.PodTopologySpreadConstraintsDefaulting{configv1.SystemDefaulting, configv1.ListDefaulting}))
	}
	if kind == configv1.SystemDefaulting && len(a.DefaultConstraints) > 0 {
		errs = append(errs, field.Invalid(at, kind, "when .defaultConstraints are not empty"))
	}
	p.args.SystemSpread, p.args.DefaultSpread = kind == configv1.SystemDefaulting, a.DefaultConstraints
	for i, c := range a.DefaultConstraints {
		errs = append(errs, spreadConstraint(path.Index(i), c)...)
		for _, other := range a.DefaultConstraints[:i] {
			if c.TopologyKey == other.TopologyKey && c.WhenUnsatisfiable == other.WhenUnsatisfiable {
				errs = append(errs, field.Duplicate(path.Index(i), fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable)))
				break
			}
		}
	}
	return errs
}

func spreadConstraint(at *field.Path, c corev1.TopologySpreadConstraint) (errs field.ErrorList) {
	if c.MaxSkew <= 0 {
		errs = append(errs, field.Invalid(at.Child("maxSkew"), c.MaxSkew, "not in valid range (0, inf)"))
	}
	if c.TopologyKey == "" {
		errs = append(errs, field.Required(at.Child("topologyKey"), "can not be empty"))
	} else {
		errs = append(errs, metav1validation.ValidateLabelName(c.TopologyKey, at.Child("topologyKey"))...)
	}
	switch c.WhenUnsatisfiable {
	case "":
		errs = append(errs, field.Required(at.Child("whenUnsatisfiable"), "can not be empty"))
	case corev1.DoNotSchedule, corev1.ScheduleAnyway:
	default:
		errs = append(errs, field.NotSupported(at.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, []corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}))
	}
	if c.LabelSelector != nil {
		errs = append(errs, field.Forbidden(at.Child("labelSelector"), "constraint must not define a selector, as they deduced for each pod"))
	}
	return errs
}

func (p *Profile) volumeArguments(at *field.Path, a *configv1.VolumeBindingArgs) (errs field.ErrorList) {
	seconds := ptr.Deref(a.BindTimeoutSeconds, 600)
	p.BindTimeout = time.Duration(seconds) * time.Second
	if seconds < 0 {
		errs = append(errs, field.Invalid(at.Child("bindTimeoutSeconds"), seconds, "invalid BindTimeoutSeconds, should not be a negative value"))
	}
	if a.Shape != nil {
		errs = append(errs, field.Invalid(at.Child("shape"), a.Shape, "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring"))
	}
	return errs
}

func (p *Profile) deviceArguments(at *field.Path, a *configv1.DynamicResourcesArgs) (errs field.ErrorList) {
	if t := a.FilterTimeout; t != nil {
		if p.FilterTimeout = t.Duration; t.Duration < 0 {
			errs = append(errs, field.Invalid(at.Child("filterTimeout"), t, "must be zero or positive"))
		}
	}
	if t := a.BindingTimeout; t != nil {
		if p.BindingTimeout = t.Duration; t.Duration < time.Second {
			errs = append(errs, field.Invalid(at.Child("bindingTimeout"), t, "must be at least 1 second"))
		}
	}
	return errs
}
