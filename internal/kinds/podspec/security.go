package podspec

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// This file is as whom a pod and its containers run, and what they may do.

const (
	maxSysctl  = 253
	maxProfile = 4095 // of a path
	// sysctlName takes names with dots or slashes between their parts. Refusals show it.
	sysctlName = `^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`
)

var isSysctl = regexp.MustCompile(sysctlName)

func userID(id *int64, at place) (errs field.ErrorList) {
	if id == nil {
		return nil
	}
	for _, msg := range utilvalidation.IsValidUserID(*id) {
		errs = append(errs, field.Invalid(at.path(), *id, msg))
	}
	return errs
}

func groupID(id *int64, at place) (errs field.ErrorList) {
	if id == nil {
		return nil
	}
	for _, msg := range utilvalidation.IsValidGroupID(*id) {
		errs = append(errs, field.Invalid(at.path(), *id, msg))
	}
	return errs
}

func validatePodSecurity(s *subject, at place) (errs field.ErrorList) {
	c := s.SecurityContext
	if c == nil {
		return nil
	}
	errs = append(errs, groupID(c.FSGroup, at.in("fsGroup"))...)
	errs = append(errs, userID(c.RunAsUser, at.in("runAsUser"))...)
	errs = append(errs, groupID(c.RunAsGroup, at.in("runAsGroup"))...)
	for i := range c.SupplementalGroups {
		errs = append(errs, groupID(&c.SupplementalGroups[i], at.in("supplementalGroups").nth(i))...)
	}
	if s.ShareProcessNamespace != nil && *s.ShareProcessNamespace && s.HostPID {
		errs = append(errs, field.Invalid(at.in("shareProcessNamespace").path(), true, "ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	errs = append(errs, validateSysctls(s, at.in("sysctls"))...)
	errs = append(errs, optional(c.FSGroupChangePolicy, at.in("fsGroupChangePolicy"), corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	errs = append(errs, validateSeccomp(c.SeccompProfile, at.in("seccompProfile"))...)
	errs = append(errs, validateWindowsOptions(c.WindowsOptions, at.in("windowsOptions"))...)
	errs = append(errs, validateAppArmor(c.AppArmorProfile, at.in("appArmorProfile"))...)
	errs = append(errs, optional(c.SupplementalGroupsPolicy, at.in("supplementalGroupsPolicy"), corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
	label := at.in("seLinuxChangePolicy")
	if !s.leave.anySELinux { // mounting with a label waits behind a gate
		return append(errs, optional(c.SELinuxChangePolicy, label, corev1.SELinuxChangePolicyRecursive)...)
	}
	return append(errs, optional(c.SELinuxChangePolicy, label, corev1.SELinuxChangePolicyMountOption, corev1.SELinuxChangePolicyRecursive)...)
}

// optional is oneOf for what may be left out; what is there must be allowed, "" as well.
func optional[T ~string](value *T, at place, allowed ...T) field.ErrorList {
	if value == nil {
		return nil
	}
	for _, a := range allowed {
		if a == *value {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(at.path(), *value, allowed)}
}

func validateSysctls(s *subject, at place) (errs field.ErrorList) {
	seen := sets.New[string]()
	for i, ctl := range s.SecurityContext.Sysctls {
		at := at.nth(i).in("name")
		switch {
		case ctl.Name == "":
			errs = append(errs, field.Required(at.path(), ""))
		case len(ctl.Name) > maxSysctl || !isSysctl.MatchString(ctl.Name):
			errs = append(errs, field.Invalid(at.path(), ctl.Name, fmt.Sprintf("must have at most %d characters and match regex %s", maxSysctl, sysctlName)))
		case seen.Has(ctl.Name):
			errs = append(errs, field.Duplicate(at.path(), ctl.Name))
		}
		if !s.leave.hostSysctls {
			errs = append(errs, hostSysctl(ctl.Name, s.PodSpec, at)...)
		}
		seen.Insert(ctl.Name)
	}
	return errs
}

// hostSysctl refuses to set for a pod what it shares with its node.
func hostSysctl(name string, s *corev1.PodSpec, at place) field.ErrorList {
	dotted := strings.ReplaceAll(name, "/", ".")
	switch {
	case s.HostNetwork && strings.HasPrefix(dotted, "net."):
		return field.ErrorList{field.Invalid(at.path(), name, "may not be specified when 'hostNetwork' is true")}
	case s.HostIPC && (strings.HasPrefix(dotted, "kernel.shm") || strings.HasPrefix(dotted, "kernel.msg") || strings.HasPrefix(dotted, "fs.mqueue.") || dotted == "kernel.sem"):
		return field.ErrorList{field.Invalid(at.path(), name, "may not be specified when 'hostIPC' is true")}
	}
	return nil
}

func validateSecurity(c *corev1.SecurityContext, hostUsers bool, at place) (errs field.ErrorList) {
	if c == nil {
		return nil
	}
	errs = append(errs, userID(c.RunAsUser, at.in("runAsUser"))...)
	errs = append(errs, groupID(c.RunAsGroup, at.in("runAsGroup"))...)
	errs = append(errs, optional(c.ProcMount, at.in("procMount"), corev1.DefaultProcMount, corev1.UnmaskedProcMount)...)
	if hostUsers && c.ProcMount != nil && *c.ProcMount == corev1.UnmaskedProcMount {
		errs = append(errs, field.Invalid(at.in("procMount").path(), *c.ProcMount, "`hostUsers` must be false to use `Unmasked`"))
	}
	errs = append(errs, validateSeccomp(c.SeccompProfile, at.in("seccompProfile"))...)
	if c.AllowPrivilegeEscalation != nil && !*c.AllowPrivilegeEscalation {
		if c.Privileged != nil && *c.Privileged {
			errs = append(errs, field.Invalid(at.path(), untagged.Value(c), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
		}
		if c.Capabilities != nil {
			for _, add := range c.Capabilities.Add {
				if add == "CAP_SYS_ADMIN" {
					errs = append(errs, field.Invalid(at.path(), untagged.Value(c), "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
				}
			}
		}
	}
	errs = append(errs, validateWindowsOptions(c.WindowsOptions, at.in("windowsOptions"))...)
	return append(errs, validateAppArmor(c.AppArmorProfile, at.in("appArmorProfile"))...)
}

func validateSeccomp(p *corev1.SeccompProfile, at place) (errs field.ErrorList) {
	if p == nil {
		return nil
	}
	if p.Type == "" {
		errs = append(errs, field.Required(at.in("type").path(), "type is required when seccompProfile is set"))
	} else {
		errs = append(errs, oneOf(at.in("type"), p.Type, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)...)
	}
	file := at.in("localhostProfile")
	switch local := p.Type == corev1.SeccompProfileTypeLocalhost; {
	case local && p.LocalhostProfile == nil:
		errs = append(errs, field.Required(file.path(), "must be set when seccomp type is Localhost"))
	case local:
		errs = append(errs, localPath(*p.LocalhostProfile, file)...)
	case p.LocalhostProfile != nil:
		errs = append(errs, field.Invalid(file.path(), untagged.Value(p), "can only be set when seccomp type is Localhost"))
	}
	return errs
}

func validateAppArmor(p *corev1.AppArmorProfile, at place) (errs field.ErrorList) {
	if p == nil {
		return nil
	}
	file := at.in("localhostProfile")
	switch p.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		return validateAppArmorFile(p.LocalhostProfile, file)
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		if p.LocalhostProfile != nil {
			errs = append(errs, field.Invalid(file.path(), *p.LocalhostProfile, "can only be set when AppArmor type is Localhost"))
		}
		return errs
	case "":
		return field.ErrorList{field.Required(at.in("type").path(), "type is required when appArmorProfile is set")}
	}
	return oneOf(at.in("type"), p.Type, corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
}

func validateAppArmorFile(name *string, at place) (errs field.ErrorList) {
	switch {
	case name == nil || *name == "":
		return field.ErrorList{field.Required(at.path(), "must be set when AppArmor type is Localhost")}
	case strings.TrimSpace(*name) != *name:
		errs = append(errs, field.Invalid(at.path(), *name, "must not be padded with whitespace"))
	}
	if len(*name) > maxProfile {
		errs = append(errs, field.TooLong(at.path(), "", maxProfile))
	}
	return errs
}

// ownUsers says that a pod has users of its own, apart from its node's.
func ownUsers(s *corev1.PodSpec) bool { return s.HostUsers != nil && !*s.HostUsers }

// validateHostUsers: a pod with users of its own shares nothing else with its node.
func validateHostUsers(s *subject, at place) (errs field.ErrorList) {
	if !ownUsers(s.PodSpec) {
		return nil
	}
	for _, part := range []struct {
		name string
		set  bool
	}{{"hostNetwork", s.HostNetwork}, {"HostPID", s.HostPID}, {"HostIPC", s.HostIPC}} {
		if part.set {
			errs = append(errs, field.Forbidden(at.in(part.name).path(), "when `hostUsers` is false"))
		}
	}
	if s.leave.devices {
		return errs
	}
	containers(s.PodSpec, at, func(c *corev1.Container, at place) {
		if len(c.VolumeDevices) > 0 {
			errs = append(errs, field.Forbidden(at.in("volumeDevices").path(), "when `hostUsers` is false"))
		}
	})
	return errs
}
