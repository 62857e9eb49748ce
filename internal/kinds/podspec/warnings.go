package podspec

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// This file is what who writes a pod or a template is told, though it is taken: what does nothing any longer, and what is probably a mistake.

// warner gathers warnings about one specification.
type warner struct {
	*corev1.PodSpec
	meta *metav1.ObjectMeta
	root place // of the template; that of nothing for a pod
	spec place // below root
	list []string
}

func (w *warner) add(at fmt.Stringer, format string, args ...any) {
	w.list = append(w.list, at.String()+": "+fmt.Sprintf(format, args...))
}

// PodWarnings are what who makes a pod is told.
func PodWarnings(pod *corev1.Pod) (list []string) {
	if msgs := utilvalidation.IsDNS1123Label(pod.Name); len(msgs) > 0 {
		list = append(list, fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", msgs))
	}
	return append(list, warn(&pod.Spec, &pod.ObjectMeta, place{})...)
}

// TemplateWarnings are what who writes a template is told.
func TemplateWarnings(t *corev1.PodTemplateSpec, at *field.Path) []string {
	return warn(&t.Spec, &t.ObjectMeta, place{up: at})
}

// WorkloadWarnings are what who writes a workload is told of its template, when the specification has changed. named: names of pods begin with obj's. old
// is nil for a new workload.
func WorkloadWarnings(obj, old kinds.Object, t *corev1.PodTemplateSpec, named bool, at *field.Path) (list []string) {
	if old != nil && obj.GetGeneration() == old.GetGeneration() {
		return nil
	}
	if msgs := utilvalidation.IsDNS1123Label(obj.GetName()); old == nil && named && len(msgs) > 0 {
		list = append(list, fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", msgs))
	}
	return append(list, TemplateWarnings(t, at)...)
}

// warn looks at the parts in upstream's order.
func warn(s *corev1.PodSpec, meta *metav1.ObjectMeta, root place) []string {
	w := &warner{PodSpec: s, meta: meta, root: root, spec: place{up: root.in("spec").path()}}
	w.placement()
	w.annotations()
	for i := range s.Volumes {
		w.volume(&s.Volumes[i], w.spec.in("volumes").nth(i))
	}
	for i := range s.Volumes {
		w.overlaps(&s.Volumes[i])
	}
	w.duplicates()
	w.fractions(s.Overhead, w.spec.in("overhead"))
	w.containers()
	w.ports()
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		w.add(w.spec.in("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	}
	w.terms()
	if s.DNSConfig != nil {
		for i, ip := range s.DNSConfig.Nameservers {
			w.list = append(w.list, utilvalidation.GetWarningsForIP(w.spec.in("dnsConfig", "nameservers").nth(i).path(), ip)...)
		}
	}
	for i, alias := range s.HostAliases {
		w.list = append(w.list, utilvalidation.GetWarningsForIP(w.spec.in("hostAliases").nth(i).in("ip").path(), alias.IP)...)
	}
	return w.list
}

// OldNodeLabel says what is to be used in place of a label of nodes that has had its time; "" when it has not.
func OldNodeLabel(key string) string {
	since := func(version, instead string) string {
		return fmt.Sprintf("deprecated since %s; use %q instead", version, instead)
	}
	switch key {
	case "beta.kubernetes.io/arch":
		return since("v1.14", corev1.LabelArchStable)
	case "beta.kubernetes.io/os":
		return since("v1.14", corev1.LabelOSStable)
	case corev1.LabelFailureDomainBetaRegion:
		return since("v1.17", corev1.LabelTopologyRegion)
	case corev1.LabelFailureDomainBetaZone:
		return since("v1.17", corev1.LabelTopologyZone)
	case corev1.LabelInstanceType:
		return since("v1.17", corev1.LabelInstanceTypeStable)
	case "app.kubernetes.io/created-by":
		return "deprecated since v1.9"
	case "scheduler.alpha.kubernetes.io/preferAvoidPods":
		return "deprecated since v1.22; use Taints and Tolerations instead"
	case "node-role.kubernetes.io/master":
		return `use "node-role.kubernetes.io/control-plane" instead`
	}
	return ""
}

// NodeTermWarnings are about one alternative of what a node must be. values: those that no label can have are told of too.
func NodeTermWarnings(term corev1.NodeSelectorTerm, values bool, path *field.Path) (list []string) {
	for i, e := range term.MatchExpressions {
		at := place{up: path}.in("matchExpressions").nth(i)
		if msg := OldNodeLabel(e.Key); msg != "" {
			list = append(list, fmt.Sprintf("%s: %s is %s", at.in("key"), e.Key, msg))
		}
		for j, v := range e.Values {
			for _, msg := range utilvalidation.IsValidLabelValue(v) {
				if values {
					list = append(list, fmt.Sprintf("%s: %s is invalid, %s", at.in("values").nth(j), v, msg))
				}
			}
		}
	}
	return list
}

func (w *warner) placement() {
	spec := w.spec
	if len(w.NodeSelector) > 0 {
		for _, k := range slices.Sorted(maps.Keys(w.NodeSelector)) {
			if msg := OldNodeLabel(k); msg != "" {
				w.add(spec.in("nodeSelector").key(k), "%s", msg)
			}
		}
	}
	at := spec.in("affinity", "nodeAffinity")
	for i, term := range nodeTerms(w.Affinity) {
		w.list = append(w.list, NodeTermWarnings(term, false, at.in(required, "nodeSelectorTerms").nth(i).path())...)
	}
	if w.Affinity != nil && w.Affinity.NodeAffinity != nil {
		for i, wish := range w.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			w.list = append(w.list, NodeTermWarnings(wish.Preference, true, at.in(preferred).nth(i).in("preference").path())...)
		}
	}
	for i, c := range w.TopologySpreadConstraints {
		at := spec.in("topologySpreadConstraints").nth(i)
		if msg := OldNodeLabel(c.TopologyKey); msg != "" {
			w.add(at.in("topologyKey"), "%s is %s", c.TopologyKey, msg)
		}
		if c.LabelSelector == nil {
			w.add(at.in("labelSelector"), "a null labelSelector results in matching no pod")
		}
	}
}

// terms tells of affinities that no pod matches.
func (w *warner) terms() {
	const detail = "a null labelSelector results in matching no pod"
	each := func(hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm, at place) {
		for i := range hard {
			if hard[i].LabelSelector == nil {
				w.add(at.in(required).nth(i).in("labelSelector"), detail)
			}
		}
		for i := range soft {
			if soft[i].PodAffinityTerm.LabelSelector == nil {
				w.add(at.in(preferred).nth(i).in("podAffinityTerm", "labelSelector"), detail)
			}
		}
	}
	at := w.spec.in("affinity")
	if w.Affinity == nil {
		return
	}
	if a := w.Affinity.PodAffinity; a != nil {
		each(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution, at.in("podAffinity"))
	}
	if a := w.Affinity.PodAntiAffinity; a != nil {
		each(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution, at.in("podAntiAffinity"))
	}
}

func (w *warner) annotations() {
	at := w.root.in("metadata", "annotations")
	for _, old := range []struct{ key, msg string }{
		{"scheduler.alpha.kubernetes.io/critical-pod", `non-functional in v1.16+; use the "priorityClassName" field instead`},
		{"security.alpha.kubernetes.io/sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
		{"security.alpha.kubernetes.io/unsafe-sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
	} {
		if _, ok := w.meta.Annotations[old.key]; ok {
			w.add(at.key(old.key), "%s", old.msg)
		}
	}
}

// volume tells of drivers that are gone.
func (w *warner) volume(v *corev1.Volume, at place) {
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		w.list = append(w.list, volumespec.ClaimWarnings(&v.Ephemeral.VolumeClaimTemplate.Spec, at.in("ephemeral", "volumeClaimTemplate", "spec").path())...)
	}
	for _, old := range []struct {
		set       bool
		name, msg string
	}{
		{v.PhotonPersistentDisk != nil, "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
		{v.GitRepo != nil, "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
		{v.ScaleIO != nil, "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
		{v.Flocker != nil, "flocker", "deprecated in v1.22, non-functional in v1.25+"},
		{v.StorageOS != nil, "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
		{v.Quobyte != nil, "quobyte", "deprecated in v1.22, non-functional in v1.25+"},
		{v.Glusterfs != nil, "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
		{v.CephFS != nil, "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
		{v.RBD != nil, "rbd", "deprecated in v1.28, non-functional in v1.31+"},
	} {
		if old.set {
			w.add(at.in(old.name), "%s", old.msg)
		}
	}
}

func (w *warner) duplicates() {
	seen, at := sets.New[string](), w.spec.in("hostAliases")
	for i, alias := range w.HostAliases {
		if seen.Has(alias.IP) {
			w.add(at.nth(i).in("ip"), "duplicate ip %q", alias.IP)
		}
		seen.Insert(alias.IP)
	}
	seen, at = sets.New[string](), w.spec.in("imagePullSecrets")
	for i, ref := range w.ImagePullSecrets {
		if seen.Has(ref.Name) {
			w.add(at.nth(i).in("name"), "duplicate name %q", ref.Name)
		}
		seen.Insert(ref.Name)
	}
	for i, ref := range w.ImagePullSecrets {
		if ref.Name == "" {
			w.add(at.nth(i).in("name"), "invalid empty name %q", ref.Name)
		}
	}
}

// fractions tells of parts of bytes.
func (w *warner) fractions(list corev1.ResourceList, at place) {
	for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if q, ok := list[name]; ok && q.MilliValue()%1000 != 0 {
			w.add(at.key(string(name)), "fractional byte value %q is invalid, must be an integer", q.String())
		}
	}
}
