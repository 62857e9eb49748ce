package noderestriction

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/floe-k8s/floe/internal/admission"
)

// agents are the labels below kubernetes.io and k8s.io that the agent of a node sets itself, and agentDomains what more such labels end in before their slash.
var (
	agents = [...]string{
		corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
		corev1.LabelInstanceType, corev1.LabelInstanceTypeStable, corev1.LabelOSStable, corev1.LabelArchStable, "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
	}
	agentDomains = [...]string{corev1.LabelNamespaceSuffixKubelet, corev1.LabelNamespaceSuffixNode}
)

// node refuses nodes other than the user's own, and changes of its own that would steer pods.
func node(name string, a *admission.Attributes) error {
	if a.Name != name {
		return a.Forbidf("node %q is not allowed to modify node %q", name, a.Name)
	}
	switch a.Operation {
	case admission.Create:
		is, err := typed[*corev1.Node](a, a.Object)
		if err != nil {
			return err
		}
		return newNode(name, a, is)
	case admission.Update:
		is, err := typed[*corev1.Node](a, a.Object)
		if err != nil {
			return err
		}
		was, err := typed[*corev1.Node](a, a.Old)
		if err != nil {
			return err
		}
		return changedNode(name, a, is, was)
	}
	return nil
}

func newNode(name string, a *admission.Attributes, is *corev1.Node) error {
	if configSource(is) != nil {
		return a.Forbidf("node %q is not allowed to create pods with a non-nil configSource", name)
	}
	if list := reserved(changed(is.Labels, nil)); len(list) > 0 {
		return a.Forbidf("node %q is not allowed to set the following labels: %s", name, strings.Join(list, ", "))
	}
	return nil
}

func changedNode(name string, a *admission.Attributes, is, was *corev1.Node) error {
	switch {
	case configSource(is) != nil && !apiequality.Semantic.DeepEqual(configSource(is), configSource(was)):
		return a.Forbidf("node %q is not allowed to update configSource to a new non-nil configSource", name)
	case !apiequality.Semantic.DeepEqual(is.Spec.Taints, was.Spec.Taints):
		return a.Forbidf("node %q is not allowed to modify taints", name)
	case !apiequality.Semantic.DeepEqual(is.OwnerReferences, was.OwnerReferences):
		return a.Forbidf("node %q is not allowed to modify ownerReferences", name)
	}
	if list := reserved(changed(is.Labels, was.Labels)); len(list) > 0 {
		return a.Forbidf("is not allowed to modify labels: %s", strings.Join(list, ", "))
	}
	return nil
}

// configSource is where an agent of long ago took its configuration from: old, but still to be refused.
func configSource(n *corev1.Node) *corev1.NodeConfigSource {
	//lint:ignore SA1019 upstream refuses it too
	return n.Spec.ConfigSource
}

// changed are the keys whose value differs, sorted.
func changed(is, was map[string]string) (keys []string) {
	for k, v := range is {
		if old, ok := was[k]; !ok || old != v {
			keys = append(keys, k)
		}
	}
	for k := range was {
		if _, ok := is[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// reserved are those of the labels that a node may not touch.
func reserved(labels []string) (out []string) {
	for _, label := range labels {
		domain, _, ok := strings.Cut(label, "/")
		if !ok {
			continue
		}
		kubernetes := within(domain, "kubernetes.io") || within(domain, "k8s.io")
		if within(domain, corev1.LabelNamespaceNodeRestriction) || kubernetes && !agent(label, domain) {
			out = append(out, label)
		}
	}
	return out
}

func agent(label, domain string) bool {
	return slices.Contains(agents[:], label) || slices.ContainsFunc(agentDomains[:], func(of string) bool { return within(domain, of) })
}

// within says whether a domain is another, or below it.
func within(domain, of string) bool { return domain == of || strings.HasSuffix(domain, "."+of) }
