package cases

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
)

// profile is the case's only profile, with the default name.
func (w *world) profile() *schedulerv1.KubeSchedulerProfile {
	if w.configuration == nil {
		w.configuration = &schedulerv1.KubeSchedulerConfiguration{
			TypeMeta: metav1.TypeMeta{APIVersion: schedulerv1.SchemeGroupVersion.String(), Kind: "KubeSchedulerConfiguration"},
			Profiles: []schedulerv1.KubeSchedulerProfile{{SchedulerName: new(corev1.DefaultSchedulerName)}},
		}
	}
	return &w.configuration.Profiles[0]
}

// args gives a plug-in its arguments.
func (w *world) args(plugin string, args any) {
	data, err := json.Marshal(args)
	if err != nil {
		panic(fmt.Sprintf("the arguments of %s: %v", plugin, err)) // types of k8s.io/kube-scheduler without anything that cannot be written
	}
	p := w.profile()
	p.PluginConfig = append(p.PluginConfig, schedulerv1.PluginConfig{Name: plugin, Args: runtime.RawExtension{Raw: data}})
}

func kind(name string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: schedulerv1.SchemeGroupVersion.String(), Kind: name}
}

// strategies are the scoring strategies of NodeResourcesFit with all their fields, and the resources that it and BalancedAllocation look at.
var strategies = trait{before: func(w *world) {
	fit := schedulerv1.NodeResourcesFitArgs{TypeMeta: kind("NodeResourcesFitArgs"), ScoringStrategy: &schedulerv1.ScoringStrategy{Resources: w.weighed()}}
	switch w.number % 4 {
	case 0:
		fit.ScoringStrategy.Type = schedulerv1.LeastAllocated
	case 1:
		fit.ScoringStrategy.Type = schedulerv1.MostAllocated
	default:
		fit.ScoringStrategy.Type = schedulerv1.RequestedToCapacityRatio
		fit.ScoringStrategy.RequestedToCapacityRatio = &schedulerv1.RequestedToCapacityRatioParam{Shape: w.shape()}
	}
	if w.once(3) {
		fit.IgnoredResources = []string{string(one(w, gpu, fpga))}
	}
	if w.once(3) {
		fit.IgnoredResourceGroups = []string{one(w, "example.com", "vendor.example")}
	}
	w.args("NodeResourcesFit", fit)
	if w.once(2) {
		resources := w.weighed()
		for i := range resources {
			resources[i].Weight = 1 // no other is allowed
		}
		w.args("NodeResourcesBalancedAllocation", schedulerv1.NodeResourcesBalancedAllocationArgs{TypeMeta: kind("NodeResourcesBalancedAllocationArgs"),
			Resources: resources})
	}
}}

// weighed are resources with weights.
func (w *world) weighed() []schedulerv1.ResourceSpec {
	var out []schedulerv1.ResourceSpec
	all := []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, gpu, fpga, corev1.ResourceEphemeralStorage, huge}
	for _, name := range some(w, w.between(1, 4), all) {
		out = append(out, schedulerv1.ResourceSpec{Name: string(name), Weight: int64(one(w, 1, 1, 2, 5, 100))})
	}
	return out
}

// shape is a function of utilization, with rising utilizations.
func (w *world) shape() []schedulerv1.UtilizationShapePoint {
	shape := []schedulerv1.UtilizationShapePoint{{Utilization: 0, Score: int32(w.between(0, 10))}}
	if w.once(2) {
		shape = append(shape, schedulerv1.UtilizationShapePoint{Utilization: int32(w.between(10, 90)), Score: int32(w.between(0, 10))})
	}
	return append(shape, schedulerv1.UtilizationShapePoint{Utilization: 100, Score: int32(w.between(0, 10))})
}

// addedAffinity is an affinity that the profile adds to every pod's.
var addedAffinity = trait{before: func(w *world) {
	a := &corev1.NodeAffinity{}
	if w.once(2) {
		a.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpIn, Values: some(w, 2, valuesOf("disk"))}},
		}}}
	}
	for range w.between(0, 2) {
		a.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PreferredDuringSchedulingIgnoredDuringExecution, corev1.PreferredSchedulingTerm{
			Weight: int32(w.between(1, 100)), Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{w.nodeRequirement()}},
		})
	}
	w.args("NodeAffinity", schedulerv1.NodeAffinityArgs{TypeMeta: kind("NodeAffinityArgs"), AddedAffinity: a})
}}

// defaultConstraints are a profile's own constraints for pods that have none.
var defaultConstraints = trait{before: func(w *world) {
	args := schedulerv1.PodTopologySpreadArgs{TypeMeta: kind("PodTopologySpreadArgs"), DefaultingType: schedulerv1.ListDefaulting}
	if w.once(8) {
		args.DefaultingType = schedulerv1.SystemDefaulting
	} else {
		for range w.between(0, 2) {
			c := corev1.TopologySpreadConstraint{
				MaxSkew: int32(w.between(1, 3)), TopologyKey: one(w, corev1.LabelTopologyZone, corev1.LabelHostname, "rack"),
				WhenUnsatisfiable: one(w, corev1.DoNotSchedule, corev1.ScheduleAnyway),
			}
			args.DefaultConstraints = addConstraint(args.DefaultConstraints, c)
		}
	}
	w.args("PodTopologySpread", args)
}}

// affinityWeight is the weight that required affinity of placed pods has in scores, and whether preferred affinity of placed pods counts at all.
var affinityWeight = trait{before: func(w *world) {
	w.args("InterPodAffinity", schedulerv1.InterPodAffinityArgs{
		TypeMeta: kind("InterPodAffinityArgs"), HardPodAffinityWeight: new(int32(one(w, 0, 1, 10, 100))), IgnorePreferredTermsOfExistingPods: w.once(2),
	})
}}

// weights are other weights of the plug-ins that score, and plug-ins that are off.
var weights = trait{before: func(w *world) {
	plugins := &schedulerv1.Plugins{}
	for _, name := range []string{"TaintToleration", "NodeAffinity", "NodeResourcesFit", "PodTopologySpread", "InterPodAffinity",
		"NodeResourcesBalancedAllocation", "ImageLocality"} {
		switch w.r.IntN(4) {
		case 0:
			plugins.Score.Disabled = append(plugins.Score.Disabled, schedulerv1.Plugin{Name: name})
		case 1:
			plugins.Score.Disabled = append(plugins.Score.Disabled, schedulerv1.Plugin{Name: name})
			plugins.Score.Enabled = append(plugins.Score.Enabled, schedulerv1.Plugin{Name: name, Weight: new(int32(w.between(1, 20)))})
		}
	}
	if w.once(3) {
		plugins.Filter.Disabled = append(plugins.Filter.Disabled, schedulerv1.Plugin{Name: one(w, "TaintToleration", "NodePorts", "NodeUnschedulable")})
	}
	w.profile().Plugins = plugins
}}
