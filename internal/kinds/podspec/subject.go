package podspec

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// subject is a specification while it is looked at.
type subject struct {
	*corev1.PodSpec
	meta    *metav1.ObjectMeta // of the pod that has it; nil in a template
	volumes volumes            // those that can be mounted
	claims  sets.Set[string]   // names of its resource claims
	leave   leave
}

// leave is what a specification may keep that a new one may not have, because what it replaces has it already: what was once accepted, under rules
// that have become stricter since, stays updatable.
type leave struct {
	oddPages, oddAffinity, oddNodes, oddSpread, oddSpreadKeys, oddTokenPath, hostSysctls, devices, restartOnResize, anySELinux, comparisons bool
}

func newSubject(s, old *corev1.PodSpec, meta *metav1.ObjectMeta) *subject {
	out := &subject{PodSpec: s, meta: meta, claims: sets.New[string](), leave: leaveOf(old)}
	for _, c := range s.ResourceClaims {
		if c.Name != "" {
			out.claims.Insert(c.Name)
		}
	}
	return out
}

func (s *subject) isPod() bool { return s.meta != nil }

// leaveOf says what the replaced specification has; nil has nothing.
func leaveOf(old *corev1.PodSpec) (l leave) {
	if old == nil {
		return l
	}
	l.oddPages = hasOddPages(old)
	l.oddAffinity = hasOddAffinity(old.Affinity)
	l.oddNodes = OddNodeValues(nodeTerms(old.Affinity))
	for i := range old.TopologySpreadConstraints {
		c := &old.TopologySpreadConstraints[i]
		l.oddSpread = l.oddSpread || badSelector(c.LabelSelector)
		l.oddSpreadKeys = l.oddSpreadKeys || len(validateLabelKeys(c.MatchLabelKeys, nil, c.LabelSelector, place{})) > 0
	}
	for i := range old.Volumes {
		if p := old.Volumes[i].Projected; p != nil {
			for _, source := range p.Sources {
				l.oddTokenPath = l.oddTokenPath || source.ServiceAccountToken != nil && len(ownPath(source.ServiceAccountToken.Path, place{})) > 0
			}
		}
	}
	if c := old.SecurityContext; c != nil {
		for _, ctl := range c.Sysctls {
			l.hostSysctls = l.hostSysctls || len(hostSysctl(ctl.Name, old, place{})) > 0
		}
		l.anySELinux = c.SELinuxChangePolicy != nil
	}
	containers(old, place{}, func(c *corev1.Container, _ place) {
		l.devices = l.devices || ownUsers(old) && len(c.VolumeDevices) > 0
	})
	for i := range old.InitContainers {
		c := &old.InitContainers[i]
		for _, p := range c.ResizePolicy {
			l.restartOnResize = l.restartOnResize || !isSidecar(c) && p.RestartPolicy == corev1.RestartContainer
		}
	}
	for _, t := range old.Tolerations {
		l.comparisons = l.comparisons || t.Operator == corev1.TolerationOpLt || t.Operator == corev1.TolerationOpGt
	}
	return l
}

func hasOddPages(s *corev1.PodSpec) (odd bool) {
	look := func(list corev1.ResourceList) {
		for name, q := range list {
			odd = odd || len(wholePages(name, q, place{})) > 0
		}
	}
	containers(s, place{}, func(c *corev1.Container, _ place) {
		look(c.Resources.Limits)
		look(c.Resources.Requests)
	})
	look(s.Overhead)
	return odd
}

func badSelector(s *metav1.LabelSelector) bool {
	return len(metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, nil)) > 0
}

func hasOddAffinity(a *corev1.Affinity) bool {
	odd := false
	podTerms(a, func(t *corev1.PodAffinityTerm) {
		odd = odd || badSelector(t.LabelSelector) || badSelector(t.NamespaceSelector)
	})
	return odd
}

// podTerms calls f with every term of a that is about other pods, the wishes first.
func podTerms(a *corev1.Affinity, f func(*corev1.PodAffinityTerm)) {
	if a == nil {
		return
	}
	visit := func(soft []corev1.WeightedPodAffinityTerm, hard []corev1.PodAffinityTerm) {
		for i := range soft {
			f(&soft[i].PodAffinityTerm)
		}
		for i := range hard {
			f(&hard[i])
		}
	}
	if p := a.PodAffinity; p != nil {
		visit(p.PreferredDuringSchedulingIgnoredDuringExecution, p.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		visit(p.PreferredDuringSchedulingIgnoredDuringExecution, p.RequiredDuringSchedulingIgnoredDuringExecution)
	}
}

// nodeTerms are the alternatives that a pod's node must be one of.
func nodeTerms(a *corev1.Affinity) []corev1.NodeSelectorTerm {
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

// OddNodeValues says that terms name a value that no label can have, which older servers let in.
func OddNodeValues(terms []corev1.NodeSelectorTerm) bool {
	for _, term := range terms {
		for _, e := range term.MatchExpressions {
			for _, v := range e.Values {
				if len(utilvalidation.IsValidLabelValue(v)) > 0 {
					return true
				}
			}
		}
	}
	return false
}

// Containers calls f with all containers of s and their paths below at: those that run first, those that do the work, and those that a person added. nil is
// for who asks for no paths, and gets none.
func Containers(s *corev1.PodSpec, at *field.Path, f func(*corev1.Container, *field.Path)) {
	containers(s, place{up: at}, func(c *corev1.Container, p place) {
		if at == nil {
			f(c, nil)
			return
		}
		f(c, p.path())
	})
}

// containers is Containers with their places.
func containers(s *corev1.PodSpec, at place, f func(*corev1.Container, place)) {
	for i := range s.InitContainers {
		f(&s.InitContainers[i], at.in("initContainers").nth(i))
	}
	for i := range s.Containers {
		f(&s.Containers[i], at.in("containers").nth(i))
	}
	for i := range s.EphemeralContainers {
		f((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon), at.in("ephemeralContainers").nth(i))
	}
}
