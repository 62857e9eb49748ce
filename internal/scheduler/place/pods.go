package place

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
)

// placed is a pod on a node, or on its way there.
type placed struct {
	shape          *shape
	uid            types.UID
	name           string
	row            int32
	priority       int32
	start          int64  // Unix seconds of status.startTime; 0: not started
	preempted      bool   // it terminates because a scheduler wanted its room
	inRow, inShape int32  // its places in the lists of its row and its shape
	spec           uint32 // what specOf says of it
}

// specOf is the generation of a pod, whole enough to tell it from the one before, if labels and spec alone make its shape; 0: its status does too, or nobody has
// counted its generations.
func specOf(pod *corev1.Pod) uint32 {
	st := &pod.Status
	if len(st.ContainerStatuses)+len(st.InitContainerStatuses) > 0 || st.Resources != nil || st.AllocatedResources != nil {
		return 0
	}
	return uint32(pod.Generation)
}

// unchanged says whether a pod has the shape that it was counted with. Each pod is counted when it is decided about and again when the stream shows it bound; to
// measure it for that was a twentieth of what binding it allocated.
func (p *placed) unchanged(pod *corev1.Pod) bool {
	spec := specOf(pod)
	return spec != 0 && spec == p.spec && p.shape.terminating == (pod.DeletionTimestamp != nil) && maps.Equal(p.shape.labels, pod.Labels)
}

// SetPod counts a pod on a node, known or not, instead of where and what it was before, and reports whether anything
// changed. Neither pod nor parts of it are kept but its label map and strings. A pod on a node is nominated no more.
func (t *Table) SetPod(pod *corev1.Pod, node string) bool {
	n, ok := t.uids[pod.UID]
	var s *shape
	if ok && t.placed[n].unchanged(pod) {
		s = t.placed[n].shape
	} else {
		s = t.shape(pod)
	}
	next := placed{shape: s, uid: pod.UID, name: pod.Name, row: t.row(node), priority: schedulinghelpers.PodPriority(pod), spec: specOf(pod)}
	if pod.Status.StartTime != nil {
		next.start = pod.Status.StartTime.Unix()
	}
	next.preempted = preempted(pod)
	t.nominated.remove(pod.UID)
	if !ok {
		if free := len(t.unused); free > 0 {
			n, t.unused = t.unused[free-1], t.unused[:free-1]
		} else {
			n = int32(len(t.placed))
			t.placed = append(t.placed, placed{})
		}
		t.uids[pod.UID] = n
		t.settle(n, next)
		return true
	}
	p := &t.placed[n]
	if p.shape == s && p.row == next.row {
		changed := p.priority != next.priority || p.start != next.start || p.preempted != next.preempted
		p.priority, p.start, p.preempted, p.spec = next.priority, next.start, next.preempted, next.spec
		if changed {
			t.touch(p.row)
		}
		return changed
	}
	old := *p
	t.lift(n)
	t.settle(n, next)
	t.tidy(old)
	return true
}

// preempted says whether a pod terminates because a scheduler chose it as a victim.
func preempted(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp == nil {
		return false
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.DisruptionTarget {
			return c.Status == corev1.ConditionTrue && c.Reason == corev1.PodReasonPreemptionByScheduler
		}
	}
	return false
}

// RemovePod forgets a pod; false when it was on no node. A nomination of it goes too.
func (t *Table) RemovePod(uid types.UID) bool {
	t.nominated.remove(uid)
	n, ok := t.uids[uid]
	if !ok {
		return false
	}
	old := t.placed[n]
	t.lift(n)
	delete(t.uids, uid)
	t.placed[n] = placed{}
	t.unused = append(t.unused, n)
	t.tidy(old)
	return true
}

