package differential

import (
	"encoding/json"
	"fmt"
	"slices"

	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/floe-k8s/floe/internal/scheduler/claims"
	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/volumes"
)

// profileOf is what a case's configuration says of its one profile: the arguments and score plug-ins that cases use.
func profileOf(c *schedulerv1.KubeSchedulerConfiguration, rules []place.Rule) (place.Profile, error) {
	p := place.DefaultProfile()
	i := slices.Index(p.Filters, place.PodTopologySpread)
	p.Filters, p.Rules = slices.Insert(p.Filters, i, volumes.Names()...), rules
	p.Filters = slices.Insert(p.Filters, slices.Index(p.Filters, place.InterPodAffinity)+1, claims.Name)
	p.Scores = append(p.Scores, place.Weighted{Name: claims.Name, Weight: 2})
	if c == nil {
		return p, nil
	}
	given := c.Profiles[0]
	if given.Plugins != nil {
		p.Filters = slices.DeleteFunc(p.Filters, func(name string) bool { return contains(given.Plugins.Filter.Disabled, name) })
		p.Scores = slices.DeleteFunc(p.Scores, func(s place.Weighted) bool { return contains(given.Plugins.Score.Disabled, s.Name) })
		for _, e := range given.Plugins.Score.Enabled {
			p.Scores = append(p.Scores, place.Weighted{Name: e.Name, Weight: int64(*e.Weight)})
		}
	}
	for _, args := range given.PluginConfig {
		if err := arguments(&p, args); err != nil {
			return p, fmt.Errorf("arguments of %s: %w", args.Name, err)
		}
	}
	return p, nil
}

func contains(list []schedulerv1.Plugin, name string) bool {
	return slices.ContainsFunc(list, func(p schedulerv1.Plugin) bool { return p.Name == name })
}

func arguments(p *place.Profile, c schedulerv1.PluginConfig) error {
	switch c.Name {
	case place.NodeResourcesFit:
		return fit(p, c.Args.Raw)
	case place.BalancedAllocation:
		var args schedulerv1.NodeResourcesBalancedAllocationArgs
		err := json.Unmarshal(c.Args.Raw, &args)
		p.Balanced = weighted(args.Resources)
		return err
	case place.NodeAffinity:
		var args schedulerv1.NodeAffinityArgs
		err := json.Unmarshal(c.Args.Raw, &args)
		p.AddedAffinity = args.AddedAffinity
		return err
	case place.PodTopologySpread:
		var args schedulerv1.PodTopologySpreadArgs
		err := json.Unmarshal(c.Args.Raw, &args)
		p.SystemSpread, p.DefaultSpread = args.DefaultingType == schedulerv1.SystemDefaulting, args.DefaultConstraints
		return err
	case place.InterPodAffinity:
		var args schedulerv1.InterPodAffinityArgs
		err := json.Unmarshal(c.Args.Raw, &args)
		p.HardAffinityWeight, p.IgnorePreferredOfExisting = int64(*args.HardPodAffinityWeight), args.IgnorePreferredTermsOfExistingPods
		return err
	}
	return errMissing
}

func fit(p *place.Profile, raw []byte) error {
	var args schedulerv1.NodeResourcesFitArgs
	if err := json.Unmarshal(raw, &args); err != nil {
		return err
	}
	p.IgnoredResources, p.IgnoredResourceGroups = args.IgnoredResources, args.IgnoredResourceGroups
	p.Strategy, p.Resources = place.Strategy(args.ScoringStrategy.Type), weighted(args.ScoringStrategy.Resources)
	if ratio := args.ScoringStrategy.RequestedToCapacityRatio; ratio != nil {
		for _, point := range ratio.Shape {
			p.Shape = append(p.Shape, place.ShapePoint{Utilization: int64(point.Utilization), Score: int64(point.Score)})
		}
	}
	return nil
}

func weighted(list []schedulerv1.ResourceSpec) []place.Weighted {
	var out []place.Weighted
	for _, r := range list {
		out = append(out, place.Weighted{Name: r.Name, Weight: r.Weight})
	}
	return out
}
