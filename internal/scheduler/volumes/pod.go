package volumes

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// pod is what the volumes of a pod say that is on a node, or is nominated to one.
type pod struct {
	object metav1.PartialObjectMetadata // namespace, name and uid
	node   *node                        // nil: it is nominated only
	claims []podClaim
	disks  []corev1.Volume // that must not be shared
	inline []handle        // of the pod's own volumes that drivers attach
	broken string          // why one of them cannot be told; "" for none
}

type podClaim struct {
	*claim
	own bool // an ephemeral volume's
}

// SetPod says that a pod is on a node, or will be. Its volumes cannot change later.
func (x *Index) SetPod(object *corev1.Pod, nodeName string) {
	if !matters(object) {
		return
	}
	if old := x.pods[object.UID]; old != nil && old.node != nil && old.node.name == nodeName {
		return
	}
	x.RemovePod(object.UID)
	p := x.read(object)
	p.node = x.nodeOf(nodeName)
	p.node.pods[p] = true
	p.node.attached = nil
}

// matters says whether a pod has volumes that any rule looks at; most have others only, such as their token.
func matters(object *corev1.Pod) bool {
	for i := range object.Spec.Volumes {
		v := &object.Spec.Volumes[i]
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil || restricted(v) || inlinePlugin(v) != "" {
			return true
		}
	}
	return false
}

// Nominate says that a pod without a node may be thought on one, as the table is told; false: that it may not. RemovePod ends it too.
func (x *Index) Nominate(object *corev1.Pod, nominated bool) {
	old := x.pods[object.UID]
	switch {
	case old == nil && nominated && matters(object):
		x.read(object)
	case old != nil && old.node == nil && !nominated:
		x.RemovePod(object.UID)
	}
}

// read enters what a pod's volumes say.
func (x *Index) read(object *corev1.Pod) *pod {
	p := &pod{}
	p.object.Namespace, p.object.Name, p.object.UID = object.Namespace, object.Name, object.UID
	for name, own := range claimNames(object) {
		c := x.claimOf(name)
		c.users[p] = true
		p.claims = append(p.claims, podClaim{c, own})
	}
	for i := range object.Spec.Volumes {
		v := &object.Spec.Volumes[i]
		if restricted(v) {
			p.disks = append(p.disks, *v)
		}
		h, err := inlineHandle(v, object.Namespace)
		if err != nil {
			p.broken = err.Error()
		} else if h.driver != "" {
			p.inline = append(p.inline, h)
			x.handles[h.unique()]++
		}
	}
	x.pods[object.UID] = p
	return p
}

// around is the pods whose volumes matter on a node as it is thought: those that are there and not gone, and those that come.
func (x *Index) around(n *node, s place.Site) func(func(*pod) bool) {
	return func(yield func(*pod) bool) {
		for p := range n.pods {
			if !s.Gone(p.object.UID) && !yield(p) {
				return
			}
		}
		for uid := range s.Coming {
			if p := x.pods[uid]; p != nil && p.node == nil && !yield(p) {
				return
			}
		}
	}
}

// RemovePod says that a pod is on no node; one that is not known is ignored.
func (x *Index) RemovePod(uid types.UID) {
	p := x.pods[uid]
	if p == nil {
		return
	}
	delete(x.pods, uid)
	if p.node != nil {
		delete(p.node.pods, p)
		p.node.attached = nil
	}
	for _, h := range p.inline {
		x.forgetHandle(h)
	}
	for _, c := range p.claims {
		delete(c.users, p)
		x.forgetClaim(c.claim)
	}
	if p.node != nil {
		x.forgetNode(p.node)
	}
}

// claimNames ranges over the claims that a pod's volumes name, in their order, and whether they are ephemeral volumes' own.
func claimNames(object *corev1.Pod) func(func(types.NamespacedName, bool) bool) {
	return func(yield func(types.NamespacedName, bool) bool) {
		for i := range object.Spec.Volumes {
			name := types.NamespacedName{Namespace: object.Namespace}
			v := &object.Spec.Volumes[i]
			switch {
			case v.PersistentVolumeClaim != nil:
				name.Name = v.PersistentVolumeClaim.ClaimName
			case v.Ephemeral != nil:
				name.Name = object.Name + "-" + v.Name
			default:
				continue
			}
			if !yield(name, v.PersistentVolumeClaim == nil) {
				return
			}
		}
	}
}

// inUse says whether a pod on a node that exists has the claim, other than as its ephemeral volume.
func (c *claim) inUse() bool {
	for p := range c.users {
		if p.node != nil && p.node.known && slices.ContainsFunc(p.claims, func(pc podClaim) bool { return pc.claim == c && !pc.own }) {
			return true
		}
	}
	return false
}

// node is what volumes ask of a node, or of one that pods or attachments say is there.
type node struct {
	name        string
	known       bool
	labels      map[string]string // nil unless known
	limits      map[string]int64  // by driver; nil for none
	csi         bool              // its CSINode exists
	replaced    []string          // in-tree plug-ins that its CSINode says drivers stand in for
	pods        map[*pod]bool     // with volumes that matter
	attachments map[*attachment]bool
	attached    *attached // nil: to be counted
}

func (x *Index) nodeOf(name string) *node {
	n := x.nodes[name]
	if n == nil {
		n = &node{name: name, pods: map[*pod]bool{}, attachments: map[*attachment]bool{}}
		x.nodes[name] = n
	}
	return n
}

func (x *Index) forgetNode(n *node) {
	if !n.known && !n.csi && len(n.pods) == 0 && len(n.attachments) == 0 {
		delete(x.nodes, n.name)
	}
}

// recount says that what is attached to a node may be other than it was counted.
func (x *Index) recount(n *node) {
	n.attached = nil
	x.touch(n.name)
}

// recountAll does so for all nodes with volumes.
func (x *Index) recountAll() {
	for n := range maps.Values(x.nodes) {
		if len(n.pods) > 0 || len(n.attachments) > 0 {
			x.recount(n)
		}
	}
}