// settle enters pod n.
func (t *Table) settle(n int32, p placed) {
	p.inRow, p.inShape = int32(len(t.pods[p.row])), int32(len(p.shape.pods))
	t.placed[n] = p
	t.pods[p.row], p.shape.pods = append(t.pods[p.row], n), append(p.shape.pods, n)
	if len(p.shape.ports) > 0 {
		t.ports[p.row] = append(t.ports[p.row], p.shape.ports...)
	}
	t.count(p.row, p.shape, 1)
}

// lift takes pod n from where it is; its number stays its own. tidy follows.
func (t *Table) lift(n int32) {
	p := t.placed[n]
	if moved, any := swapOut(&t.pods[p.row], p.inRow); any {
		t.placed[moved].inRow = p.inRow
	}
	if moved, any := swapOut(&p.shape.pods, p.inShape); any {
		t.placed[moved].inShape = p.inShape
	}
	for _, hp := range p.shape.ports {
		i := slices.Index(t.ports[p.row], hp)
		if t.ports[p.row] = slices.Delete(t.ports[p.row], i, i+1); len(t.ports[p.row]) == 0 {
			delete(t.ports, p.row)
		}
	}
	t.count(p.row, p.shape, -1)
}

// swapOut removes element i and returns the one that took its place, if any did.
func swapOut(list *[]int32, i int32) (int32, bool) {
	last := int32(len(*list) - 1)
	moved := (*list)[last]
	(*list)[i] = moved
	*list = (*list)[:last]
	return moved, i != last
}

// tidy drops what a pod that left was the last to need.
func (t *Table) tidy(p placed) {
	if len(p.shape.pods) == 0 {
		t.dropShape(p.shape)
	}
	t.release(p.row)
}

// count adds or takes a pod's share of what is counted by row.
func (t *Table) count(row int32, s *shape, sign int32) {
	for _, a := range s.requests {
		t.columns[a.resource].requested[row] += int64(sign) * a.value
	}
	t.scored[cpu][row] += int64(sign) * s.scored[cpu]
	t.scored[memory][row] += int64(sign) * s.scored[memory]
	for _, tl := range s.tallies {
		tl.counts[row] += sign
	}
	for _, c := range s.carries {
		if c.counts[row] += sign; c.counts[row] == 0 {
			delete(c.counts, row)
		}
	}
	t.touch(row)
}

// nominee is a pod that is to come to a node once others have left it.
type nominee struct {
	uid      types.UID
	name     string
	priority int32
	shape    *shape // of its own, known to no list
}

// nominations are the nominees by node, whether it is known or not.
type nominations struct {
	nodes map[types.UID]string
	pods  map[string][]nominee
}

func newNominations() nominations {
	return nominations{nodes: map[types.UID]string{}, pods: map[string][]nominee{}}
}

func (n *nominations) remove(uid types.UID) bool {
	node, ok := n.nodes[uid]
	if !ok {
		return false
	}
	delete(n.nodes, uid)
	n.pods[node] = slices.DeleteFunc(n.pods[node], func(o nominee) bool { return o.uid == uid })
	if len(n.pods[node]) == 0 {
		delete(n.pods, node)
	}
	return true
}

// Nominate says that pod, which has no node yet, is to come to node: to pods of no higher priority the node looks as if it
// were there already. An earlier nomination of pod is replaced; "" only ends that.
func (t *Table) Nominate(pod *corev1.Pod, node string) {
	t.nominated.remove(pod.UID)
	if node == "" {
		return
	}
	t.nominated.nodes[pod.UID] = node
	t.nominated.pods[node] = append(t.nominated.pods[node],
		nominee{uid: pod.UID, name: pod.Name, priority: schedulinghelpers.PodPriority(pod), shape: t.loose(pod)})
}

// loose is the shape of a pod that is not counted: it stands in no list.
func (t *Table) loose(pod *corev1.Pod) *shape {
	s := t.measure(pod)
	if a, err := parseAffinity(pod); err == nil {
		for _, tm := range a.anti {
			s.carries = append(s.carries, &carried{kind: refuses, scope: tm.scope, label: tm.topology})
		}
	}
	return s
}
