package podspec

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// This file is the system that a pod is made for, and what only Windows knows.

// What Windows takes at most, in characters; a credential's in KiB.
const (
	maxCredential = 64
	maxDomain     = 256
	maxUser       = 104
)

// What names of domains and users look like. They are compiled when one is checked, which is seldom.
const (
	netBIOS      = `^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$`
	windowsHost  = `^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`
	controls     = `[[:cntrl:]]+`
	dotsOrSpaces = `^[. ]+$`
	badInUser    = `["/\\:;|=,+*?<>@\[\]]`
)

func looks(pattern, s string) bool { return regexp.MustCompile(pattern).MatchString(s) }

func validateOS(s *corev1.PodSpec, at place) field.ErrorList {
	if s.OS == nil {
		return nil
	}
	switch s.OS.Name {
	case corev1.Linux:
		return linuxOnly(s, at)
	case corev1.Windows:
		return windowsOnly(s, at)
	case "":
		return field.ErrorList{field.Required(at.in("os", "name").path(), "")}
	}
	return field.ErrorList{field.NotSupported(at.in("os").path(), s.OS.Name, []corev1.OSName{corev1.Linux, corev1.Windows})}
}

// linuxOnly refuses what Windows alone knows.
func linuxOnly(s *corev1.PodSpec, at place) (errs field.ErrorList) {
	const detail = "windows options cannot be set for a linux pod"
	if c := s.SecurityContext; c != nil && c.WindowsOptions != nil {
		errs = append(errs, field.Forbidden(at.in("securityContext", "windowsOptions").path(), detail))
	}
	containers(s, at, func(c *corev1.Container, at place) {
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil {
			errs = append(errs, field.Forbidden(at.in("securityContext", "windowsOptions").path(), detail))
		}
	})
	return errs
}

// part is something that may be set, where it stands.
type part struct {
	at  place
	set bool
}

// none refuses every part that is set.
func none(parts []part, detail string) (errs field.ErrorList) {
	for _, p := range parts {
		if p.set {
			errs = append(errs, field.Forbidden(p.at.path(), detail))
		}
	}
	return errs
}

// windowsOnly refuses what Windows does not know.
func windowsOnly(s *corev1.PodSpec, at place) (errs field.ErrorList) {
	const detail = "cannot be set for a windows pod"
	c := s.SecurityContext
	if c == nil {
		c = &corev1.PodSecurityContext{}
	}
	security := at.in("securityContext")
	errs = none([]part{
		{security.in("appArmorProfile"), c.AppArmorProfile != nil}, {security.in("seLinuxOptions"), c.SELinuxOptions != nil},
		{at.in("hostUsers"), s.HostUsers != nil}, {at.in("hostPID"), s.HostPID}, {at.in("hostIPC"), s.HostIPC},
		{security.in("seccompProfile"), c.SeccompProfile != nil}, {security.in("fsGroup"), c.FSGroup != nil},
		{security.in("fsGroupChangePolicy"), c.FSGroupChangePolicy != nil}, {security.in("sysctls"), len(c.Sysctls) > 0},
		{at.in("shareProcessNamespace"), s.ShareProcessNamespace != nil}, {security.in("runAsUser"), c.RunAsUser != nil},
		{security.in("runAsGroup"), c.RunAsGroup != nil}, {security.in("supplementalGroups"), c.SupplementalGroups != nil},
		{security.in("supplementalGroupsPolicy"), c.SupplementalGroupsPolicy != nil}, {security.in("seLinuxChangePolicy"), c.SELinuxChangePolicy != nil},
	}, detail)
	containers(s, at, func(c *corev1.Container, at place) {
		x := c.SecurityContext
		if x == nil {
			return
		}
		at = at.in("securityContext")
		errs = append(errs, none([]part{
			{at.in("appArmorProfile"), x.AppArmorProfile != nil}, {at.in("seLinuxOptions"), x.SELinuxOptions != nil},
			{at.in("seccompProfile"), x.SeccompProfile != nil}, {at.in("capabilities"), x.Capabilities != nil},
			{at.in("readOnlyRootFilesystem"), x.ReadOnlyRootFilesystem != nil}, {at.in("privileged"), x.Privileged != nil},
			{at.in("allowPrivilegeEscalation"), x.AllowPrivilegeEscalation != nil}, {at.in("procMount"), x.ProcMount != nil},
			{at.in("runAsUser"), x.RunAsUser != nil}, {at.in("runAsGroup"), x.RunAsGroup != nil},
		}, detail)...)
	})
	return errs
}

