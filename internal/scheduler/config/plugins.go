package config

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	configv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// points are where plug-ins take part: how the file names them, and which plug-ins know them, in no order. Upstream's interfaces
// are named in its errors as "filter" is FilterPlugin.
var points = []struct {
	name, kind string
	set        func(*configv1.Plugins) *configv1.PluginSet
	plugins    []string
}{
	{"preEnqueue", "PreEnqueuePlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.PreEnqueue },
		[]string{"SchedulingGates", "DefaultPreemption", "DynamicResources"}},
	{"queueSort", "QueueSortPlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.QueueSort }, []string{"PrioritySort"}},
	{"preFilter", "PreFilterPlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.PreFilter },
		[]string{place.NodeAffinity, place.NodePorts, place.NodeResourcesFit, "VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding", "VolumeZone",
			place.PodTopologySpread, place.InterPodAffinity, "DynamicResources", place.NodeDeclaredFeatures}},
	{filter, "FilterPlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.Filter },
		[]string{place.NodeUnschedulable, place.NodeName, place.TaintToleration, place.NodeAffinity, place.NodePorts, place.NodeResourcesFit, "VolumeRestrictions",
			"NodeVolumeLimits", "VolumeBinding", "VolumeZone", place.PodTopologySpread, place.InterPodAffinity, "DynamicResources", place.NodeDeclaredFeatures}},
	{postFilter, "PostFilterPlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.PostFilter },
		[]string{"DefaultPreemption", "DynamicResources"}},
	{"preScore", "PreScorePlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.PreScore },
		[]string{place.TaintToleration, place.NodeAffinity, place.NodeResourcesFit, "VolumeBinding", place.PodTopologySpread, place.InterPodAffinity,
			place.BalancedAllocation}},
	{score, "ScorePlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.Score },
		[]string{place.TaintToleration, place.NodeAffinity, place.NodeResourcesFit, "VolumeBinding", place.PodTopologySpread, place.InterPodAffinity,
			place.BalancedAllocation, place.ImageLocality, "DynamicResources"}},
	{"reserve", "ReservePlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.Reserve }, []string{"VolumeBinding", "DynamicResources"}},
	{"permit", "PermitPlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.Permit }, nil},
	{"preBind", "PreBindPlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.PreBind }, []string{"VolumeBinding", "DynamicResources"}},
	{bind, "BindPlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.Bind }, []string{"DefaultBinder"}},
	{"postBind", "PostBindPlugin", func(p *configv1.Plugins) *configv1.PluginSet { return &p.PostBind }, nil},
}

// Points whose plug-ins the profile keeps.
const (
	filter     = "filter"
	postFilter = "postFilter"
	score      = "score"
	bind       = "bind"
)

func known(name string) bool {
	return slices.ContainsFunc(everywhere(), func(p configv1.Plugin) bool { return p.Name == name })
}

// everywhere is upstream's multiPoint by default.
func everywhere() []configv1.Plugin {
	var out []configv1.Plugin
	for _, p := range []place.Weighted{{Name: "SchedulingGates"}, {Name: "PrioritySort"}, {Name: place.NodeUnschedulable}, {Name: place.NodeName},
		{Name: place.TaintToleration, Weight: 3}, {Name: place.NodeAffinity, Weight: 2}, {Name: place.NodePorts}, {Name: place.NodeResourcesFit, Weight: 1},
		{Name: "VolumeRestrictions"}, {Name: "NodeVolumeLimits"}, {Name: "VolumeBinding"}, {Name: "VolumeZone"}, {Name: place.PodTopologySpread, Weight: 2},
		{Name: place.InterPodAffinity, Weight: 2}, {Name: "DynamicResources", Weight: 2}, {Name: "DefaultPreemption"},
		{Name: place.BalancedAllocation, Weight: 1}, {Name: place.ImageLocality, Weight: 1}, {Name: "DefaultBinder"}, {Name: place.NodeDeclaredFeatures}} {
		made := configv1.Plugin{Name: p.Name}
		if weight := int32(p.Weight); weight > 0 {
			made.Weight = &weight
		}
		out = append(out, made)
	}
	return out
}

// expand finds the plug-ins of each point of a profile that says given (nil: nothing) of them.
func (p *Profile) expand(at *field.Path, given *configv1.Plugins) (errs field.ErrorList) {
	if given == nil {
		given = &configv1.Plugins{}
	}
	at = at.Child("plugins")
	if n := len(given.PlacementGenerate.Enabled) + len(given.PlacementScore.Enabled); n > 0 {
		errs = append(errs, field.Forbidden(at.Child("placementGenerate"), "the feature gate TopologyAwareWorkloadScheduling is off"))
	}
	errs = append(errs, unknownPlugins(at.Child("multiPoint"), &given.MultiPoint)...)
	multi := merge(everywhere(), &given.MultiPoint)
	taking := map[string][]configv1.Plugin{}
	for _, point := range points {
		set := point.set(given)
		path := at.Child(point.name)
		errs = append(errs, unknownPlugins(path, set)...)
		for i, e := range set.Enabled {
			if known(e.Name) && !slices.Contains(point.plugins, e.Name) {
				errs = append(errs, field.Invalid(path.Child("enabled").Index(i), e.Name, fmt.Sprintf("plugin %q does not extend %s plugin", e.Name, point.kind)))
			}
		}
		if name, ok := repeated(set.Enabled); ok {
			errs = append(errs, field.Invalid(path.Child("enabled"), name, fmt.Sprintf("plugin %q already registered as %q", name, point.kind)))
		}
		taking[point.name] = pointPlugins(point.plugins, set, multi)
	}
	if name, ok := repeated(multi); ok {
		errs = append(errs, field.Invalid(at.Child("multiPoint", "enabled"), name, fmt.Sprintf("plugin %q already registered", name)))
	}
	if len(errs) > 0 {
		return errs
	}
	return p.keep(at, taking)
}

// keep keeps what of the points a profile goes by, and refuses what floe cannot do.
func (p *Profile) keep(at *field.Path, taking map[string][]configv1.Plugin) (errs field.ErrorList) {
	if n := len(taking["queueSort"]); n != 1 {
		errs = append(errs, field.Invalid(at.Child("queueSort"), n, fmt.Sprintf("only one queue sort plugin required for profile with scheduler name %q, but got %d", p.Name, n)))
	}
	if len(taking[bind]) == 0 {
		errs = append(errs, field.Required(at.Child(bind), fmt.Sprintf("at least one bind plugin is needed for profile with scheduler name %q", p.Name)))
	}
	for before, point := range map[string]string{"preFilter": filter, "preScore": score} {
		for _, pl := range pointOf(before) {
			if !has(taking[before], pl) && has(taking[point], pl) {
				errs = append(errs, field.Invalid(at.Child(before), pl, "is not enabled at "+before+" while it is at "+point))
			}
		}
	}
	for _, pl := range taking[filter] {
		p.Filters = append(p.Filters, pl.Name)
	}
	for _, pl := range taking[score] {
		weight := int64(1)
		if pl.Weight != nil && *pl.Weight != 0 {
			weight = int64(*pl.Weight)
		}
		if weight < 0 || weight > 1<<31/place.MaxScore {
			errs = append(errs, field.Invalid(at.Child(score), weight, "the weight of "+pl.Name+" is not in valid range [1, 21474836]"))
		}
		p.Scores = append(p.Scores, place.Weighted{Name: pl.Name, Weight: weight})
	}
	p.Preemption, p.Releases = has(taking[postFilter], "DefaultPreemption"), has(taking[postFilter], "DynamicResources")
	p.Gates = has(taking["preEnqueue"], "SchedulingGates")
	return errs
}

func pointOf(name string) []string {
	for _, p := range points {
		if p.name == name {
			return p.plugins
		}
	}
	return nil
}

func has(list []configv1.Plugin, name string) bool {
	return slices.ContainsFunc(list, func(p configv1.Plugin) bool { return p.Name == name })
}

func repeated(list []configv1.Plugin) (string, bool) {
	seen := sets.New[string]()
	for _, p := range list {
		if seen.Has(p.Name) {
			return p.Name, true
		}
		seen.Insert(p.Name)
	}
	return "", false
}

// unknownPlugins refuses plug-ins that are not upstream's, or no longer. Disabling one that is not there harms nobody, but is a slip.
func unknownPlugins(at *field.Path, set *configv1.PluginSet) (errs field.ErrorList) {
	for i, p := range set.Enabled {
		switch {
		case slices.Contains(removed, p.Name):
			errs = append(errs, gone(at.Child("enabled").Index(i), p.Name))
		case !known(p.Name):
			errs = append(errs, field.NotFound(at.Child("enabled").Index(i).Child("name"), p.Name))
		}
	}
	for i, p := range set.Disabled {
		if p.Name != "*" && !known(p.Name) && !slices.Contains(removed, p.Name) {
			errs = append(errs, field.NotFound(at.Child("disabled").Index(i).Child("name"), p.Name))
		}
	}
	return errs
}

// merge is upstream's: what is enabled by default and neither disabled nor said again, then what is enabled besides.
func merge(defaults []configv1.Plugin, set *configv1.PluginSet) []configv1.Plugin {
	var out []configv1.Plugin
	replaced := map[int]bool{}
	if !has(set.Disabled, "*") {
		for _, d := range defaults {
			if has(set.Disabled, d.Name) {
				continue
			}
			for i, e := range set.Enabled {
				if e.Name == d.Name {
					d, replaced[i] = e, true
				}
			}
			out = append(out, d)
		}
	}
	for i, e := range set.Enabled {
		if !replaced[i] {
			out = append(out, e)
		}
	}
	return out
}

// pointPlugins are the plug-ins of a point: those that multiPoint has and the point says again, in the point's order; what multiPoint has besides; the others.
func pointPlugins(able []string, set *configv1.PluginSet, multi []configv1.Plugin) []configv1.Plugin {
	var first, second, third []configv1.Plugin
	all := has(set.Disabled, "*")
	for _, e := range set.Enabled {
		if !all && has(multi, e.Name) && !has(set.Disabled, e.Name) {
			first = append(first, e)
		} else {
			third = append(third, e)
		}
	}
	for _, m := range multi {
		if !all && slices.Contains(able, m.Name) && !has(set.Disabled, m.Name) && !has(set.Enabled, m.Name) {
			second = append(second, m)
		}
	}
	return slices.Concat(first, second, third)
}
