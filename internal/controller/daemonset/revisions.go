package daemonset

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/revision"
)

// hashLabel tells, of a pod and of a revision, the hash of the template.
const hashLabel = appsv1.DefaultDaemonSetUniqueLabelKey

// history is where a set stands in its history.
type history struct {
	hash       string // of the template as it is
	old        []*appsv1.ControllerRevision
	collisions *int32
	writes     []engine.Write // what makes it so
	relabelled bool           // pods get the hash of another revision of the same template now
}

// historyOf finds the set's template in its history, or plans to record it there.
func historyOf(in Input) history {
	h := history{collisions: in.Set.Status.CollisionCount}
	data := revision.Data(&in.Set.Spec.Template)
	var same []*appsv1.ControllerRevision
	stale := map[*appsv1.ControllerRevision]bool{} // those that are to be written
	for _, r := range in.Revisions {
		if _, labelled := r.Labels[hashLabel]; !labelled {
			r = r.DeepCopy()
			if r.Labels == nil {
				r.Labels = map[string]string{}
			}
			r.Labels[hashLabel] = r.Name // a hash anew could collide
			stale[r] = true
		}
		if revision.Holds(r, data) {
			same = append(same, r)
		} else {
			h.old = append(h.old, r)
		}
	}
	revision.Sort(h.old)
	if len(same) == 0 {
		h.update(stale)
		h.record(in, data)
		return h
	}
	revision.Sort(same)
	keep := same[len(same)-1]
	if next := revision.Next(h.old); keep.Revision < next {
		if !stale[keep] {
			keep = keep.DeepCopy()
			stale[keep] = true
		}
		keep.Revision = next
	}
	h.hash = keep.Labels[hashLabel]
	h.update(stale)
	h.merge(in.Pods, same[:len(same)-1])
	return h
}

// update writes the revisions that are to be written, by name.
func (h *history) update(stale map[*appsv1.ControllerRevision]bool) {
	list := slices.Collect(maps.Keys(stale))
	revision.Sort(list)
	for _, r := range list {
		h.writes = append(h.writes, engine.NewUpdate(revision.Resource(), r, ""))
	}
}

// merge drops revisions that record what another does, whose pods are then that one's. Upstream gives all pods of the set to it, old ones too.
func (h *history) merge(list []*corev1.Pod, twins []*appsv1.ControllerRevision) {
	for _, r := range twins {
		for _, p := range list {
			if p.Labels[hashLabel] == r.Labels[hashLabel] && p.Labels[hashLabel] != h.hash {
				labels := map[string]any{"metadata": map[string]any{"labels": map[string]any{hashLabel: h.hash}}}
				h.writes = append(h.writes, engine.NewPatch(pods.Resource(), p, labels))
				h.relabelled = true
			}
		}
	}
	for _, r := range twins {
		h.writes = append(h.writes, engine.NewDelete(revision.Resource(), r, ""))
	}
}

// record plans a new revision, under a name that no other data has. What has the name and the same data is it already, whosever it is.
func (h *history) record(in Input, data []byte) {
	for {
		h.hash = revision.TemplateHash(&in.Set.Spec.Template, h.collisions)
		name := in.Set.Name + "-" + h.hash
		switch taken := in.Taken(name); {
		case taken == nil:
			labels := maps.Clone(in.Set.Spec.Template.Labels)
			if labels == nil {
				labels = map[string]string{}
			}
			labels[hashLabel] = h.hash
			h.writes = append(h.writes, engine.NewCreate(revision.Resource(), &appsv1.ControllerRevision{
				ObjectMeta: metav1.ObjectMeta{Namespace: in.Set.Namespace, Name: name, Labels: labels, Annotations: maps.Clone(in.Set.Annotations),
					OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(in.Set, kind())}},
				Data: runtime.RawExtension{Raw: data}, Revision: revision.Next(h.old),
			}))
			return
		case revision.Holds(taken, data):
			return
		}
		n := int32(1)
		if h.collisions != nil {
			n = *h.collisions + 1
		}
		h.collisions = &n
	}
}

// surplus is the part of the history that goes: the oldest revisions above the limit, of those that are no pod's.
func (h *history) surplus(in Input) (list []*appsv1.ControllerRevision) {
	live := map[string]bool{}
	for _, p := range in.Pods {
		live[p.Labels[hashLabel]] = true
	}
	limit := 10
	if l := in.Set.Spec.RevisionHistoryLimit; l != nil {
		limit = int(*l)
	}
	for _, r := range h.old {
		if len(h.old)-len(list) > limit && !live[r.Labels[hashLabel]] {
			list = append(list, r)
		}
	}
	return list
}
