package podspec

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// This file is what annotations say of a pod: some came before there were fields for it, and stay understood.

// Mirror marks a pod that a node runs by itself, from a file; what the API shows is an image of it.
const Mirror = corev1.MirrorPodAnnotationKey

// validateAnnotations checks the annotations that mean something to the cluster. They are looked at in alphabetical order: upstream's is a map's.
func validateAnnotations(all map[string]string, s *corev1.PodSpec, at *field.Path) (errs field.ErrorList) {
	if value, ok := all[Mirror]; ok && s.NodeName == "" {
		errs = append(errs, field.Invalid(at.Key(Mirror), value, "must set spec.nodeName if mirror pod annotation is set"))
	}
	errs = append(errs, annotatedTolerations(all[corev1.TolerationsAnnotationKey], at)...)
	if cost, ok := all[corev1.PodDeletionCost]; ok && !isCost(cost) {
		errs = append(errs, field.Invalid(at.Key(corev1.PodDeletionCost), cost, "must be a 32bit integer"))
	}
	keys := slices.Sorted(maps.Keys(all))
	if p, ok := all[corev1.SeccompPodAnnotationKey]; ok {
		errs = append(errs, seccompName(p, at.Child(corev1.SeccompPodAnnotationKey))...)
	}
	for _, k := range keys {
		if strings.HasPrefix(k, corev1.SeccompContainerAnnotationKeyPrefix) {
			errs = append(errs, seccompName(all[k], at.Child(k))...)
		}
	}
	for _, k := range keys {
		name, ok := strings.CutPrefix(k, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
		if !ok {
			continue
		}
		if !hasContainer(s, name) {
			errs = append(errs, field.Invalid(at.Key(k), name, "container not found"))
		}
		if p := all[k]; p != "" && p != corev1.DeprecatedAppArmorBetaProfileRuntimeDefault && p != corev1.DeprecatedAppArmorBetaProfileNameUnconfined &&
			!strings.HasPrefix(p, corev1.DeprecatedAppArmorBetaProfileNamePrefix) {
			errs = append(errs, field.Invalid(at.Key(k), p, fmt.Sprintf("invalid AppArmor profile name: %q", p)))
		}
	}
	return errs
}

func annotatedTolerations(text string, at *field.Path) field.ErrorList {
	if text == "" {
		return nil
	}
	var list []corev1.Toleration
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return field.ErrorList{field.Invalid(at, corev1.TolerationsAnnotationKey, err.Error())}
	}
	return validateTolerations(list, false, at.Child(corev1.TolerationsAnnotationKey))
}

// isCost says that a text is a number of 32 bits, without a plus sign or zeros before it.
func isCost(text string) bool {
	_, err := strconv.ParseInt(text, 10, 32)
	return err == nil && (text == "0" || text[0] != '+' && text[0] != '0')
}

func seccompName(p string, at *field.Path) field.ErrorList {
	if slices.Contains([]string{corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault, corev1.SeccompProfileNameUnconfined}, p) {
		return nil
	}
	if file, ok := strings.CutPrefix(p, corev1.SeccompLocalhostProfileNamePrefix); ok {
		return localPath(file, at)
	}
	return field.ErrorList{field.Invalid(at, p, "must be a valid seccomp profile")}
}

func hasContainer(s *corev1.PodSpec, name string) (found bool) {
	Containers(s, nil, func(c *corev1.Container, _ *field.Path) { found = found || c.Name == name })
	return found
}

