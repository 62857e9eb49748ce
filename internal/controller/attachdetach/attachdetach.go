package attachdetach

import (
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	managed = "volumes.kubernetes.io/controller-managed-attach-detach"

	// patience is how long a node that is not ready may keep mounted what nobody there wants.
	patience = 6 * time.Minute
	// slow is how long attaching may take before pods are told that it does.
	slow = 2 * time.Minute
	// soon is when to look again at what no change may tell of: that another node lets go, or a claim is bound.
	soon = time.Second
)

// User is the controller's.
const User = "system:serviceaccount:kube-system:attachdetach-controller"

func claims() client.Resource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
}
func volumes() client.Resource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumes")
}
func nodes() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }
func attachments() client.Resource {
	return storagev1.SchemeGroupVersion.WithResource("volumeattachments")
}
func drivers() client.Resource { return storagev1.SchemeGroupVersion.WithResource("csidrivers") }

// New returns the controller; metrics may be nil.
func New(metrics *Metrics) engine.Controller {
	j := &judge{metrics: metrics, notes: map[string]map[string]note{}, grants: map[string]string{}}
	return engine.Controller{
		Name: "attachdetach", Component: "attachdetach-controller", User: User,
		Inputs: []engine.Input{
			{Resource: pods.Resource(), Keys: podKeys}, {Resource: nodes(), Keys: nodeKeys}, {Resource: attachments(), Keys: attachmentKeys},
			{Resource: claims()}, {Resource: volumes()}, {Resource: drivers()},
		},
		Outputs: []engine.Output{{Resource: attachments()}, {Resource: nodes(), Fields: []string{"status.volumesAttached"}}},
		Workers: 1,
		Reconcile: func(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
			return j.node(view, key.Name, now), nil
		},
	}
}

// note is what is remembered of an attachment.
type note struct {
	unwanted time.Time // since when; zero: it is wanted
	told     time.Time // when pods were told last that attaching takes long
	several  bool      // pods were told that another node has the volume
}

// judge decides, and remembers. Its lock is a leaf.
type judge struct {
	metrics *Metrics

	mu     sync.Mutex                 // guards all below
	notes  map[string]map[string]note // by node and attachment: one for each that is there or wanted, at most
	grants map[string]string          // exclusive volumes whose attachment to the node that is given was asked for, and may not be in a view yet
}

// grant gives an exclusive volume to a node, or says which other one has been given it since a view showed who has it.
func (j *judge) grant(volume, node string) (other string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if has, ok := j.grants[volume]; ok && has != node {
		return has
	}
	j.grants[volume] = node
	return ""
}

// seen ends the grants of a node: its key is judged on a view that shows what was written for it, or knows that it was not.
func (j *judge) seen(node string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	maps.DeleteFunc(j.grants, func(_, n string) bool { return n == node })
}

// recall returns what is remembered of a node's attachments.
func (j *judge) recall(node string) map[string]note {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.notes[node]
}

// remember keeps what is to be remembered of a node's attachments, in place of what was.
func (j *judge) remember(node string, notes map[string]note) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.notes[node] = notes; len(notes) == 0 {
		delete(j.notes, node)
	}
}

func nodeKey(name string) []engine.Key { return []engine.Key{{Resource: nodes(), Name: name}} }

// podKeys is the node of a pod with volumes that comes to it, ends or goes.
func podKeys(_ client.View, ch client.Change) []engine.Key {
	pod := ch.Newest().(*corev1.Pod)
	if pod.Spec.NodeName == "" || len(pod.Spec.Volumes) == 0 {
		return nil
	}
	old, known := ch.Old.(*corev1.Pod)
	if known && ch.New != nil && old.UID == pod.UID && old.Spec.NodeName == pod.Spec.NodeName && pods.Stopped(old) == pods.Stopped(pod) {
		return nil
	}
	return nodeKey(pod.Spec.NodeName)
}

// nodeKeys is a node that changes in what is asked of it.
func nodeKeys(_ client.View, ch client.Change) []engine.Key {
	now, _ := ch.New.(*corev1.Node)
	old, _ := ch.Old.(*corev1.Node)
	if now != nil && old != nil && equality.Semantic.DeepEqual(now.Status.VolumesInUse, old.Status.VolumesInUse) &&
		equality.Semantic.DeepEqual(now.Status.VolumesAttached, old.Status.VolumesAttached) &&
		ready(now) == ready(old) && outOfService(now) == outOfService(old) && isManaged(now) == isManaged(old) {
		return nil
	}
	return nodeKey(ch.Newest().GetName())
}

func attachmentKeys(_ client.View, ch client.Change) []engine.Key {
	return nodeKey(ch.Newest().(*storagev1.VolumeAttachment).Spec.NodeName)
}

func ready(n *corev1.Node) bool {
	return n != nil && slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

func outOfService(n *corev1.Node) bool {
	return n != nil && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
}

func isManaged(n *corev1.Node) bool {
	if n == nil {
		return false
	}
	_, ok := n.Annotations[managed]
	return ok
}

// attached are the controller's attachments of a node.
func attached(view client.View, name string, n *corev1.Node) (list []*held) {
	known := map[string]corev1.UniqueVolumeName{}
	if n != nil {
		for _, v := range n.Status.VolumesAttached {
			known[attachmentOf(v.Name, name)] = v.Name
		}
		for _, v := range n.Status.VolumesInUse {
			known[attachmentOf(v, name)] = v
		}
	}
	for obj := range view.Lookup(attachments(), kinds.AttachedNodeIndex, name) {
		a := obj.(*storagev1.VolumeAttachment)
		if unique, migrated, ok := owner(view, a, known); ok {
			list = append(list, &held{a, unique, migrated})
		}
	}
	return list
}

// held is an attachment that is there, and its volume.
type held struct {
	*storagev1.VolumeAttachment
	unique   corev1.UniqueVolumeName
	migrated bool
}
