package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/podautoscaler"
)

// Controllers says which controllers run, and how they do their work. Its flags are kube-controller-manager's.
type Controllers struct {
	// Enabled names controllers by upstream's names: "*" is all that are on by default, "NAME" one more, "-NAME" one less; the first that concerns a
	// controller counts. Default "*", which leaves out bootstrap-signer-controller and token-cleaner-controller.
	Enabled []string `json:"enabled,omitempty"`
	// ClusterSigningDuration is how long certificates last that are signed for approved requests, when these do not ask for less. Default 8760h, a year.
	ClusterSigningDuration metav1.Duration `json:"clusterSigningDuration,omitempty"`
	// LegacyTokenCleanUpPeriod is how long a service account's token in a secret, which the account lists, must not have been used to be marked as invalid, and then
	// to have been marked to be deleted. Default 8760h, a year.
	LegacyTokenCleanUpPeriod metav1.Duration `json:"legacyServiceAccountTokenCleanUpPeriod,omitempty"`
	// AutoscalerSyncPeriod is the time between two looks at a HorizontalPodAutoscaler. Default 15s.
	AutoscalerSyncPeriod metav1.Duration `json:"horizontalPodAutoscalerSyncPeriod,omitempty"`
	// AutoscalerDownscaleStabilization is for how long the highest recommendation counts before replicas are taken away, where an autoscaler does not say it. Default 5m.
	AutoscalerDownscaleStabilization metav1.Duration `json:"horizontalPodAutoscalerDownscaleStabilization,omitempty"`
	// AutoscalerCPUInitialization is the time after a pod's start in which samples of its CPU may be left out. Default 5m.
	AutoscalerCPUInitialization metav1.Duration `json:"horizontalPodAutoscalerCPUInitializationPeriod,omitempty"`
	// AutoscalerReadinessDelay is the time after a pod's start in which changes of readiness are taken for its first. Default 30s.
	AutoscalerReadinessDelay metav1.Duration `json:"horizontalPodAutoscalerInitialReadinessDelay,omitempty"`
	// AutoscalerTolerance is the least change of the ratio of what is to what should be, from 1, that scales. Default 0.1.
	AutoscalerTolerance float64 `json:"horizontalPodAutoscalerTolerance,omitempty"`
}

func defaultControllers() Controllers {
	year := metav1.Duration{Duration: 365 * 24 * time.Hour}
	scaling := podautoscaler.Defaults()
	return Controllers{
		Enabled: []string{"*"}, ClusterSigningDuration: year, LegacyTokenCleanUpPeriod: year,
		AutoscalerSyncPeriod: metav1.Duration{Duration: scaling.Period}, AutoscalerDownscaleStabilization: metav1.Duration{Duration: scaling.DownStabilization},
		AutoscalerCPUInitialization: metav1.Duration{Duration: scaling.CPUInitialization}, AutoscalerReadinessDelay: metav1.Duration{Duration: scaling.ReadinessDelay},
		AutoscalerTolerance: scaling.Tolerance,
	}
}

// autoscaling are the settings of the controller of autoscalers.
func (c *Controllers) autoscaling() podautoscaler.Settings {
	return podautoscaler.Settings{
		Period: c.AutoscalerSyncPeriod.Duration, DownStabilization: c.AutoscalerDownscaleStabilization.Duration,
		CPUInitialization: c.AutoscalerCPUInitialization.Duration, ReadinessDelay: c.AutoscalerReadinessDelay.Duration, Tolerance: c.AutoscalerTolerance,
	}
}

// switchable is a controller that can be left out.
type switchable struct {
	own   string   // its name in `floe controllers`
	names []string // upstream's, the first of which is the newest
	off   bool     // by default
}

