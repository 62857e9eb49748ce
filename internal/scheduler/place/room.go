package place

import corev1 "k8s.io/api/core/v1"

// Room is what a node would have left if all pods of less than priority were gone: millicores of cpu, units of all else that
// the table counts, and places among "pods". Less than nothing is possible; nil: the node is not known. Nominated pods are
// not counted. It costs the pods on the node.
func (t *Table) Room(node string, priority int32) map[corev1.ResourceName]int64 {
	row, ok := t.byName[node]
	if !ok || t.nodes[row] == nil {
		return nil
	}
	left := make(map[corev1.ResourceName]int64, len(t.columns)+1)
	for id := range t.columns {
		if c := &t.columns[id]; c.allocatable[row] != 0 || id < fixed {
			left[c.name] = c.allocatable[row] - c.requested[row]
		}
	}
	left[corev1.ResourcePods] = t.room[row] - int64(len(t.pods[row]))
	for _, n := range t.pods[row] {
		p := &t.placed[n]
		if p.priority >= priority {
			continue
		}
		left[corev1.ResourcePods]++
		for _, a := range p.shape.requests {
			if c := &t.columns[a.resource]; c.allocatable[row] != 0 || a.resource < fixed {
				left[c.name] += a.value
			}
		}
	}
	return left
}