// ValidateAnnotationsUpdate refuses that annotations come, change or go that only a new pod may have, and checks the others.
func ValidateAnnotationsUpdate(pod, was *corev1.Pod, at *field.Path) (errs field.ErrorList) {
	armor := func(k string) bool {
		return strings.HasPrefix(k, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
	}
	refuse := func(k, verb string) {
		if armor(k) {
			errs = append(errs, field.Forbidden(at.Key(k), "may not "+verb+" AppArmor annotations"))
		}
		if k == Mirror {
			errs = append(errs, field.Forbidden(at.Key(k), "may not "+verb+" mirror pod annotation"))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(was.Annotations)) {
		if now, ok := pod.Annotations[k]; !ok || now != was.Annotations[k] {
			refuse(k, "remove or update")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(pod.Annotations)) {
		if _, ok := was.Annotations[k]; !ok {
			refuse(k, "add")
		}
	}
	return append(errs, validateAnnotations(pod.Annotations, &pod.Spec, at)...)
}

// validateAgreement: where an annotation and a field say the same thing of a new pod, they agree.
func validateAgreement(all map[string]string, s *corev1.PodSpec, at *field.Path) (errs field.ErrorList) {
	if c := s.SecurityContext; c != nil {
		errs = append(errs, sameSeccomp(all, corev1.SeccompPodAnnotationKey, c.SeccompProfile, at.Child("securityContext", "seccompProfile"))...)
	}
	Containers(s, at, func(c *corev1.Container, at *field.Path) {
		if c.SecurityContext != nil {
			errs = append(errs, sameSeccomp(all, corev1.SeccompContainerAnnotationKeyPrefix+c.Name, c.SecurityContext.SeccompProfile, at.Child("securityContext", "seccompProfile"))...)
		}
	})
	if s.OS != nil && s.OS.Name == corev1.Windows {
		return errs
	}
	Containers(s, at, func(c *corev1.Container, at *field.Path) {
		profile := podArmor(s)
		if c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
			profile = c.SecurityContext.AppArmorProfile
		}
		if text, ok := all[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]; ok && profile != nil {
			errs = append(errs, sameArmor(text, profile, at.Child("securityContext", "appArmorProfile"))...)
		}
	})
	return errs
}

func podArmor(s *corev1.PodSpec) *corev1.AppArmorProfile {
	if s.SecurityContext == nil {
		return nil
	}
	return s.SecurityContext.AppArmorProfile
}

func sameSeccomp(all map[string]string, key string, p *corev1.SeccompProfile, at *field.Path) field.ErrorList {
	text, ok := all[key]
	if p == nil || !ok {
		return nil
	}
	same := true
	switch p.Type {
	case corev1.SeccompProfileTypeUnconfined:
		same = text == corev1.SeccompProfileNameUnconfined
	case corev1.SeccompProfileTypeRuntimeDefault:
		same = text == corev1.SeccompProfileRuntimeDefault || text == corev1.DeprecatedSeccompProfileDockerDefault
	case corev1.SeccompProfileTypeLocalhost:
		return sameFile("seccomp", text, corev1.SeccompLocalhostProfileNamePrefix, p.LocalhostProfile, at)
	}
	if same {
		return nil
	}
	return field.ErrorList{field.Forbidden(at.Child("type"), "seccomp type in annotation and field must match")}
}

func sameArmor(text string, p *corev1.AppArmorProfile, at *field.Path) field.ErrorList {
	same := true
	switch p.Type {
	case corev1.AppArmorProfileTypeUnconfined:
		same = text == corev1.DeprecatedAppArmorBetaProfileNameUnconfined
	case corev1.AppArmorProfileTypeRuntimeDefault:
		same = text == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault
	case corev1.AppArmorProfileTypeLocalhost:
		return sameFile("apparmor", text, corev1.DeprecatedAppArmorBetaProfileNamePrefix, p.LocalhostProfile, at)
	}
	if same {
		return nil
	}
	return field.ErrorList{field.Forbidden(at.Child("type"), "apparmor type in annotation and field must match")}
}

func sameFile(what, text, prefix string, file *string, at *field.Path) field.ErrorList {
	name, ok := strings.CutPrefix(text, prefix)
	switch {
	case !ok:
		return field.ErrorList{field.Forbidden(at.Child("type"), what+" type in annotation and field must match")}
	case file == nil || *file != name:
		return field.ErrorList{field.Forbidden(at.Child("localhostProfile"), what+" profile in annotation and field must match")}
	}
	return nil
}

// ApplyArmor gives containers of a new pod the AppArmor profile that an annotation of old asks for, where no field of theirs says another (KEP-24).
func ApplyArmor(pod *corev1.Pod) {
	armors(pod, func(c *corev1.Container, p *corev1.AppArmorProfile) {
		if c.SecurityContext == nil {
			c.SecurityContext = &corev1.SecurityContext{}
		}
		c.SecurityContext.AppArmorProfile = p
	})
}

// armors calls f with the containers whose profile stands in an annotation alone, and that profile.
func armors(pod *corev1.Pod, f func(*corev1.Container, *corev1.AppArmorProfile)) {
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return
	}
	whole := podArmor(&pod.Spec)
	Containers(&pod.Spec, nil, func(c *corev1.Container, _ *field.Path) {
		text, ok := pod.Annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]
		if !ok || c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
			return
		}
		p := armorOf(text)
		if p != nil && len(validateAppArmor(p, nil)) == 0 && (whole == nil || !sameProfile(p, whole)) {
			f(c, p)
		}
	})
}

func sameProfile(a, b *corev1.AppArmorProfile) bool {
	return a.Type == b.Type && (a.LocalhostProfile == nil) == (b.LocalhostProfile == nil) && (a.LocalhostProfile == nil || *a.LocalhostProfile == *b.LocalhostProfile)
}

// armorOf is the profile that an annotation means; nil when it means none.
func armorOf(text string) *corev1.AppArmorProfile {
	switch text {
	case corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	case corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	}
	if name, ok := strings.CutPrefix(text, corev1.DeprecatedAppArmorBetaProfileNamePrefix); ok && name != "" {
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &name}
	}
	return nil
}
