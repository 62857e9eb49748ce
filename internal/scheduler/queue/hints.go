package queue

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/klog/v2"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// Names that are not place's.
const (
	noNodes = "" // stands for the plug-ins of a pod for which there was no node to ask
	fit     = place.NodeResourcesFit
)

// hint says whether an event may help the pods of a cohort that its plug-in refused.
type hint func(c *cohort, ev *Event) bool

// always is the hint of plug-ins that any such event may satisfy.
func always(*cohort, *Event) bool { return true }

// concern is which events a plug-in hears of, and what it makes of them.
type concern struct {
	what What
	did  Did
	hint hint
}

// concerns are what can make each plug-in change its mind, upstream's EventsToRegister. What a pod's own update can do stands in ownConcerns.
func concerns(plugin string) ([]concern, bool) {
	switch plugin {
	case noNodes, place.NodeName:
		return []concern{{Node, Added, always}}, true
	case place.NodeUnschedulable:
		return []concern{{Node, Added | TaintsChanged, schedulableNow}}, true
	case place.TaintToleration:
		return []concern{{Node, Added | TaintsChanged, toleratedNow}}, true
	case place.NodeAffinity:
		return []concern{{Node, Added | LabelsChanged, matchedNow}}, true
	case place.NodePorts:
		return []concern{{Node, Added, always}, {AssignedPod, Deleted, portsFreed}}, true
	case fit:
		return []concern{{Node, Added | AllocatableChanged, roomier}, {AssignedPod, Deleted | ScaledDown, roomFreed},
			{DeviceClass, Added | Updated, always}}, true
	case place.PodTopologySpread:
		return []concern{{Node, Added | Deleted | LabelsChanged | TaintsChanged, spreadNode},
			{AssignedPod, Added | Deleted | LabelsChanged, spreadPod}}, true
	case place.InterPodAffinity:
		return []concern{{Node, Added | LabelsChanged, affinityNode}, {AssignedPod, Added | Deleted | LabelsChanged, affinityPod},
			{Namespace, Added | LabelsChanged, always}}, true
	case place.NodeDeclaredFeatures:
		return []concern{{Node, Added | FeaturesChanged, always}}, true
	}
	return volumeConcerns(plugin)
}

// volumeConcerns are those of the plug-ins about volumes and devices.
func volumeConcerns(plugin string) ([]concern, bool) {
	const changed = Added | Updated
	switch plugin {
	case "VolumeBinding":
		return []concern{{StorageClass, changed, always}, {Claim, changed, sameNamespace}, {Volume, changed, always}, {Node, Added | LabelsChanged, always},
			{CSINode, changed, always}, {CSIDriver, Updated, always}, {CSIStorageCapacity, changed, always}}, true
	case "VolumeRestrictions":
		return []concern{{AssignedPod, Deleted, always}, {Node, Added, always}, {Claim, Added, sameNamespace}}, true
	case "VolumeZone":
		return []concern{{StorageClass, Added, always}, {Node, Added | LabelsChanged, always}, {Claim, changed, sameNamespace}, {Volume, changed, always}}, true
	case "NodeVolumeLimits":
		return []concern{{CSINode, changed, always}, {AssignedPod, Deleted, always}, {Claim, Added, sameNamespace}, {VolumeAttachment, Deleted, always}}, true
	case "DynamicResources":
		return []concern{{Node, Added | LabelsChanged | AllocatableChanged, always}, {ResourceClaim, changed | Deleted, claimHelps},
			{DeviceClass, changed, always}, {ResourceSlice, changed, always}}, true
	}
	return nil, false
}

// hintOf is what a plug-in makes of an event: nil when it does not hear of it. Unknown plug-ins (extenders among them) hear of everything: false.
func hintOf(plugin string, ev *Event) (hint, bool) {
	list, known := concerns(plugin)
	for _, c := range list {
		if c.what == ev.What && c.did&ev.Did != 0 {
			return c.hint, true
		}
	}
	return nil, known
}

// helpsItself says whether a parked pod's own update may help it.
func helpsItself(it *Item, did Did) bool {
	return slices.ContainsFunc(it.refused, func(plugin string) bool {
		switch plugin {
		case noNodes, place.NodeName, place.NodeAffinity, place.NodePorts, "VolumeBinding", "VolumeRestrictions", "VolumeZone", "NodeVolumeLimits":
			return false
		case place.NodeUnschedulable, place.TaintToleration:
			return did&TolerationsChanged != 0
		case fit:
			return did&ScaledDown != 0
		case place.PodTopologySpread:
			return did&(LabelsChanged|TolerationsChanged) != 0
		case place.InterPodAffinity:
			return did&LabelsChanged != 0
		case "DynamicResources":
			return did&ClaimsChanged != 0
		}
		return did != 0
	})
}

func schedulableNow(c *cohort, ev *Event) bool {
	return ev.Node != nil && (!ev.Node.Spec.Unschedulable) && (ev.OldNode == nil || ev.OldNode.Spec.Unschedulable)
}

func toleratedNow(c *cohort, ev *Event) bool {
	return ev.Node != nil && c.tolerates(ev.Node) && (ev.OldNode == nil || !c.tolerates(ev.OldNode))
}

