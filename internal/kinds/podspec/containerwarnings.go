package podspec

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

func (w *warner) containers() {
	at := w.root.in("metadata", "annotations")
	seccomp := func(key string, p *corev1.SeccompProfile) {
		if _, ok := w.meta.Annotations[key]; ok && p == nil {
			w.add(at.key(key), `non-functional in v1.27+; use the "seccompProfile" field instead`)
		}
	}
	security := w.SecurityContext
	if security == nil {
		security = &corev1.PodSecurityContext{}
	}
	seccomp(corev1.SeccompPodAnnotationKey, security.SeccompProfile)
	containers(w.PodSpec, w.spec, func(c *corev1.Container, p place) {
		own := c.SecurityContext
		if own == nil {
			own = &corev1.SecurityContext{}
		}
		seccomp(corev1.SeccompContainerAnnotationKeyPrefix+c.Name, own.SeccompProfile)
		w.armor(c, own, at)
		w.fractions(c.Resources.Limits, p.in("resources", "limits"))
		w.fractions(c.Resources.Requests, p.in("resources", "requests"))
		w.env(c.Env, p.in("env"))
	})
}

// armor tells of AppArmor's annotations where no field takes their place. A pod's have become fields before it is looked at, where they could.
func (w *warner) armor(c *corev1.Container, own *corev1.SecurityContext, at place) {
	if len(w.meta.Annotations) == 0 {
		return
	}
	key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + c.Name
	text, ok := w.meta.Annotations[key]
	if !ok || own.AppArmorProfile != nil {
		return
	}
	p, whole := armorOf(text), podArmor(w.PodSpec)
	if p == nil || whole == nil || !sameProfile(p, whole) {
		w.add(at.key(key), `deprecated since v1.30; use the "appArmorProfile" field instead`)
	}
}

// env tells of variables that hide others: a value that builds on the one before hides nothing.
func (w *warner) env(list []corev1.EnvVar, at place) {
	seen := sets.New[string]()
	for i, e := range list {
		before := "$(" + e.Name + ")"
		if seen.Has(e.Name) && (e.ValueFrom != nil || e.Value == before || !strings.Contains(e.Value, before)) {
			w.add(at.nth(i), "hides previous definition of %q, which may be dropped when using apply", e.Name)
		}
		seen.Insert(e.Name)
	}
}

// portAt is a port and where it is defined.
type portAt struct {
	at place
	corev1.ContainerPort
}

func (w *warner) ports() {
	taken, spec := map[string][]portAt{}, w.spec
	containers(w.PodSpec, spec, func(c *corev1.Container, at place) {
		for i, p := range c.Ports {
			at := at.in("ports").nth(i)
			if p.HostIP != "" && p.HostPort == 0 {
				w.add(at, "hostIP set without hostPort: %+v", p)
			}
			k := fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)
			for _, other := range taken[k] {
				w.clash(p, other, at)
			}
			taken[k] = append(taken[k], portAt{at, p})
		}
	})
	names := map[string]place{}
	containers(w.PodSpec, spec, func(c *corev1.Container, at place) {
		for i, p := range c.Ports {
			at := at.in("ports").nth(i)
			if other, ok := names[p.Name]; ok {
				w.add(at, "duplicate port name %q with %s, services and probes that select ports by name will use %s", p.Name, other, other)
			} else if p.Name != "" {
				names[p.Name] = at
			}
		}
	})
}

func (w *warner) clash(p corev1.ContainerPort, other portAt, at place) {
	switch {
	case p.HostIP == other.HostIP && p.HostPort == other.HostPort:
		w.add(at, "duplicate port definition with %s", other.at)
	case p.HostPort == 0 || other.HostPort == 0:
		w.add(at, "overlapping port definition with %s", other.at)
	case p.HostPort == other.HostPort && (p.HostIP == "") != (other.HostIP == ""):
		w.add(at, "dangerously ambiguous port definition with %s", other.at)
	}
}

// file is a path in a volume, and what it is of; "" where all of the volume is of one thing.
type file struct{ path, of string }

func (f file) String() string {
	if f.of == "" {
		return fmt.Sprintf("%q", f.path)
	}
	return fmt.Sprintf("%q (%s)", f.path, f.of)
}

// overlaps tells of files that would stand in each other's place, or under each other.
func (w *warner) overlaps(v *corev1.Volume) {
	switch {
	case v.ConfigMap != nil:
		w.files(v.Name, fmt.Sprintf("ConfigMap %q", v.ConfigMap.Name), keyFiles(v.ConfigMap.Items, ""))
	case v.Secret != nil:
		w.files(v.Name, fmt.Sprintf("Secret %q", v.Secret.SecretName), keyFiles(v.Secret.Items, ""))
	case v.DownwardAPI != nil:
		w.files(v.Name, "DownwardAPI", fieldFiles(v.DownwardAPI.Items, ""))
	case v.Projected != nil:
		var all []file
		for _, s := range v.Projected.Sources {
			if s == (corev1.VolumeProjection{}) {
				w.list = append(w.list, fmt.Sprintf("volume %q (Projected) has no sources provided", v.Name))
			}
			all = append(all, projectedFiles(s)...)
		}
		w.files(v.Name, "Projected", all)
	}
}

func projectedFiles(s corev1.VolumeProjection) []file {
	switch {
	case s.ConfigMap != nil && s.ConfigMap.Items != nil:
		return keyFiles(s.ConfigMap.Items, fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name))
	case s.Secret != nil && s.Secret.Items != nil:
		return keyFiles(s.Secret.Items, fmt.Sprintf("Secret %q", s.Secret.Name))
	case s.DownwardAPI != nil && s.DownwardAPI.Items != nil:
		return fieldFiles(s.DownwardAPI.Items, "DownwardAPI")
	case s.ServiceAccountToken != nil:
		return []file{{s.ServiceAccountToken.Path, "ServiceAccountToken"}}
	}
	return nil
}

func keyFiles(items []corev1.KeyToPath, of string) (list []file) {
	for _, item := range items {
		list = append(list, file{item.Path, of})
	}
	return list
}

func fieldFiles(items []corev1.DownwardAPIVolumeFile, of string) (list []file) {
	for _, item := range items {
		list = append(list, file{item.Path, of})
	}
	return list
}

func (w *warner) files(volume, what string, list []file) {
	for i := range list {
		list[i].path = strings.TrimRight(list[i].path, "/")
		f := list[i]
		inside := func(other file) bool {
			return f.path != "" && other.path != "" && (strings.HasPrefix(other.path+"/", f.path+"/") || strings.HasPrefix(f.path+"/", other.path+"/"))
		}
		for _, other := range slices.DeleteFunc(slices.Clone(list[:i]), func(o file) bool { return !inside(o) }) {
			w.list = append(w.list, fmt.Sprintf("volume %q (%s): overlapping paths: %s with %s", volume, what, f, other))
		}
	}
}
