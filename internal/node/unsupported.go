package node

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// unsupported lists the fields by which a pod asks for what this agent does not do yet, each by its path.
func unsupported(s *corev1.PodSpec) (asked []string) {
	no := func(set bool, path string) {
		if set {
			asked = append(asked, "spec."+path)
		}
	}
	no(len(s.EphemeralContainers) > 0, "ephemeralContainers")
	no(s.ActiveDeadlineSeconds != nil, "activeDeadlineSeconds")
	no(s.HostPID, "hostPID")
	no(s.HostIPC, "hostIPC")
	no(s.ShareProcessNamespace != nil && *s.ShareProcessNamespace, "shareProcessNamespace")
	no(len(s.ReadinessGates) > 0, "readinessGates")
	no(s.DNSConfig != nil, "dnsConfig")
	no(s.DNSPolicy == corev1.DNSNone, "dnsPolicy")
	no(len(s.HostAliases) > 0, "hostAliases")
	no(s.Subdomain != "", "subdomain")
	no(s.SetHostnameAsFQDN != nil && *s.SetHostnameAsFQDN, "setHostnameAsFQDN")
	no(s.HostnameOverride != nil, "hostnameOverride")
	no(s.ServiceAccountName != "" && s.ServiceAccountName != "default", "serviceAccountName")
	no(s.OS != nil && s.OS.Name != corev1.Linux, "os")
	no(len(s.ResourceClaims) > 0, "resourceClaims")
	no(s.Resources != nil, "resources")
	no(len(s.Overhead) > 0, "overhead")
	for i := range s.Volumes {
		if !volumeSupported(&s.Volumes[i].VolumeSource) {
			no(true, fmt.Sprintf("volumes[%d]", i))
		}
	}
	if sc := s.SecurityContext; sc != nil {
		no(sc.FSGroup != nil, "securityContext.fsGroup")
		no(len(sc.Sysctls) > 0, "securityContext.sysctls")
		no(sc.WindowsOptions != nil, "securityContext.windowsOptions")
	}
	for i := range s.InitContainers {
		asked = append(asked, unsupportedContainer(&s.InitContainers[i], s, fmt.Sprintf("spec.initContainers[%d]", i))...)
	}
	for i := range s.Containers {
		asked = append(asked, unsupportedContainer(&s.Containers[i], s, fmt.Sprintf("spec.containers[%d]", i))...)
	}
	return asked
}

// volumeSupported: a directory of the pod's own on disk, and directories of the host.
func volumeSupported(v *corev1.VolumeSource) bool {
	switch {
	case v.EmptyDir != nil:
		return v.EmptyDir.Medium == corev1.StorageMediumDefault && v.EmptyDir.SizeLimit == nil
	case v.HostPath != nil:
		return v.HostPath.Type == nil || *v.HostPath.Type == corev1.HostPathUnset || *v.HostPath.Type == corev1.HostPathDirectory || *v.HostPath.Type == corev1.HostPathDirectoryOrCreate
	}
	return false
}

func unsupportedContainer(c *corev1.Container, s *corev1.PodSpec, path string) (asked []string) {
	no := func(set bool, field string) {
		if set {
			asked = append(asked, path+"."+field)
		}
	}
	no(c.LivenessProbe != nil, "livenessProbe")
	no(c.ReadinessProbe != nil, "readinessProbe")
	no(c.StartupProbe != nil, "startupProbe")
	no(c.Lifecycle != nil, "lifecycle")
	no(c.RestartPolicy != nil, "restartPolicy")
	no(len(c.RestartPolicyRules) > 0, "restartPolicyRules")
	no(len(c.VolumeDevices) > 0, "volumeDevices")
	no(len(c.Resources.Claims) > 0, "resources.claims")
	for i, m := range c.VolumeMounts {
		no(m.SubPath != "", fmt.Sprintf("volumeMounts[%d].subPath", i))
		no(m.SubPathExpr != "", fmt.Sprintf("volumeMounts[%d].subPathExpr", i))
		no(m.RecursiveReadOnly != nil && *m.RecursiveReadOnly != corev1.RecursiveReadOnlyDisabled, fmt.Sprintf("volumeMounts[%d].recursiveReadOnly", i))
	}
	for i, p := range c.Ports {
		no(p.HostPort != 0 && !s.HostNetwork, fmt.Sprintf("ports[%d].hostPort", i))
	}
	for i, e := range c.Env {
		no(e.ValueFrom != nil && (e.ValueFrom.SecretKeyRef != nil || e.ValueFrom.FileKeyRef != nil), fmt.Sprintf("env[%d].valueFrom", i))
	}
	for i, e := range c.EnvFrom {
		no(e.SecretRef != nil, fmt.Sprintf("envFrom[%d].secretRef", i))
	}
	for name := range c.Resources.Limits {
		no(name != corev1.ResourceCPU && name != corev1.ResourceMemory, fmt.Sprintf("resources.limits[%s]", name))
	}
	if sc := c.SecurityContext; sc != nil {
		no(sc.WindowsOptions != nil, "securityContext.windowsOptions")
		no(sc.ProcMount != nil && *sc.ProcMount != corev1.DefaultProcMount, "securityContext.procMount")
	}
	return asked
}
