package place

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Names of upstream's plug-ins that this package answers for.
const (
	NodeUnschedulable    = "NodeUnschedulable"
	NodeName             = "NodeName"
	TaintToleration      = "TaintToleration"
	NodeAffinity         = "NodeAffinity"
	NodePorts            = "NodePorts"
	NodeResourcesFit     = "NodeResourcesFit"
	PodTopologySpread    = "PodTopologySpread"
	InterPodAffinity     = "InterPodAffinity"
	BalancedAllocation   = "NodeResourcesBalancedAllocation"
	ImageLocality        = "ImageLocality"
	NodeDeclaredFeatures = "NodeDeclaredFeatures"
)

// MaxScore is the most that a plug-in gives a node before its weight.
const MaxScore = 100

// Strategy is how NodeResourcesFit scores.
type Strategy string

// The strategies of NodeResourcesFit.
const (
	LeastAllocated           Strategy = "LeastAllocated"
	MostAllocated            Strategy = "MostAllocated"
	RequestedToCapacityRatio Strategy = "RequestedToCapacityRatio"
)

// Weighted is a resource, or a plug-in, with its weight (1 to 100).
type Weighted struct {
	Name   string
	Weight int64
}

// ShapePoint is a corner of RequestedToCapacityRatio's function: a score of 0 to 10 at a utilisation of 0 to 100.
type ShapePoint struct{ Utilization, Score int64 }

// Profile is what a scheduler's configuration says of one profile: the plug-ins in their order and their arguments, with
// upstream's defaults filled in. Plain values: nothing in it is changed, and nothing may change it once compiled.
type Profile struct {
	Filters []string   // plug-ins asked whether a node will do, in the order that their statuses are reported
	Scores  []Weighted // plug-ins that rank

	AddedAffinity *corev1.NodeAffinity // NodeAffinity: of every pod of this profile; nil for none

	Strategy              Strategy     // NodeResourcesFit
	Resources             []Weighted   // NodeResourcesFit: what it scores
	Shape                 []ShapePoint // NodeResourcesFit with RequestedToCapacityRatio; utilisation rises
	IgnoredResources      []string     // NodeResourcesFit: extended resources that it does not filter by
	IgnoredResourceGroups []string     // the same by prefix (before the slash)

	Balanced []Weighted // NodeResourcesBalancedAllocation: what it balances; weights do not matter

	// PodTopologySpread, for pods that say nothing: SystemSpread for upstream's defaults, otherwise DefaultSpread (without
	// selectors: those are made of the pod's services and owner).
	SystemSpread  bool
	DefaultSpread []corev1.TopologySpreadConstraint

	HardAffinityWeight int64 // InterPodAffinity: 0 to 100, for required affinity of pods on nodes
	// IgnorePreferredOfExisting: pods on nodes have no say in the scores of a pod without preferences of its own.
	IgnorePreferredOfExisting bool

	Rules []Rule // plug-ins from outside; they take part where Filters and Scores name them
}

// DefaultProfile is upstream's default profile without the plug-ins that are not this package's.
func DefaultProfile() Profile {
	return Profile{
		Filters: []string{NodeUnschedulable, NodeName, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit, PodTopologySpread,
			InterPodAffinity, NodeDeclaredFeatures},
		Scores: []Weighted{{TaintToleration, 3}, {NodeAffinity, 2}, {NodeResourcesFit, 1}, {PodTopologySpread, 2}, {InterPodAffinity, 2},
			{BalancedAllocation, 1}, {ImageLocality, 1}},
		Strategy:           LeastAllocated,
		Resources:          []Weighted{{string(corev1.ResourceCPU), 1}, {string(corev1.ResourceMemory), 1}},
		Balanced:           []Weighted{{string(corev1.ResourceCPU), 1}, {string(corev1.ResourceMemory), 1}},
		SystemSpread:       true,
		HardAffinityWeight: 1,
	}
}

// Policy is a compiled profile. It may serve several tables, each from its own goroutine.
type Policy struct {
	Profile

	order     map[string]int   // of filters; absent: not asked
	weights   map[string]int64 // of scores; absent: 0
	added     *nodeaffinity.NodeSelector
	preferred *nodeaffinity.PreferredSchedulingTerms
	spread    []corev1.TopologySpreadConstraint
	rules     []Rule // those that filters or scores name
	domains   int    // order of the first rule about domains: what a row fails before that is final
}

// Compile parses p; the error names the field at fault.
func (p Profile) Compile() (*Policy, error) {
	pol := &Policy{Profile: p, order: map[string]int{}, weights: map[string]int64{}, spread: p.DefaultSpread}
	if p.SystemSpread {
		pol.spread = []corev1.TopologySpreadConstraint{
			{TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, MaxSkew: 3},
			{TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway, MaxSkew: 5}}
	}
	if err := pol.compileAdded(p.AddedAffinity); err != nil {
		return nil, err
	}
	known := []string{NodeUnschedulable, NodeName, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit, PodTopologySpread,
		InterPodAffinity, BalancedAllocation, ImageLocality, NodeDeclaredFeatures}
	for _, r := range p.Rules {
		known = append(known, r.Name())
	}
	for i, name := range p.Filters {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("profile: filter %q is not known", name)
		}
		pol.order[name] = i
	}
	for _, s := range p.Scores {
		if !slices.Contains(known, s.Name) {
			return nil, fmt.Errorf("profile: score %q is not known", s.Name)
		}
		pol.weights[s.Name] = s.Weight
	}
	for _, r := range p.Rules {
		if pol.filters(r.Name()) || pol.weights[r.Name()] != 0 {
			pol.rules = append(pol.rules, r)
		}
	}
	if p.Strategy == RequestedToCapacityRatio && len(p.Shape) == 0 {
		return nil, fmt.Errorf("profile: strategy %s: the shape has no points", p.Strategy)
	}
	pol.domains = len(p.Filters)
	for _, name := range []string{PodTopologySpread, InterPodAffinity} {
		if i, ok := pol.order[name]; ok {
			pol.domains = min(pol.domains, i)
		}
	}
	return pol, nil
}

func (p *Policy) compileAdded(a *corev1.NodeAffinity) (err error) {
	if a == nil {
		return nil
	}
	if ns := a.RequiredDuringSchedulingIgnoredDuringExecution; ns != nil {
		if p.added, err = nodeaffinity.NewNodeSelector(ns); err != nil {
			return fmt.Errorf("profile: addedAffinity.requiredDuringSchedulingIgnoredDuringExecution: %w", err)
		}
	}
	if terms := a.PreferredDuringSchedulingIgnoredDuringExecution; len(terms) > 0 {
		if p.preferred, err = nodeaffinity.NewPreferredSchedulingTerms(terms); err != nil {
			return fmt.Errorf("profile: addedAffinity.preferredDuringSchedulingIgnoredDuringExecution: %w", err)
		}
	}
	return nil
}

func (p *Policy) filters(name string) bool { _, ok := p.order[name]; return ok }

// ignored says whether NodeResourcesFit does not filter by a resource; only what is somebody's own can be left out.
func (p *Policy) ignored(name corev1.ResourceName) bool {
	if !IsExtended(name) {
		return false
	}
	group, _, _ := strings.Cut(string(name), "/")
	return slices.Contains(p.IgnoredResources, string(name)) || slices.Contains(p.IgnoredResourceGroups, group)
}
