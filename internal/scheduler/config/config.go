// Package config reads KubeSchedulerConfiguration files: what kube-scheduler v1.36 takes, with its defaults and in its words.
//
// # Vocabulary
//
// A profile is a way to schedule, for the pods that name it. It consists of plug-ins, which take part at points: filter, score and others.
// Plug-ins of multiPoint take part at every point that they know. Arguments are what pluginConfig says of a plug-in.
//
// # Laws
//
//   - What a file says is honoured, refused with its line and upstream's message, or without effect and named in Warnings.
//   - Plug-ins are upstream's own; another is refused by name, since floe loads none.
//   - A plug-in that filters or scores also looks at pods before (preFilter, preScore): here they are one, and a file that takes them apart is refused.
//
// # What it leaves to others
//
// What plug-ins do: place, for those that DefaultProfile names, and the rules that the shell adds.
package config

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	configv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/floe-k8s/floe/internal/configfile"
	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// Configuration is a file with its defaults filled in.
type Configuration struct {
	Profiles    []Profile
	First, Most time.Duration // backoff: podInitialBackoffSeconds, podMaxBackoffSeconds
	Extenders   []configv1.Extender
	Warnings    []string // settings that were given and have no effect here
}

// Profile is one profile. Plug-ins are in the order in which they are asked.
type Profile struct {
	Name       string
	Filters    []string         // all of upstream's, those too that are not place's
	Scores     []place.Weighted // likewise
	Preemption bool             // DefaultPreemption takes part at postFilter
	Gates      bool             // SchedulingGates takes part at preEnqueue
	Releases   bool             // DynamicResources takes part at postFilter

	args place.Profile // what pluginConfig says of place's plug-ins

	BindTimeout     time.Duration // VolumeBinding
	FilterTimeout   time.Duration // DynamicResources, for one node; 0: no limit
	BindingTimeout  time.Duration // DynamicResources
	CandidateShare  int32         // DefaultPreemption: minCandidateNodesPercentage
	CandidatesLeast int32         // DefaultPreemption: minCandidateNodesAbsolute
}

// Place is the profile as place takes it: with the plug-ins that are its own, and those of rules.
func (p Profile) Place(rules []place.Rule) place.Profile {
	out := p.args
	out.Rules = rules
	known := slices.Clone(own)
	for _, r := range rules {
		known = append(known, r.Name())
	}
	for _, name := range p.Filters {
		if slices.Contains(known, name) {
			out.Filters = append(out.Filters, name)
		}
	}
	for _, s := range p.Scores {
		if slices.Contains(known, s.Name) {
			out.Scores = append(out.Scores, s)
		}
	}
	return out
}

// own are the plug-ins that place answers for.
var own = []string{place.NodeUnschedulable, place.NodeName, place.TaintToleration, place.NodeAffinity, place.NodePorts, place.NodeResourcesFit,
	place.PodTopologySpread, place.InterPodAffinity, place.BalancedAllocation, place.ImageLocality, place.NodeDeclaredFeatures}

// Read reads the file at path.
func Read(path string) (Configuration, error) {
	data, err := configfile.Load(path)
	if err != nil {
		return Configuration{}, err
	}
	return Decode(path, data)
}

// Decode is Read of what the file at path holds.
func Decode(path string, data []byte) (Configuration, error) {
	r := reader{source: configfile.Source{Path: path, File: data}}
	var in configv1.KubeSchedulerConfiguration
	wanted := []schema.GroupVersionKind{configv1.SchemeGroupVersion.WithKind("KubeSchedulerConfiguration")}
	if err := configfile.DecodePart(r.source, wanted, &in, r.validate); err != nil {
		return Configuration{}, err
	}
	for i := range in.Profiles {
		for j, args := range in.Profiles[i].PluginConfig {
			if err := r.strict(field.NewPath("profiles").Index(i).Child("pluginConfig").Index(j).Child("args"), args); err != nil {
				return Configuration{}, err
			}
		}
	}
	if len(r.out.Profiles) == 0 {
		r.out.Profiles = []Profile{defaultProfile()}
	}
	r.out.Extenders = in.Extenders
	for _, e := range in.Extenders {
		for _, res := range e.ManagedResources {
			for i := range r.out.Profiles {
				if args := &r.out.Profiles[i].args; res.IgnoredByScheduler {
					args.IgnoredResources = append(slices.Clip(args.IgnoredResources), res.Name)
				}
			}
		}
	}
	return r.out, nil
}

// Default is upstream's configuration when no file is given.
func Default() Configuration {
	return Configuration{Profiles: []Profile{defaultProfile()}, First: firstBackoff, Most: mostBackoff}
}

const (
	firstBackoff = time.Second
	mostBackoff  = 10 * time.Second
)

func defaultProfile() Profile {
	p := Profile{Name: corev1.DefaultSchedulerName}
	defaultArguments(&p)
	if errs := p.expand(field.NewPath("profiles").Index(0), nil); len(errs) > 0 {
		panic(fmt.Sprintf("config: the default profile: %v", errs)) // it has no part that could fail
	}
	return p
}

// reader reads one file.
type reader struct {
	source configfile.Source
	out    Configuration
}
