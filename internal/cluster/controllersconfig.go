package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	NodeControllers          `json:",inline"`
	AutoscalerController     `json:",inline"`
}

func defaultControllers() Controllers {
	year := metav1.Duration{Duration: 365 * 24 * time.Hour}
	return Controllers{
		Enabled: []string{"*"}, ClusterSigningDuration: year, LegacyTokenCleanUpPeriod: year,
		NodeControllers: defaultNodeControllers(), AutoscalerController: defaultAutoscalerController(),
	}
}

// nodeRanges is the controller that AllocateNodeCIDRs asks for.
const nodeRanges = "node-ipam"

// switchable is a controller that can be left out.
type switchable struct {
	own   string   // its name in `floe controllers`
	names []string // upstream's, the first of which is the newest
	off   bool     // by default
}

func switchables() []switchable {
	return []switchable{
		{own: "attachdetach", names: []string{"persistentvolume-attach-detach-controller", "attachdetach"}},
		{own: "bootstrap-signer", names: []string{"bootstrap-signer-controller", "bootstrapsigner"}, off: true},
		{own: "bootstrap-token-cleaner", names: []string{"token-cleaner-controller", "tokencleaner"}, off: true},
		{own: "certificate-approving", names: []string{"certificatesigningrequest-approving-controller", "csrapproving"}},
		{own: "certificate-cleaner", names: []string{"certificatesigningrequest-cleaner-controller", "csrcleaner"}},
		{own: "certificate-signing", names: []string{"certificatesigningrequest-signing-controller", "csrsigning"}},
		{own: "clusterrole-aggregation", names: []string{"clusterrole-aggregation-controller", "clusterrole-aggregation"}},
		{own: "cronjob", names: []string{"cronjob-controller", "cronjob"}},
		{own: "daemonset", names: []string{"daemonset-controller", "daemonset"}},
		{own: "deployment", names: []string{"deployment-controller", "deployment"}},
		{own: "device-taint-eviction", names: []string{"device-taint-eviction-controller"}},
		{own: "disruption", names: []string{"disruption-controller", "disruption"}},
		{own: "endpoints", names: []string{"endpoints-controller", "endpoint"}},
		{own: "endpointslicemirroring", names: []string{"endpointslice-mirroring-controller", "endpointslicemirroring"}},
		{own: "endpointslice", names: []string{"endpointslice-controller", "endpointslice"}},
		{own: "ephemeral-volume", names: []string{"ephemeral-volume-controller", "ephemeral-volume"}},
		{own: "garbage", names: []string{"garbage-collector-controller", "garbagecollector"}},
		{own: "horizontalpodautoscaler", names: []string{"horizontal-pod-autoscaler-controller", "horizontalpodautoscaling"}},
		{own: "job", names: []string{"job-controller", "job"}},
		{own: "legacy-token-cleaner", names: []string{"legacy-serviceaccount-token-cleaner-controller"}},
		{own: "namespace", names: []string{"namespace-controller", "namespace"}},
		{own: nodeRanges, names: []string{"node-ipam-controller", "nodeipam"}},
		{own: "node-lifecycle", names: []string{"node-lifecycle-controller", "nodelifecycle"}},
		{own: "persistentvolume-binder", names: []string{"persistentvolume-binder-controller", "persistentvolume-binder"}},
		{own: "persistentvolume-expander", names: []string{"persistentvolume-expander-controller", "persistentvolume-expander"}},
		{own: "podgc", names: []string{"pod-garbage-collector-controller", "podgc"}},
		{own: "pvcprotection", names: []string{"persistentvolumeclaim-protection-controller", "pvc-protection"}},
		{own: "pvprotection", names: []string{"persistentvolume-protection-controller", "pv-protection"}},
		{own: "replicaset", names: []string{"replicaset-controller", "replicaset"}},
		{own: "replicationcontroller", names: []string{"replicationcontroller-controller", "replicationcontroller"}},
		{own: "resource-claim", names: []string{"resourceclaim-controller", "resource-claim-controller"}},
		{own: "resourcequota", names: []string{"resourcequota-controller", "resourcequota"}},
		{own: "root-ca-certificate-publisher", names: []string{"root-ca-certificate-publisher-controller", "root-ca-cert-publisher"}},
		{own: "service-cidr", names: []string{"service-cidr-controller"}},
		{own: "serviceaccount", names: []string{"serviceaccount-controller", "serviceaccount"}},
		{own: "serviceaccount-token", names: []string{"serviceaccount-token-controller", "serviceaccount-token"}},
		{own: "statefulset", names: []string{"statefulset-controller", "statefulset"}},
		{own: "taint-eviction", names: []string{"taint-eviction-controller"}},
		{own: "ttl", names: []string{"ttl-controller", "ttl"}},
		{own: "ttl-after-finished", names: []string{"ttl-after-finished-controller", "ttl-after-finished"}},
		{own: "vacprotection", names: []string{"volumeattributesclass-protection-controller"}},
		{own: "validatingadmissionpolicy-status", names: []string{"validatingadmissionpolicy-status-controller"}},
	}
}

// runs says whether a controller, by its own name, is to run. One that cannot be left out always does.
func (c *Controllers) runs(own string) bool {
	all := switchables()
	i := slices.IndexFunc(all, func(s switchable) bool { return s.own == own })
	if own == nodeRanges && !c.AllocateNodeCIDRs {
		return false
	}
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
	if d := c.ClusterSigningDuration.Duration; d <= 0 {
		errs = append(errs, fmt.Errorf("controllers.clusterSigningDuration: %s: must be above 0", d))
	}
	if d := c.LegacyTokenCleanUpPeriod.Duration; d <= 0 {
		errs = append(errs, fmt.Errorf("controllers.legacyServiceAccountTokenCleanUpPeriod: %s: must be above 0", d))
	}
	errs = append(errs, c.AutoscalerController.validate()...)
	return append(errs, c.NodeControllers.validate()...)
}

func switchableNames() string {
	var list []string
	for _, s := range switchables() {
		list = append(list, s.names[0])
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
