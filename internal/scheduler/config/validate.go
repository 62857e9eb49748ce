package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// removed are the plug-ins that the version v1 of the file no longer has.
var removed = []string{"AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"}

// validate fills defaults in, and tells what is wrong with a file beside arguments of plug-ins.
func (r *reader) validate(in *configv1.KubeSchedulerConfiguration) (errs field.ErrorList) {
	if in.Parallelism != nil && *in.Parallelism <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("parallelism"), *in.Parallelism, "should be an integer value greater than zero"))
	}
	if e := &in.LeaderElection; e.LeaderElect != nil && *e.LeaderElect && e.ResourceLock != "" && e.ResourceLock != "leases" {
		errs = append(errs, field.Invalid(field.NewPath("leaderElection", "resourceLock"), e.ResourceLock, `resourceLock value must be "leases"`))
	}
	errs = append(errs, percentage(field.NewPath("percentageOfNodesToScore"), in.PercentageOfNodesToScore)...)
	first, most := int64(1), int64(10)
	if in.PodInitialBackoffSeconds != nil {
		first = *in.PodInitialBackoffSeconds
	}
	if in.PodMaxBackoffSeconds != nil {
		most = *in.PodMaxBackoffSeconds
	}
	if first <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("podInitialBackoffSeconds"), first, "must be greater than 0"))
	}
	if most < first {
		errs = append(errs, field.Invalid(field.NewPath("podMaxBackoffSeconds"), most, "must be greater than or equal to PodInitialBackoffSeconds"))
	}
	r.out.First, r.out.Most = time.Duration(first)*time.Second, time.Duration(most)*time.Second
	errs = append(errs, r.validateProfiles(in.Profiles)...)
	r.warn(in)
	return append(errs, validateExtenders(field.NewPath("extenders"), in.Extenders)...)
}

func percentage(at *field.Path, n *int32) field.ErrorList {
	if n != nil && (*n < 0 || *n > 100) {
		return field.ErrorList{field.Invalid(at, *n, "not in valid range [0-100]")}
	}
	return nil
}

// warn names what has no effect in floe's process.
func (r *reader) warn(in *configv1.KubeSchedulerConfiguration) {
	no := func(given bool, name, why string) {
		if given {
			r.out.Warnings = append(r.out.Warnings, name+" has no effect: "+why)
		}
	}
	no(in.Parallelism != nil, "parallelism", "decisions need no workers")
	nodes := in.PercentageOfNodesToScore != nil
	for i := range in.Profiles {
		nodes = nodes || in.Profiles[i].PercentageOfNodesToScore != nil
	}
	no(nodes, "percentageOfNodesToScore", "all nodes are always looked at")
	c := &in.ClientConnection
	no(c.Kubeconfig != "" || c.QPS != 0 || c.Burst != 0 || c.ContentType != "" || c.AcceptContentTypes != "", "clientConnection",
		"the scheduler is in the server's process")
	e := &in.LeaderElection
	no(e.LeaderElect != nil || e.ResourceName != "" || e.ResourceNamespace != "" || e.LeaseDuration.Duration != 0, "leaderElection",
		"the scheduler runs where the server does")
	no(in.EnableProfiling != nil || in.EnableContentionProfiling != nil, "enableProfiling", "the server's own flags say what it serves under /debug")
	no(in.DelayCacheUntilActive, "delayCacheUntilActive", "there is no cache of its own")
}

func (r *reader) validateProfiles(list []configv1.KubeSchedulerProfile) (errs field.ErrorList) {
	path := field.NewPath("profiles")
	seen := map[string]int{}
	for i := range list {
		at, p := path.Index(i), &list[i]
		name := ""
		switch {
		case p.SchedulerName != nil:
			name = *p.SchedulerName
		case len(list) == 1:
			name = corev1.DefaultSchedulerName
		}
		if name == "" {
			errs = append(errs, field.Required(at.Child("schedulerName"), ""))
		}
		if first, ok := seen[name]; ok {
			errs = append(errs, field.Duplicate(at.Child("schedulerName"), path.Index(first).Child("schedulerName")))
		}
		seen[name] = i
		errs = append(errs, percentage(at.Child("percentageOfNodesToScore"), p.PercentageOfNodesToScore)...)
		made := Profile{Name: name}
		defaultArguments(&made)
		errs = append(errs, made.expand(at, p.Plugins)...)
		errs = append(errs, validateConfigs(at.Child("pluginConfig"), p.PluginConfig)...)
		for j, c := range p.PluginConfig {
			errs = append(errs, made.arguments(at.Child("pluginConfig").Index(j).Child("args"), c)...)
		}
		r.out.Profiles = append(r.out.Profiles, made)
	}
	return errs
}

// validateConfigs looks at the names of pluginConfig.
func validateConfigs(path *field.Path, list []configv1.PluginConfig) (errs field.ErrorList) {
	seen := sets.New[string]()
	for i, c := range list {
		switch {
		case seen.Has(c.Name):
			errs = append(errs, field.Duplicate(path.Index(i), c.Name))
		case slices.Contains(removed, c.Name):
			errs = append(errs, gone(path.Index(i), c.Name))
		case !known(c.Name):
			errs = append(errs, field.NotFound(path.Index(i).Child("name"), c.Name))
		}
		seen.Insert(c.Name)
	}
	return errs
}

func gone(at *field.Path, name string) *field.Error {
	v := configv1.SchemeGroupVersion.String()
	return field.Invalid(at, name, fmt.Sprintf("was invalid in version %q (KubeSchedulerConfiguration is version %q)", v, v))
}

func validateExtenders(path *field.Path, list []configv1.Extender) (errs field.ErrorList) {
	binders := 0
	managed := sets.New[string]()
	for i, e := range list {
		at := path.Index(i)
		if e.PrioritizeVerb != "" && e.Weight <= 0 {
			errs = append(errs, field.Invalid(at.Child("weight"), e.Weight, "must have a positive weight applied to it"))
		}
		if e.BindVerb != "" {
			binders++
		}
		for j, res := range e.ManagedResources {
			name := at.Child("managedResources").Index(j).Child("name")
			errs = append(errs, extendedResource(name, res.Name)...)
			if managed.Has(res.Name) {
				errs = append(errs, field.Invalid(name, res.Name, "duplicate extender managed resource name"))
			}
			managed.Insert(res.Name)
		}
	}
	if binders > 1 {
		errs = append(errs, field.Invalid(path, fmt.Sprintf("found %d extenders implementing bind", binders), "only one extender can implement bind"))
	}
	return errs
}

func extendedResource(at *field.Path, name string) (errs field.ErrorList) {
	for _, msg := range validation.IsQualifiedName(name) {
		errs = append(errs, field.Invalid(at, name, msg))
	}
	native := !strings.Contains(name, "/") || strings.Contains(name, corev1.ResourceDefaultNamespacePrefix)
	if len(errs) == 0 && (native || strings.HasPrefix(name, corev1.DefaultResourceRequestsPrefix)) {
		errs = append(errs, field.Invalid(at, name, "is an invalid extended resource name"))
	}
	return errs
}
