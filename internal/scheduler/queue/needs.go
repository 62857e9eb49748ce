package queue

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// needs is what hints read of a pod, parsed once a cohort.
type needs struct {
	node           nodeaffinity.RequiredNodeAffinity
	unsure         bool                          // there are wishes beside the pod's own that node does not hold
	requests       map[corev1.ResourceName]int64 // millicores, else units; a place among "pods"
	ports          []hostPort
	spread         []spread
	affinity, anti []term
}

type hostPort struct {
	ip       string
	protocol corev1.Protocol
	port     int32
}

type spread struct {
	key      string
	selector labels.Selector
}

// term is an affinity term as far as a pod alone can tell whether it meets it.
type term struct {
	namespaces map[string]bool // nil: any, since namespaces are chosen by their labels
	selector   labels.Selector
}

func parse(pod *corev1.Pod) needs {
	n := needs{node: nodeaffinity.GetRequiredNodeAffinity(pod), requests: amounts(requests(pod)), ports: hostPorts(pod), anti: antiTerms(pod)}
	n.requests[corev1.ResourcePods] = 1
	for _, c := range pod.Spec.TopologySpreadConstraints {
		if c.WhenUnsatisfiable == corev1.DoNotSchedule {
			n.spread = append(n.spread, spread{c.TopologyKey, chosen(c.LabelSelector)})
		}
	}
	if a := pod.Spec.Affinity; a != nil && a.PodAffinity != nil {
		n.affinity = terms(pod, a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	return n
}

func antiTerms(pod *corev1.Pod) []term {
	if a := pod.Spec.Affinity; a != nil && a.PodAntiAffinity != nil {
		return terms(pod, a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	return nil
}

func terms(pod *corev1.Pod, list []corev1.PodAffinityTerm) []term {
	var out []term
	for _, t := range list {
		made := term{selector: chosen(t.LabelSelector)}
		if t.NamespaceSelector == nil {
			made.namespaces = map[string]bool{}
			for _, ns := range t.Namespaces {
				made.namespaces[ns] = true
			}
			if len(t.Namespaces) == 0 {
				made.namespaces[pod.Namespace] = true
			}
		}
		out = append(out, made)
	}
	return out
}

// chosen is a selector; one that cannot be read may choose anything, so that no pod sleeps for it.
func chosen(s *metav1.LabelSelector) labels.Selector {
	parsed, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Everything()
	}
	return parsed
}

func (t term) matches(pod *corev1.Pod) bool {
	return (t.namespaces == nil || t.namespaces[pod.Namespace]) && t.selector.Matches(labels.Set(pod.Labels))
}

func amounts(list corev1.ResourceList) map[corev1.ResourceName]int64 {
	out := make(map[corev1.ResourceName]int64, len(list)+1)
	for name, q := range list {
		if out[name] = q.Value(); name == corev1.ResourceCPU {
			out[name] = q.MilliValue()
		}
	}
	return out
}

// within says whether what the pod asks for is there; room nil: it is not known, so it may be.
func (n *needs) within(room map[corev1.ResourceName]int64) bool {
	if room == nil {
		return true
	}
	for name, want := range n.requests {
		// What is somebody's own may come from elsewhere, or the profile may not look at it: only where the node has it, it is known.
		left, ok := room[name]
		if want > 0 && want > left && (ok || !strings.Contains(string(name), "/")) {
			return false
		}
	}
	return true
}

func hostPorts(pod *corev1.Pod) []hostPort {
	var out []hostPort
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, c := range list {
			for _, p := range c.Ports {
				if p.HostPort > 0 {
					out = append(out, hostPort{p.HostIP, p.Protocol, p.HostPort})
				}
			}
		}
	}
	return out
}

func (p hostPort) clashes(o hostPort) bool {
	any := func(ip string) bool { return ip == "" || ip == "0.0.0.0" }
	return p.port == o.port && p.protocol == o.protocol && (p.ip == o.ip || any(p.ip) || any(o.ip))
}