func switchables() []switchable {
	return []switchable{
		{own: "bootstrap-signer", names: []string{"bootstrap-signer-controller", "bootstrapsigner"}, off: true},
		{own: "bootstrap-token-cleaner", names: []string{"token-cleaner-controller", "tokencleaner"}, off: true},
		{own: "certificate-approving", names: []string{"certificatesigningrequest-approving-controller", "csrapproving"}},
		{own: "certificate-cleaner", names: []string{"certificatesigningrequest-cleaner-controller", "csrcleaner"}},
		{own: "certificate-signing", names: []string{"certificatesigningrequest-signing-controller", "csrsigning"}},
		{own: "clusterrole-aggregation", names: []string{"clusterrole-aggregation-controller", "clusterrole-aggregation"}},
		{own: "cronjob", names: []string{"cronjob-controller", "cronjob"}},
		{own: "deployment", names: []string{"deployment-controller", "deployment"}},
		{own: "disruption", names: []string{"disruption-controller", "disruption"}},
		{own: "endpoints", names: []string{"endpoints-controller", "endpoint"}},
		{own: "endpointslicemirroring", names: []string{"endpointslice-mirroring-controller", "endpointslicemirroring"}},
		{own: "endpointslice", names: []string{"endpointslice-controller", "endpointslice"}},
		{own: "garbage", names: []string{"garbage-collector-controller", "garbagecollector"}},
		{own: "horizontalpodautoscaler", names: []string{"horizontal-pod-autoscaler-controller", "horizontalpodautoscaling"}},
		{own: "job", names: []string{"job-controller", "job"}},
		{own: "legacy-token-cleaner", names: []string{"legacy-serviceaccount-token-cleaner-controller"}},
		{own: "namespace", names: []string{"namespace-controller", "namespace"}},
		{own: "pvcprotection", names: []string{"persistentvolumeclaim-protection-controller", "pvc-protection"}},
		{own: "pvprotection", names: []string{"persistentvolume-protection-controller", "pv-protection"}},
		{own: "replicaset", names: []string{"replicaset-controller", "replicaset"}},
		{own: "replicationcontroller", names: []string{"replicationcontroller-controller", "replicationcontroller"}},
		{own: "resourcequota", names: []string{"resourcequota-controller", "resourcequota"}},
		{own: "root-ca-certificate-publisher", names: []string{"root-ca-certificate-publisher-controller", "root-ca-cert-publisher"}},
		{own: "service-cidr", names: []string{"service-cidr-controller"}},
		{own: "serviceaccount", names: []string{"serviceaccount-controller", "serviceaccount"}},
		{own: "serviceaccount-token", names: []string{"serviceaccount-token-controller", "serviceaccount-token"}},
		{own: "ttl-after-finished", names: []string{"ttl-after-finished-controller", "ttl-after-finished"}},
		{own: "vacprotection", names: []string{"volumeattributesclass-protection-controller"}},
		{own: "validatingadmissionpolicy-status", names: []string{"validatingadmissionpolicy-status-controller"}},
	}
}

// runs says whether a controller, by its own name, is to run. One that cannot be left out always does.
func (c *Controllers) runs(own string) bool {
	all := switchables()
	i := slices.IndexFunc(all, func(s switchable) bool { return s.own == own })
	if i < 0 {
		return true
	}
	for _, entry := range c.Enabled {
		if name, less := strings.CutPrefix(entry, "-"); slices.Contains(all[i].names, name) {
			return !less
		}
	}
	return slices.Contains(c.Enabled, "*") && !all[i].off
}

func (c *Controllers) validate() (errs []error) {
	for _, entry := range c.Enabled {
		name := strings.TrimPrefix(entry, "-")
		if entry != "*" && !slices.ContainsFunc(switchables(), func(s switchable) bool { return slices.Contains(s.names, name) }) {
			errs = append(errs, fmt.Errorf("controllers.enabled: %q is not in the list of known controllers: %s", name, switchableNames()))
		}
	}
	for _, d := range []struct {
		name  string
		value metav1.Duration
		least time.Duration
	}{
		{"clusterSigningDuration", c.ClusterSigningDuration, 1}, {"legacyServiceAccountTokenCleanUpPeriod", c.LegacyTokenCleanUpPeriod, 1},
		{"horizontalPodAutoscalerSyncPeriod", c.AutoscalerSyncPeriod, 1}, {"horizontalPodAutoscalerDownscaleStabilization", c.AutoscalerDownscaleStabilization, 0},
		{"horizontalPodAutoscalerCPUInitializationPeriod", c.AutoscalerCPUInitialization, 0}, {"horizontalPodAutoscalerInitialReadinessDelay", c.AutoscalerReadinessDelay, 0},
	} {
		switch {
		case d.value.Duration < 0, d.value.Duration == 0 && d.least > 0:
			must := "must be above 0"
			if d.least == 0 {
				must = "must not be below 0"
			}
			errs = append(errs, fmt.Errorf("controllers.%s: %s: %s", d.name, d.value.Duration, must))
		}
	}
	if t := c.AutoscalerTolerance; t < 0 || t >= 1 {
		errs = append(errs, fmt.Errorf("controllers.horizontalPodAutoscalerTolerance: %v: must be at least 0 and below 1", t))
	}
	return errs
}

func switchableNames() string {
	var list []string
	for _, s := range switchables() {
		list = append(list, s.names[0])
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