func (c *cohort) tolerates(n *corev1.Node) bool {
	_, untolerated := schedulinghelpers.FindMatchingUntoleratedTaint(klog.Background(), n.Spec.Taints, c.pod.Spec.Tolerations, func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	}, true)
	return !untolerated
}

func matchedNow(c *cohort, ev *Event) bool {
	matches := func(n *corev1.Node) bool {
		ok, err := c.needs.node.Match(n)
		return ok || err != nil
	}
	return ev.Node != nil && matches(ev.Node) && (ev.OldNode == nil || !matches(ev.OldNode) || c.needs.unsure)
}

func portsFreed(c *cohort, ev *Event) bool {
	freed := hostPorts(ev.OldPod)
	return slices.ContainsFunc(c.needs.ports, func(p hostPort) bool { return slices.ContainsFunc(freed, p.clashes) })
}

// roomier says whether a node is new and large enough, or grew in what the pod wants.
func roomier(c *cohort, ev *Event) bool {
	if ev.Node == nil || !c.needs.within(amounts(ev.Node.Status.Allocatable)) {
		return false
	}
	if ev.OldNode == nil {
		return true
	}
	was, is := amounts(ev.OldNode.Status.Allocatable), amounts(ev.Node.Status.Allocatable)
	for name := range c.needs.requests {
		if is[name] > was[name] {
			return true
		}
	}
	return is[corev1.ResourcePods] > was[corev1.ResourcePods]
}

// roomFreed says whether a pod that left or shrank gave back something that is wanted.
func roomFreed(c *cohort, ev *Event) bool {
	if ev.Pod == nil {
		return true // a place at least
	}
	was, is := amounts(requests(ev.OldPod)), amounts(requests(ev.Pod))
	for name, n := range c.needs.requests {
		if n > 0 && was[name] > is[name] {
			return true
		}
	}
	return false
}

func spreadNode(c *cohort, ev *Event) bool {
	matches := func(n *corev1.Node) bool {
		return n != nil && !slices.ContainsFunc(c.needs.spread, func(s spread) bool { _, ok := n.Labels[s.key]; return !ok })
	}
	was, is := matches(ev.OldNode), matches(ev.Node)
	if was != is || !is {
		return was != is
	}
	return !equality.Semantic.DeepEqual(ev.OldNode.Spec.Taints, ev.Node.Spec.Taints) ||
		slices.ContainsFunc(c.needs.spread, func(s spread) bool { return ev.OldNode.Labels[s.key] != ev.Node.Labels[s.key] }) || !maps.Equal(ev.OldNode.Labels, ev.Node.Labels)
}

// spreadPod says whether a pod began or ceased to count in one of the constraints.
func spreadPod(c *cohort, ev *Event) bool {
	counts := func(p *corev1.Pod, s spread) bool {
		return p != nil && p.Namespace == c.pod.Namespace && s.selector.Matches(labels.Set(p.Labels))
	}
	return len(c.needs.spread) == 0 || slices.ContainsFunc(c.needs.spread, func(s spread) bool { return counts(ev.OldPod, s) != counts(ev.Pod, s) })
}

func affinityNode(c *cohort, ev *Event) bool {
	if ev.OldNode == nil || ev.Node == nil {
		return true
	}
	return !maps.Equal(ev.OldNode.Labels, ev.Node.Labels)
}

// affinityPod says whether a pod began to be what the pods want beside them, or ceased to be what they shun or what shuns them.
func affinityPod(c *cohort, ev *Event) bool {
	meets := func(p *corev1.Pod, terms []term) bool {
		return p != nil && slices.ContainsFunc(terms, func(t term) bool { return t.matches(p) })
	}
	switch {
	case meets(ev.Pod, c.needs.affinity) && !meets(ev.OldPod, c.needs.affinity):
		return true
	case meets(ev.OldPod, c.needs.anti) && !meets(ev.Pod, c.needs.anti):
		return true
	}
	return ev.Did&Deleted != 0 && meets(c.pod, antiTerms(ev.OldPod))
}

func sameNamespace(c *cohort, ev *Event) bool {
	obj := ev.New
	if obj == nil {
		obj = ev.Old
	}
	return obj == nil || obj.GetNamespace() == c.pod.Namespace
}

// claimHelps says whether devices were given back, or a claim of the pods' own changed in a way that they care for. Upstream does not hear of
// claims that are deleted with their devices: those of extended resources.
func claimHelps(c *cohort, ev *Event) bool {
	old, _ := ev.Old.(*resourcev1.ResourceClaim)
	now, _ := ev.New.(*resourcev1.ResourceClaim)
	switch {
	case old != nil && old.Status.Allocation != nil && (now == nil || now.Status.Allocation == nil):
		return true
	case now == nil:
		return old != nil && old.Annotations[resourcev1.ExtendedResourceClaimAnnotation] == "true" && old.Namespace == c.pod.Namespace
	}
	return uses(c.pod, now) && (old == nil || !equality.Semantic.DeepEqual(&old.Status, &now.Status))
}

// uses says whether a pod names a claim.
func uses(pod *corev1.Pod, claim *resourcev1.ResourceClaim) bool {
	return pod.Namespace == claim.Namespace && slices.ContainsFunc(pod.Spec.ResourceClaims, func(one corev1.PodResourceClaim) bool {
		name, _, err := resourceclaim.Name(pod, &one)
		return err == nil && name != nil && *name == claim.Name
	})
}
