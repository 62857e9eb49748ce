package podspec

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// shownSpec is a pod's specification as refusals of its change show it: upstream compares a type of its own, with capitals, in another order than the
// published one, and with what a pod shares with its node below its security.
type shownSpec struct {
	Volumes, InitContainers, Containers, EphemeralContainers, RestartPolicy, TerminationGracePeriodSeconds, ActiveDeadlineSeconds, DNSPolicy, NodeSelector,
	ServiceAccountName, AutomountServiceAccountToken, NodeName json.Marshaler
	SecurityContext *shownSecurity
	ImagePullSecrets, Hostname, Subdomain, SetHostnameAsFQDN, Affinity, SchedulerName, Tolerations, HostAliases, PriorityClassName, Priority, PreemptionPolicy,
	DNSConfig, ReadinessGates, RuntimeClassName, Overhead, EnableServiceLinks, TopologySpreadConstraints, OS, SchedulingGates, ResourceClaims, Resources,
	HostnameOverride, SchedulingGroup json.Marshaler
}

type shownSecurity struct {
	HostNetwork, HostPID, HostIPC, ShareProcessNamespace, HostUsers, SELinuxOptions, WindowsOptions, RunAsUser, RunAsGroup, RunAsNonRoot, SupplementalGroups,
	SupplementalGroupsPolicy, FSGroup, FSGroupChangePolicy, Sysctls, SeccompProfile, AppArmorProfile, SELinuxChangePolicy json.Marshaler
}

// Shown is a pod's specification as errors are to show it, in their text or compared by package diff.
func Shown(s *corev1.PodSpec) any { return shown(s) }

// ShownTemplate is a pod's template as errors are to show it.
func ShownTemplate(t *corev1.PodTemplateSpec) any {
	return struct {
		metav1.ObjectMeta
		Spec shownSpec
	}{t.ObjectMeta, shown(&t.Spec)}
}

func shown(s *corev1.PodSpec) shownSpec {
	v := untagged.Value
	return shownSpec{
		Volumes: v(s.Volumes), InitContainers: v(s.InitContainers), Containers: v(s.Containers), EphemeralContainers: v(s.EphemeralContainers),
		RestartPolicy: v(s.RestartPolicy), TerminationGracePeriodSeconds: v(s.TerminationGracePeriodSeconds), ActiveDeadlineSeconds: v(s.ActiveDeadlineSeconds),
		DNSPolicy: v(s.DNSPolicy), NodeSelector: v(s.NodeSelector), ServiceAccountName: v(s.ServiceAccountName),
		AutomountServiceAccountToken: v(s.AutomountServiceAccountToken), NodeName: v(s.NodeName), SecurityContext: shownShared(s),
		ImagePullSecrets: v(s.ImagePullSecrets), Hostname: v(s.Hostname), Subdomain: v(s.Subdomain), SetHostnameAsFQDN: v(s.SetHostnameAsFQDN),
		Affinity: v(s.Affinity), SchedulerName: v(s.SchedulerName), Tolerations: v(s.Tolerations), HostAliases: v(s.HostAliases),
		PriorityClassName: v(s.PriorityClassName), Priority: v(s.Priority), PreemptionPolicy: v(s.PreemptionPolicy), DNSConfig: v(s.DNSConfig),
		ReadinessGates: v(s.ReadinessGates), RuntimeClassName: v(s.RuntimeClassName), Overhead: v(s.Overhead), EnableServiceLinks: v(s.EnableServiceLinks),
		TopologySpreadConstraints: v(s.TopologySpreadConstraints), OS: v(s.OS), SchedulingGates: v(s.SchedulingGates), ResourceClaims: v(s.ResourceClaims),
		Resources: v(s.Resources), HostnameOverride: v(s.HostnameOverride), SchedulingGroup: v(s.SchedulingGroup),
	}
}

// shownShared is nil where upstream has none: nothing is said, and nothing shared.
func shownShared(s *corev1.PodSpec) *shownSecurity {
	v, c := untagged.Value, s.SecurityContext
	if c == nil {
		if !s.HostNetwork && !s.HostPID && !s.HostIPC && s.ShareProcessNamespace == nil && s.HostUsers == nil {
			return nil
		}
		c = &corev1.PodSecurityContext{}
	}
	return &shownSecurity{
		HostNetwork: v(s.HostNetwork), HostPID: v(s.HostPID), HostIPC: v(s.HostIPC), ShareProcessNamespace: v(s.ShareProcessNamespace), HostUsers: v(s.HostUsers),
		SELinuxOptions: v(c.SELinuxOptions), WindowsOptions: v(c.WindowsOptions), RunAsUser: v(c.RunAsUser), RunAsGroup: v(c.RunAsGroup),
		RunAsNonRoot: v(c.RunAsNonRoot), SupplementalGroups: v(c.SupplementalGroups), SupplementalGroupsPolicy: v(c.SupplementalGroupsPolicy), FSGroup: v(c.FSGroup),
		FSGroupChangePolicy: v(c.FSGroupChangePolicy), Sysctls: v(c.Sysctls), SeccompProfile: v(c.SeccompProfile), AppArmorProfile: v(c.AppArmorProfile),
		SELinuxChangePolicy: v(c.SELinuxChangePolicy),
	}
}
