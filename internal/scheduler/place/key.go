package place

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/nodedeclaredfeatures"
)

// writer appends to a key.
type writer struct{ buf []byte }

func (w *writer) str(s string) { w.buf = append(binary.AppendUvarint(w.buf, uint64(len(s))), s...) }
func (w *writer) num(n int64)  { w.buf = binary.AppendVarint(w.buf, n) }

// message appends a part of a pod. Only a stream can fail to be written to.
func (w *writer) message(m interface{ Marshal() ([]byte, error) }) {
	b, err := m.Marshal()
	if err != nil {
		panic(fmt.Sprintf("place: a part of a pod cannot be written: %v", err))
	}
	w.str(string(b))
}

// amounts appends quantities exactly: units, and what is left of one.
func (w *writer) amounts(list corev1.ResourceList) {
	w.num(int64(len(list)))
	for _, name := range slices.Sorted(maps.Keys(list)) {
		q := list[name]
		w.str(string(name))
		w.num(q.Value())
		w.num(int64(math.Float64bits(q.AsApproximateFloat64())))
	}
}

func (w *writer) pairs(set map[string]string) {
	w.num(int64(len(set)))
	for _, k := range slices.Sorted(maps.Keys(set)) {
		w.str(k)
		w.str(set[k])
	}
}

// templateKey writes all that a template is made of.
func (t *Table) templateKey(pod *corev1.Pod, p *Policy, required *corev1.NodeSelector, features nodedeclaredfeatures.FeatureSet) []byte {
	w := writer{t.scratch[:0]}
	spec := &pod.Spec
	w.num(int64(t.policyID(p)))
	w.str(spec.NodeName)
	w.pairs(spec.NodeSelector)
	w.num(int64(len(spec.Tolerations)))
	for i := range spec.Tolerations {
		w.message(&spec.Tolerations[i])
	}
	w.affinity(pod, required)
	w.num(int64(len(spec.TopologySpreadConstraints)))
	for i := range spec.TopologySpreadConstraints {
		c := &spec.TopologySpreadConstraints[i]
		w.message(c)
		for _, k := range c.MatchLabelKeys {
			v, ok := pod.Labels[k]
			w.str(v)
			w.num(int64(b2i(ok)))
		}
	}
	if len(spec.TopologySpreadConstraints) > 0 {
		w.str(pod.Namespace)
	}
	w.containers(spec.Containers)
	w.containers(spec.InitContainers)
	w.amounts(spec.Overhead)
	if spec.Resources != nil {
		w.amounts(spec.Resources.Requests)
	}
	for i := range spec.Volumes {
		if img := spec.Volumes[i].Image; img != nil {
			w.str(img.Reference)
		}
	}
	if st := &pod.Status; len(st.ContainerStatuses)+len(st.InitContainerStatuses)+len(st.AllocatedResources) > 0 || st.Resources != nil {
		w.message(st)
	}
	w.num(int64(b2i(features.IsEmpty())))
	if !features.IsEmpty() {
		w.str(features.String())
	}
	t.scratch = w.buf
	return w.buf
}

func (w *writer) affinity(pod *corev1.Pod, required *corev1.NodeSelector) {
	if required != nil {
		w.message(required)
	}
	a := pod.Spec.Affinity
	if a == nil {
		w.num(0)
		return
	}
	w.num(1)
	if a.NodeAffinity != nil {
		for i := range a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			w.message(&a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution[i])
		}
	}
	if a.PodAffinity != nil || a.PodAntiAffinity != nil {
		w.str(pod.Namespace)
		w.message(&corev1.Affinity{PodAffinity: a.PodAffinity, PodAntiAffinity: a.PodAntiAffinity})
	}
}

func (w *writer) containers(list []corev1.Container) {
	w.num(int64(len(list)))
	for i := range list {
		c := &list[i]
		w.str(c.Image)
		w.amounts(c.Resources.Requests)
		w.num(int64(len(c.Ports)))
		for _, p := range c.Ports {
			if w.num(int64(p.HostPort)); p.HostPort > 0 {
				w.str(p.HostIP)
				w.str(string(p.Protocol))
			}
		}
		if c.RestartPolicy != nil {
			w.str(string(*c.RestartPolicy))
		}
	}
}
