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

func validateOS(s *corev1.PodSpec, at *field.Path) field.ErrorList {
	if s.OS == nil {
		return nil
	}
	switch s.OS.Name {
	case corev1.Linux:
		return linuxOnly(s, at)
	case corev1.Windows:
		return windowsOnly(s, at)
	case "":
		return field.ErrorList{field.Required(at.Child("os", "name"), "")}
	}
	return field.ErrorList{field.NotSupported(at.Child("os"), s.OS.Name, []corev1.OSName{corev1.Linux, corev1.Windows})}
}

// linuxOnly refuses what Windows alone knows.
func linuxOnly(s *corev1.PodSpec, at *field.Path) (errs field.ErrorList) {
	const detail = "windows options cannot be set for a linux pod"
	if c := s.SecurityContext; c != nil && c.WindowsOptions != nil {
		errs = append(errs, field.Forbidden(at.Child("securityContext", "windowsOptions"), detail))
	}
	Containers(s, at, func(c *corev1.Container, at *field.Path) {
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil {
			errs = append(errs, field.Forbidden(at.Child("securityContext", "windowsOptions"), detail))
		}
	})
	return errs
}

// part is something that may be set, where it stands.
type part struct {
	at  *field.Path
	set bool
}

// none refuses every part that is set.
func none(parts []part, detail string) (errs field.ErrorList) {
	for _, p := range parts {
		if p.set {
			errs = append(errs, field.Forbidden(p.at, detail))
		}
	}
	return errs
}

// windowsOnly refuses what Windows does not know.
func windowsOnly(s *corev1.PodSpec, at *field.Path) (errs field.ErrorList) {
	const detail = "cannot be set for a windows pod"
	c := s.SecurityContext
	if c == nil {
		c = &corev1.PodSecurityContext{}
	}
	security := at.Child("securityContext")
	errs = none([]part{
		{security.Child("appArmorProfile"), c.AppArmorProfile != nil}, {security.Child("seLinuxOptions"), c.SELinuxOptions != nil},
		{at.Child("hostUsers"), s.HostUsers != nil}, {at.Child("hostPID"), s.HostPID}, {at.Child("hostIPC"), s.HostIPC},
		{security.Child("seccompProfile"), c.SeccompProfile != nil}, {security.Child("fsGroup"), c.FSGroup != nil},
		{security.Child("fsGroupChangePolicy"), c.FSGroupChangePolicy != nil}, {security.Child("sysctls"), len(c.Sysctls) > 0},
		{at.Child("shareProcessNamespace"), s.ShareProcessNamespace != nil}, {security.Child("runAsUser"), c.RunAsUser != nil},
		{security.Child("runAsGroup"), c.RunAsGroup != nil}, {security.Child("supplementalGroups"), c.SupplementalGroups != nil},
		{security.Child("supplementalGroupsPolicy"), c.SupplementalGroupsPolicy != nil}, {security.Child("seLinuxChangePolicy"), c.SELinuxChangePolicy != nil},
	}, detail)
	Containers(s, at, func(c *corev1.Container, at *field.Path) {
		x := c.SecurityContext
		if x == nil {
			return
		}
		at = at.Child("securityContext")
		errs = append(errs, none([]part{
			{at.Child("appArmorProfile"), x.AppArmorProfile != nil}, {at.Child("seLinuxOptions"), x.SELinuxOptions != nil},
			{at.Child("seccompProfile"), x.SeccompProfile != nil}, {at.Child("capabilities"), x.Capabilities != nil},
			{at.Child("readOnlyRootFilesystem"), x.ReadOnlyRootFilesystem != nil}, {at.Child("privileged"), x.Privileged != nil},
			{at.Child("allowPrivilegeEscalation"), x.AllowPrivilegeEscalation != nil}, {at.Child("procMount"), x.ProcMount != nil},
			{at.Child("runAsUser"), x.RunAsUser != nil}, {at.Child("runAsGroup"), x.RunAsGroup != nil},
		}, detail)...)
	})
	return errs
}

// validateHostProcess: on Windows a pod's containers are processes of the node all together or not at all.
func validateHostProcess(s *corev1.PodSpec, at *field.Path) (errs field.ErrorList) {
	var whole *bool
	if c := s.SecurityContext; c != nil && c.WindowsOptions != nil {
		whole = c.WindowsOptions.HostProcess
	}
	all, host := 0, 0
	Containers(s, at, func(c *corev1.Container, at *field.Path) {
		all++
		var own *bool
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil {
			own = c.SecurityContext.WindowsOptions.HostProcess
		}
		if whole != nil && own != nil && *whole != *own {
			errs = append(errs, field.Invalid(at.Child("securityContext", "windowsOptions", "hostProcess"), *own,
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
		errs = append(errs, field.Invalid(at, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers"))
	}
	if !s.HostNetwork {
		errs = append(errs, field.Invalid(at.Child("hostNetwork"), false, "hostNetwork must be true if pod contains any hostProcess containers"))
	}
	return errs
}

func validateWindowsOptions(o *corev1.WindowsSecurityContextOptions, at *field.Path) (errs field.ErrorList) {
	if o == nil {
		return nil
	}
	if name := o.GMSACredentialSpecName; name != nil {
		for _, msg := range utilvalidation.IsDNS1123Subdomain(*name) {
			errs = append(errs, field.Invalid(at.Child("gmsaCredentialSpecName"), *name, msg))
		}
	}
	if text := o.GMSACredentialSpec; text != nil {
		at := at.Child("gmsaCredentialSpec")
		if *text == "" {
			errs = append(errs, field.Invalid(at, *text, "gmsaCredentialSpec cannot be an empty string"))
		} else if len(*text) > maxCredential*1024 {
			errs = append(errs, field.Invalid(at, *text, fmt.Sprintf("gmsaCredentialSpec size must be under %d KiB", maxCredential)))
		}
	}
	if o.RunAsUserName != nil {
		for _, msg := range windowsUser(*o.RunAsUserName) {
			errs = append(errs, field.Invalid(at.Child("runAsUserName"), *o.RunAsUserName, msg))
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
