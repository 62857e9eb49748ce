package queue

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/floe-k8s/floe/internal/kinds"
)

// What names the kind of thing that an event is about, as upstream's metrics do.
type What string

// What events may be about. AssignedPod is a pod on a node; one that waits tells of itself by Set.
const (
	Node               What = "Node"
	AssignedPod        What = "AssignedPod"
	Namespace          What = "Namespace"
	Claim              What = "PersistentVolumeClaim"
	Volume             What = "PersistentVolume"
	StorageClass       What = "StorageClass"
	CSINode            What = "CSINode"
	CSIDriver          What = "CSIDriver"
	CSIStorageCapacity What = "CSIStorageCapacity"
	VolumeAttachment   What = "VolumeAttachment"
	ResourceSlice      What = "ResourceSlice"
	ResourceClaim      What = "ResourceClaim"
	DeviceClass        What = "DeviceClass"

	ownPod What = "UnschedulablePod" // of a pod in flight itself
)

// Did is a set of what was done to a thing.
type Did uint32

// What may be done.
const (
	Added Did = 1 << iota
	Deleted
	Updated // in a way that none of the others names
	AllocatableChanged
	LabelsChanged
	TaintsChanged // or unschedulable no more
	ConditionsChanged
	AnnotationsChanged
	FeaturesChanged
	ScaledDown
	TolerationsChanged
	ClaimsChanged // status names other resource claims
)

// first is upstream's name for the first of a set, as its metrics have it after the name of the thing.
func (d Did) first() string {
	for _, n := range [...]struct {
		did  Did
		name string
	}{{Added, "Add"}, {Deleted, "Delete"}, {TaintsChanged, "UpdateNodeTaint"}, {AllocatableChanged, "UpdateNodeAllocatable"},
		{LabelsChanged, "UpdateNodeLabel"}, {ConditionsChanged, "UpdateNodeCondition"}, {AnnotationsChanged, "UpdateNodeAnnotation"},
		{FeaturesChanged, "UpdateNodeDeclaredFeature"}, {ScaledDown, "UpdatePodScaleDown"}, {TolerationsChanged, "UpdatePodToleration"},
		{ClaimsChanged, "UpdatePodGeneratedResourceClaim"}} {
		if d&n.did != 0 {
			return n.name
		}
	}
	return "Update"
}

// Event is a change that may help parked pods. The table that hints ask knows of it already.
type Event struct {
	What What
	Did  Did
	// Before and after, of the thing that What names; nil where there is none. Objects of the other kinds stand in Old and New.
	OldNode, Node *corev1.Node
	OldPod, Pod   *corev1.Pod
	Old, New      kinds.Object
	// Room tells, for an AssignedPod that went or shrank and for a Node, what the node has left for a pod of a priority (pods of less
	// priority do not count, since they may be preempted): units, cpu in millicores, "pods" among them. Nil: not known. It is asked during Happened or Park.
	Room func(priority int32) map[corev1.ResourceName]int64
}

func (e *Event) label() string {
	name := e.Did.first()
	if e.What == AssignedPod && e.Did&(Added|Deleted) == 0 && e.Did&LabelsChanged != 0 {
		name = "UpdatePodLabel"
	}
	return string(e.What) + name
}

// NodeChanged is what became of a node; false when it is nothing that can help a pod. Old nil: it is new; now nil: it is gone.
func NodeChanged(old, now *corev1.Node) (Event, bool) {
	ev := Event{What: Node, OldNode: old, Node: now}
	switch {
	case old == nil:
		ev.Did = Added
	case now == nil:
		ev.Did = Deleted
	default:
		ev.Did = nodeChanges(old, now)
	}
	return ev, ev.Did != 0
}

func nodeChanges(old, now *corev1.Node) (did Did) {
	set := func(d Did, changed bool) {
		if changed {
			did |= d
		}
	}
	set(AllocatableChanged, !sameAmounts(old.Status.Allocatable, now.Status.Allocatable))
	set(LabelsChanged, !maps.Equal(old.Labels, now.Labels))
	set(TaintsChanged, old.Spec.Unschedulable && !now.Spec.Unschedulable || !equality.Semantic.DeepEqual(old.Spec.Taints, now.Spec.Taints))
	set(ConditionsChanged, !maps.Equal(standing(old), standing(now)))
	set(AnnotationsChanged, !maps.Equal(old.Annotations, now.Annotations))
	set(FeaturesChanged, !slices.Equal(old.Status.DeclaredFeatures, now.Status.DeclaredFeatures))
	return did
}

func standing(n *corev1.Node) map[corev1.NodeConditionType]corev1.ConditionStatus {
	set := make(map[corev1.NodeConditionType]corev1.ConditionStatus, len(n.Status.Conditions))
	for i := range n.Status.Conditions {
		set[n.Status.Conditions[i].Type] = n.Status.Conditions[i].Status
	}
	return set
}

func sameAmounts(a, b corev1.ResourceList) bool {
	return maps.EqualFunc(a, b, func(x, y resource.Quantity) bool { return x.Cmp(y) == 0 })
}

// PodChanged is what became of a pod on a node; false when it is nothing that can help others. Old nil: it came to its node; now nil: it left it.
func PodChanged(old, now *corev1.Pod) (Event, bool) {
	ev := Event{What: AssignedPod, OldPod: old, Pod: now}
	switch {
	case old == nil:
		ev.Did = Added
	case now == nil:
		ev.Did = Deleted
	default:
		ev.Did = podChanges(old, now) & (LabelsChanged | ScaledDown)
	}
	return ev, ev.Did != 0
}

// podChanges is what an update did to a pod that rules read; 0 for an update of its status, say.
func podChanges(old, now *corev1.Pod) (did Did) {
	if !maps.Equal(old.Labels, now.Labels) {
		did |= LabelsChanged
	}
	if len(old.Spec.Tolerations) != len(now.Spec.Tolerations) {
		did |= TolerationsChanged
	}
	if old.Generation != now.Generation || old.Generation == 0 {
		if !equality.Semantic.DeepEqual(old.Spec, now.Spec) {
			did |= Updated
		}
	}
	if did&Updated != 0 || len(now.Status.ContainerStatuses) > 0 {
		was, is := requests(old), requests(now)
		for name, n := range was {
			if m, ok := is[name]; !ok || n.Cmp(m) > 0 {
				did |= ScaledDown
			}
		}
	}
	if !equality.Semantic.DeepEqual(old.Status.ResourceClaimStatuses, now.Status.ResourceClaimStatuses) ||
		!equality.Semantic.DeepEqual(old.Status.ExtendedResourceClaimStatus, now.Status.ExtendedResourceClaimStatus) {
		did |= ClaimsChanged
	}
	return did
}

func requests(pod *corev1.Pod) corev1.ResourceList {
	return resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{UseStatusResources: true})
}
