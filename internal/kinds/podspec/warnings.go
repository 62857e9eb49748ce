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
	root *field.Path // of the template; nil for a pod
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
	return append(list, warn(&pod.Spec, &pod.ObjectMeta, nil)...)
}

// TemplateWarnings are what who writes a template is told.
func TemplateWarnings(t *corev1.PodTemplateSpec, at *field.Path) []string {
	return warn(&t.Spec, &t.ObjectMeta, at)
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
func warn(s *corev1.PodSpec, meta *metav1.ObjectMeta, root *field.Path) []string {
	w := &warner{PodSpec: s, meta: meta, root: root}
	w.placement()
	w.annotations()
	for i := range s.Volumes {
		w.volume(&s.Volumes[i], root.Child("spec", "volumes").Index(i))
	}
	for i := range s.Volumes {
		w.overlaps(&s.Volumes[i])
	}
	w.duplicates()
	w.fractions(s.Overhead, root.Child("spec", "overhead"))
	w.containers()
	w.ports()
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		w.add(root.Child("spec", "terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	}
	w.terms()
	if s.DNSConfig != nil {
		for i, ip := range s.DNSConfig.Nameservers {
			w.list = append(w.list, utilvalidation.GetWarningsForIP(root.Child("spec", "dnsConfig", "nameservers").Index(i), ip)...)
		}
	}
	for i, alias := range s.HostAliases {
		w.list = append(w.list, utilvalidation.GetWarningsForIP(root.Child("spec", "hostAliases").Index(i).Child("ip"), alias.IP)...)
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
func NodeTermWarnings(term corev1.NodeSelectorTerm, values bool, at *field.Path) (list []string) {
	for i, e := range term.MatchExpressions {
		at := at.Child("matchExpressions").Index(i)
		if msg := OldNodeLabel(e.Key); msg != "" {
			list = append(list, fmt.Sprintf("%s: %s is %s", at.Child("key"), e.Key, msg))
		}
		for j, v := range e.Values {
			for _, msg := range utilvalidation.IsValidLabelValue(v) {
				if values {
					list = append(list, fmt.Sprintf("%s: %s is invalid, %s", at.Child("values").Index(j), v, msg))
				}
			}
		}
	}
	return list
}

func (w *warner) placement() {
	spec := w.root.Child("spec")
	for _, k := range slices.Sorted(maps.Keys(w.NodeSelector)) {
		if msg := OldNodeLabel(k); msg != "" {
			w.add(spec.Child("nodeSelector").Key(k), "%s", msg)
		}
	}
	at := spec.Child("affinity", "nodeAffinity")
	for i, term := range nodeTerms(w.Affinity) {
		w.list = append(w.list, NodeTermWarnings(term, false, at.Child(required, "nodeSelectorTerms").Index(i))...)
	}
	if w.Affinity != nil && w.Affinity.NodeAffinity != nil {
		for i, wish := range w.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			w.list = append(w.list, NodeTermWarnings(wish.Preference, true, at.Child(preferred).Index(i).Child("preference"))...)
		}
	}
	for i, c := range w.TopologySpreadConstraints {
		at := spec.Child("topologySpreadConstraints").Index(i)
		if msg := OldNodeLabel(c.TopologyKey); msg != "" {
			w.add(at.Child("topologyKey"), "%s is %s", c.TopologyKey, msg)
		}
		if c.LabelSelector == nil {
			w.add(at.Child("labelSelector"), "a null labelSelector results in matching no pod")
		}
	}
}

// terms tells of affinities that no pod matches.
func (w *warner) terms() {
	const detail = "a null labelSelector results in matching no pod"
	each := func(hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm, at *field.Path) {
		for i := range hard {
			if hard[i].LabelSelector == nil {
				w.add(at.Child(required).Index(i).Child("labelSelector"), detail)
			}
		}
		for i := range soft {
			if soft[i].PodAffinityTerm.LabelSelector == nil {
				w.add(at.Child(preferred).Index(i).Child("podAffinityTerm", "labelSelector"), detail)
			}
		}
	}
	at := w.root.Child("spec", "affinity")
	if w.Affinity == nil {
		return
	}
	if a := w.Affinity.PodAffinity; a != nil {
		each(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution, at.Child("podAffinity"))
	}
	if a := w.Affinity.PodAntiAffinity; a != nil {
		each(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution, at.Child("podAntiAffinity"))
	}
}

func (w *warner) annotations() {
	at := w.root.Child("metadata", "annotations")
	for _, old := range []struct{ key, msg string }{
		{"scheduler.alpha.kubernetes.io/critical-pod", `non-functional in v1.16+; use the "priorityClassName" field instead`},
		{"security.alpha.kubernetes.io/sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
		{"security.alpha.kubernetes.io/unsafe-sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
	} {
		if _, ok := w.meta.Annotations[old.key]; ok {
			w.add(at.Key(old.key), "%s", old.msg)
		}
	}
}

// volume tells of drivers that are gone.
func (w *warner) volume(v *corev1.Volume, at *field.Path) {
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		w.list = append(w.list, volumespec.ClaimWarnings(&v.Ephemeral.VolumeClaimTemplate.Spec, at.Child("ephemeral", "volumeClaimTemplate", "spec"))...)
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
			w.add(at.Child(old.name), "%s", old.msg)
		}
	}
}

func (w *warner) duplicates() {
	seen, at := sets.New[string](), w.root.Child("spec", "hostAliases")
	for i, alias := range w.HostAliases {
		if seen.Has(alias.IP) {
			w.add(at.Index(i).Child("ip"), "duplicate ip %q", alias.IP)
		}
		seen.Insert(alias.IP)
	}
	seen, at = sets.New[string](), w.root.Child("spec", "imagePullSecrets")
	for i, ref := range w.ImagePullSecrets {
		if seen.Has(ref.Name) {
			w.add(at.Index(i).Child("name"), "duplicate name %q", ref.Name)
		}
		seen.Insert(ref.Name)
	}
	for i, ref := range w.ImagePullSecrets {
		if ref.Name == "" {
			w.add(at.Index(i).Child("name"), "invalid empty name %q", ref.Name)
		}
	}
}

// fractions tells of parts of bytes.
func (w *warner) fractions(list corev1.ResourceList, at *field.Path) {
	for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if q, ok := list[name]; ok && q.MilliValue()%1000 != 0 {
			w.add(at.Key(string(name)), "fractional byte value %q is invalid, must be an integer", q.String())
		}
	}
}
