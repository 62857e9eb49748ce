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
func validateAnnotations(all map[string]string, s *corev1.PodSpec, at place) (errs field.ErrorList) {
	if value, ok := all[Mirror]; ok && s.NodeName == "" {
		errs = append(errs, field.Invalid(at.key(Mirror).path(), value, "must set spec.nodeName if mirror pod annotation is set"))
	}
	errs = append(errs, annotatedTolerations(all[corev1.TolerationsAnnotationKey], at)...)
	if cost, ok := all[corev1.PodDeletionCost]; ok && !isCost(cost) {
		errs = append(errs, field.Invalid(at.key(corev1.PodDeletionCost).path(), cost, "must be a 32bit integer"))
	}
	if len(all) == 0 {
		return errs
	}
	keys := slices.Sorted(maps.Keys(all))
	if p, ok := all[corev1.SeccompPodAnnotationKey]; ok {
		errs = append(errs, seccompName(p, at.in(corev1.SeccompPodAnnotationKey))...)
	}
	for _, k := range keys {
		if strings.HasPrefix(k, corev1.SeccompContainerAnnotationKeyPrefix) {
			errs = append(errs, seccompName(all[k], at.in(k))...)
		}
	}
	for _, k := range keys {
		name, ok := strings.CutPrefix(k, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
		if !ok {
			continue
		}
		if !hasContainer(s, name) {
			errs = append(errs, field.Invalid(at.key(k).path(), name, "container not found"))
		}
		if p := all[k]; p != "" && p != corev1.DeprecatedAppArmorBetaProfileRuntimeDefault && p != corev1.DeprecatedAppArmorBetaProfileNameUnconfined &&
			!strings.HasPrefix(p, corev1.DeprecatedAppArmorBetaProfileNamePrefix) {
			errs = append(errs, field.Invalid(at.key(k).path(), p, fmt.Sprintf("invalid AppArmor profile name: %q", p)))
		}
	}
	return errs
}

func annotatedTolerations(text string, at place) field.ErrorList {
	if text == "" {
		return nil
	}
	var list []corev1.Toleration
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return field.ErrorList{field.Invalid(at.path(), corev1.TolerationsAnnotationKey, err.Error())}
	}
	return validateTolerations(list, false, at.in(corev1.TolerationsAnnotationKey))
}

// isCost says that a text is a number of 32 bits, without a plus sign or zeros before it.
func isCost(text string) bool {
	_, err := strconv.ParseInt(text, 10, 32)
	return err == nil && (text == "0" || text[0] != '+' && text[0] != '0')
}

func seccompName(p string, at place) field.ErrorList {
	if slices.Contains([]string{corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault, corev1.SeccompProfileNameUnconfined}, p) {
		return nil
	}
	if file, ok := strings.CutPrefix(p, corev1.SeccompLocalhostProfileNamePrefix); ok {
		return localPath(file, at)
	}
	return field.ErrorList{field.Invalid(at.path(), p, "must be a valid seccomp profile")}
}

func hasContainer(s *corev1.PodSpec, name string) (found bool) {
	containers(s, place{}, func(c *corev1.Container, _ place) { found = found || c.Name == name })
	return found
}

// ValidateAnnotationsUpdate refuses that annotations come, change or go that only a new pod may have, and checks the others.
func ValidateAnnotationsUpdate(pod, was *corev1.Pod, path *field.Path) (errs field.ErrorList) {
	at := place{up: path}
	armor := func(k string) bool {
		return strings.HasPrefix(k, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
	}
	refuse := func(k, verb string) {
		if armor(k) {
			errs = append(errs, field.Forbidden(at.key(k).path(), "may not "+verb+" AppArmor annotations"))
		}
		if k == Mirror {
			errs = append(errs, field.Forbidden(at.key(k).path(), "may not "+verb+" mirror pod annotation"))
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
func validateAgreement(all map[string]string, s *corev1.PodSpec, at place) (errs field.ErrorList) {
	if c := s.SecurityContext; c != nil {
		errs = append(errs, sameSeccomp(all, corev1.SeccompPodAnnotationKey, c.SeccompProfile, at.in("securityContext", "seccompProfile"))...)
	}
	containers(s, at, func(c *corev1.Container, at place) {
		if c.SecurityContext != nil {
			errs = append(errs, sameSeccomp(all, corev1.SeccompContainerAnnotationKeyPrefix+c.Name, c.SecurityContext.SeccompProfile, at.in("securityContext", "seccompProfile"))...)
		}
	})
	if s.OS != nil && s.OS.Name == corev1.Windows {
		return errs
	}
	containers(s, at, func(c *corev1.Container, at place) {
		profile := podArmor(s)
		if c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
			profile = c.SecurityContext.AppArmorProfile
		}
		if text, ok := all[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]; ok && profile != nil {
			errs = append(errs, sameArmor(text, profile, at.in("securityContext", "appArmorProfile"))...)
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

func sameSeccomp(all map[string]string, key string, p *corev1.SeccompProfile, at place) field.ErrorList {
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
	return field.ErrorList{field.Forbidden(at.in("type").path(), "seccomp type in annotation and field must match")}
}

func sameArmor(text string, p *corev1.AppArmorProfile, at place) field.ErrorList {
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
	return field.ErrorList{field.Forbidden(at.in("type").path(), "apparmor type in annotation and field must match")}
}

func sameFile(what, text, prefix string, file *string, at place) field.ErrorList {
	name, ok := strings.CutPrefix(text, prefix)
	switch {
	case !ok:
		return field.ErrorList{field.Forbidden(at.in("type").path(), what+" type in annotation and field must match")}
	case file == nil || *file != name:
		return field.ErrorList{field.Forbidden(at.in("localhostProfile").path(), what+" profile in annotation and field must match")}
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
	containers(&pod.Spec, place{}, func(c *corev1.Container, _ place) {
		text, ok := pod.Annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]
		if !ok || c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
			return
		}
		p := armorOf(text)
		if p != nil && len(validateAppArmor(p, place{})) == 0 && (whole == nil || !sameProfile(p, whole)) {
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
