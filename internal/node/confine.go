package node

import (
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// reasonAppArmor is why a pod is refused that asks for a profile which cannot be applied.
const reasonAppArmor = "AppArmor"

// hostHasAppArmor says whether this machine's kernel enforces AppArmor.
func hostHasAppArmor() bool {
	enabled, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled") // absent: no AppArmor
	return strings.HasPrefix(string(enabled), "Y")
}

// appArmorRefusal says why a pod's profiles cannot be applied; "" when they can, or when a host without AppArmor has nothing that they could mean: a kubelet
// there refuses RuntimeDefault too, floe goes on without.
func appArmorRefusal(pod *corev1.Pod, enabled bool) string {
	for _, c := range containersOf(pod) {
		p := appArmorOf(pod, c)
		switch {
		case p == nil || p.Type != corev1.AppArmorProfileTypeLocalhost:
		case !enabled:
			return "Cannot enforce AppArmor: AppArmor is not enabled on the host"
		case p.LocalhostProfile == nil || strings.TrimSpace(*p.LocalhostProfile) == "":
			return fmt.Sprintf("Cannot enforce AppArmor: invalid empty AppArmor profile name: %q", p)
		}
	}
	return ""
}

// appArmorOf is the profile of a container; nil when nothing is said.
func appArmorOf(pod *corev1.Pod, c *corev1.Container) *corev1.AppArmorProfile {
	if c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
		return c.SecurityContext.AppArmorProfile
	}
	if pod.Spec.SecurityContext != nil {
		return pod.Spec.SecurityContext.AppArmorProfile
	}
	return nil
}

// criAppArmor is CRI's form of a profile.
func criAppArmor(p *corev1.AppArmorProfile) *runtimeapi.SecurityProfile {
	switch {
	case p == nil:
		return nil
	case p.Type == corev1.AppArmorProfileTypeUnconfined:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}
	case p.Type == corev1.AppArmorProfileTypeLocalhost && p.LocalhostProfile != nil:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: *p.LocalhostProfile}
	}
	return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
}

// criSELinux is CRI's form of labels.
func criSELinux(o *corev1.SELinuxOptions) *runtimeapi.SELinuxOption {
	if o == nil {
		return nil
	}
	return &runtimeapi.SELinuxOption{User: o.User, Role: o.Role, Type: o.Type, Level: o.Level}
}