// validateHostProcess: on Windows a pod's containers are processes of the node all together or not at all.
func validateHostProcess(s *corev1.PodSpec, at place) (errs field.ErrorList) {
	var whole *bool
	if c := s.SecurityContext; c != nil && c.WindowsOptions != nil {
		whole = c.WindowsOptions.HostProcess
	}
	all, host := 0, 0
	containers(s, at, func(c *corev1.Container, at place) {
		all++
		var own *bool
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil {
			own = c.SecurityContext.WindowsOptions.HostProcess
		}
		if whole != nil && own != nil && *whole != *own {
			errs = append(errs, field.Invalid(at.in("securityContext", "windowsOptions", "hostProcess").path(), *own,
				fmt.Sprintf("pod hostProcess value must be identical if both are specified, was %v", *whole)))
		}
		if own == nil {
			own = whole
		}
		if own != nil && *own {
			host++
		}
	})
	if host == 0 {
		return errs
	}
	if host != all {
		errs = append(errs, field.Invalid(at.path(), "", "If pod contains any hostProcess containers then all containers must be HostProcess containers"))
	}
	if !s.HostNetwork {
		errs = append(errs, field.Invalid(at.in("hostNetwork").path(), false, "hostNetwork must be true if pod contains any hostProcess containers"))
	}
	return errs
}

func validateWindowsOptions(o *corev1.WindowsSecurityContextOptions, at place) (errs field.ErrorList) {
	if o == nil {
		return nil
	}
	if name := o.GMSACredentialSpecName; name != nil {
		for _, msg := range utilvalidation.IsDNS1123Subdomain(*name) {
			errs = append(errs, field.Invalid(at.in("gmsaCredentialSpecName").path(), *name, msg))
		}
	}
	if text := o.GMSACredentialSpec; text != nil {
		at := at.in("gmsaCredentialSpec")
		if *text == "" {
			errs = append(errs, field.Invalid(at.path(), *text, "gmsaCredentialSpec cannot be an empty string"))
		} else if len(*text) > maxCredential*1024 {
			errs = append(errs, field.Invalid(at.path(), *text, fmt.Sprintf("gmsaCredentialSpec size must be under %d KiB", maxCredential)))
		}
	}
	if o.RunAsUserName != nil {
		for _, msg := range windowsUser(*o.RunAsUserName) {
			errs = append(errs, field.Invalid(at.in("runAsUserName").path(), *o.RunAsUserName, msg))
		}
	}
	return errs
}

// windowsUser says what is wrong with the name of a user, who may have a domain before a backslash.
func windowsUser(name string) (msgs []string) {
	switch {
	case name == "":
		return []string{"runAsUserName cannot be an empty string"}
	case looks(controls, name):
		return []string{"runAsUserName cannot contain control characters"}
	case strings.Count(name, `\`) > 1:
		return []string{"runAsUserName cannot contain more than one backslash"}
	}
	domain, user, hasDomain := strings.Cut(name, `\`)
	if !hasDomain {
		domain, user = "", name
	}
	add := func(bad bool, msg string) {
		if bad {
			msgs = append(msgs, msg)
		}
	}
	add(len(domain) >= maxDomain, fmt.Sprintf("runAsUserName's Domain length must be under %d characters", maxDomain))
	add(hasDomain && !looks(netBIOS, domain) && !looks(windowsHost, domain), "runAsUserName's Domain doesn't match the NetBios nor the DNS format")
	add(user == "", "runAsUserName's User cannot be empty")
	add(len(user) > maxUser, fmt.Sprintf("runAsUserName's User length must not be longer than %d characters", maxUser))
	add(looks(dotsOrSpaces, user), "runAsUserName's User cannot contain only periods or spaces")
	add(looks(badInUser, user), "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]")
	return msgs
}
